//! Peers that read slowly, sockets with small buffers, and writes that are taken in part.

use std::io::{self, ErrorKind, Read};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::sockopt::{
    set_socket_recv_buffer_size, set_socket_send_buffer_size, socket_recv_buffer_size,
};
use tokio::io::AsyncWriteExt;
use underseal::Engine;
use underseal::record::MAX_RECORD;
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA};

use crate::case::Case;
use crate::connect::{Server, on_tokio, pattern, sockets};

const SMALL: usize = 4_096;

/// Repeats `call` whenever the socket is full, until it is done.
pub(crate) fn until_done(stream: &mut Server, mut call: impl FnMut(&mut Server) -> io::Result<()>) {
    loop {
        match call(stream) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let socket = PollFd::new(stream.get_ref().0, PollFlags::OUT);
                poll(&mut [socket], None).unwrap();
            }
            result => return result.unwrap(),
        }
    }
}

/// The socket takes a part, and then nothing: what was taken arrives once, in order.
pub(crate) fn a_slow_reader_gets_every_byte(case: Case) {
    use std::io::Write;
    let (mut stream, mut peer) = case.server();
    set_socket_send_buffer_size(stream.get_ref().0, SMALL).unwrap();
    // Kernels let it grow to megabytes otherwise.
    set_socket_recv_buffer_size(peer.io(), 256 * 1024).unwrap();
    stream.get_ref().0.set_nonblocking(true).unwrap();
    let data = pattern(2_000_000);
    let mut taken = 0;
    let error = loop {
        match stream.write(&data[taken..][..100_000]) {
            Ok(n) => taken += n,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert!(taken > 0);
    let end = taken + 300_000;
    let peer = thread::spawn(move || peer.receive_data());
    until_done(&mut stream, |stream| {
        while taken < end {
            taken += stream.write(&data[taken..end])?;
        }
        stream.flush()
    });
    until_done(&mut stream, |stream| stream.shutdown());
    let (received, closed) = peer.join().unwrap();
    assert!(closed);
    assert!(received == data[..end], "{} of {end}", received.len());
}

pub(crate) fn a_slow_reader_of_a_tokio_stream_gets_every_byte(case: Case) {
    on_tokio(async {
        let (mut stream, mut peer) = case.tokio_server().await;
        set_socket_send_buffer_size(stream.get_ref().0, SMALL).unwrap();
        let data = pattern(600_000);
        let write = async {
            for chunk in data.chunks(50_001) {
                stream.write_all(chunk).await.unwrap();
            }
            stream.shutdown().await.unwrap();
        };
        let peer = tokio::task::spawn_blocking(move || peer.receive_data());
        let ((), received) = tokio::join!(write, peer);
        assert!(received.unwrap() == (data, true));
    });
}

/// Smaller than a record, which a kernel cannot open before it has all of it.
pub(crate) fn a_small_receive_buffer_does_not_stop_a_stream(case: Case) {
    let (ours, theirs) = sockets();
    set_socket_recv_buffer_size(&ours, SMALL).unwrap();
    let (mut stream, mut peer) = case.server_over((ours, theirs));
    if case.engines.rx == Engine::Kernel {
        let size = socket_recv_buffer_size(stream.get_ref().0).unwrap();
        assert!(size > 2 * MAX_RECORD, "receiving crawls with {size} bytes");
    }
    let data = pattern(40_000);
    let own = data.clone();
    let peer = thread::spawn(move || {
        for chunk in own.chunks(16_384) {
            peer.send(APPLICATION_DATA, chunk);
        }
        peer.send(ALERT, &[1, 0]);
        peer
    });
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    assert!(received == data);
    peer.join().unwrap();
}
