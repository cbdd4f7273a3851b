//! A live connection moves into another process in the middle of a download, and no byte is lost.
//!
//! The other process is this test binary once more: an environment variable tells it that it is
//! the one that takes over.

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use underseal::{Parts, ServerConnection, blocking};
use underseal_testkit::{Certificates, KeyType, PATIENCE, Peer, RecordPeer, Suite};

use crate::pairs::pattern;

/// Where the process that takes over finds the one that hands over.
const SOCKET: &str = "UNDERSEAL_TEST_MOVE_TO";

/// The download, and the half of it that the first process serves.
const LEN: usize = 3_000_000;
const HALF: usize = 1_400_003;

/// What the client says, half of it before the move.
const UPLOAD: &[u8] = b"the question came in two halves";

type Stream = blocking::TlsStream<TcpStream, ServerConnection>;

#[test]
fn a_download_moves_to_another_process() {
    if let Some(path) = std::env::var_os(SOCKET) {
        return take_over(UnixStream::connect(path).unwrap());
    }
    for suite in Suite::ALL {
        hand_over(suite);
    }
}

/// The first process: accepts, serves half of the download, and gives the connection away.
fn hand_over(suite: Suite) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        "moving::a_download_moves_to_another_process",
        "--nocapture",
    ]);
    let other = Peer::spawn(command.env(SOCKET, &path));
    let (mut other_side, _) = listener.accept().unwrap();

    let certificates = Certificates::new(KeyType::Ecdsa);
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let client_config = certificates.client_config(suite);
    let address = tcp.local_addr().unwrap();
    let client = thread::spawn(move || {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut peer = RecordPeer::client(socket, client_config);
        // All of the question is under way before a byte of the answer is read.
        for half in UPLOAD.chunks(UPLOAD.len() / 2 + 1) {
            peer.send(23, half);
        }
        peer.send(21, &[1, 0]);
        peer.receive_data()
    });

    let (socket, _) = tcp.accept().unwrap();
    let acceptor = blocking::TlsAcceptor::from(Arc::new(certificates.server_config(suite)));
    let mut stream = acceptor.accept(socket).unwrap();
    let mut first = [0; 9];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(first, UPLOAD[..9]);
    stream.write_all(&pattern(LEN)[..HALF]).unwrap();
    let (socket, bytes) = stream.into_parts().unwrap().into_bytes();
    send_descriptor(&other_side, &socket);
    drop(socket);
    other_side.write_all(&bytes).unwrap();
    drop(other_side);

    let (received, closed) = client.join().unwrap();
    assert!(closed, "{suite:?}");
    assert!(
        received == pattern(LEN),
        "{suite:?}: {} bytes",
        received.len()
    );
    let said = other.finish().successful().text();
    assert!(said.contains("1 passed"), "{said}");
}

/// The second process: reads the rest of the question, serves the rest of the answer.
fn take_over(mut from: UnixStream) {
    let socket = TcpStream::from(receive_descriptor(&from));
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).unwrap();
    let parts = Parts::<_, ServerConnection>::from_bytes(socket, &bytes).unwrap();
    let mut stream = Stream::from_parts(parts).unwrap();
    assert_eq!(stream.get_ref().1.server_name(), Some("localhost"));
    let mut question = Vec::new();
    stream.read_to_end(&mut question).unwrap();
    assert_eq!(question, UPLOAD[9..]);
    stream.write_all(&pattern(LEN)[HALF..]).unwrap();
    stream.shutdown().unwrap();
}

fn send_descriptor(to: &UnixStream, descriptor: &impl AsFd) {
    let descriptors = [descriptor.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let sent = sendmsg(
        to,
        &[IoSlice::new(b"!")],
        &mut ancillary,
        SendFlags::empty(),
    );
    assert_eq!(sent, Ok(1));
}

fn receive_descriptor(from: &UnixStream) -> OwnedFd {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut mark = [0];
    let mut slices = [IoSliceMut::new(&mut mark)];
    recvmsg(from, &mut slices, &mut ancillary, RecvFlags::empty()).unwrap();
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    descriptor.expect("a descriptor came along")
}
