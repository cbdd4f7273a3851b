//! Blocking streams: a redirect without room blocks the thread.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use underseal::blocking::{TlsAcceptor, TlsConnector, TlsStream};
use underseal::message::{Filter, Message, MessageDirection, Verdict};
use underseal::{ClientConnection, ServerConnection};

use crate::pairs::{CONFIGS, name, pattern};

/// A socket that counts what is sent on it.
struct Counted(TcpStream, Arc<AtomicUsize>);

impl Read for Counted {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for Counted {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn pair() -> (
    TlsStream<TcpStream, ServerConnection>,
    TlsStream<TcpStream, ClientConnection>,
) {
    pair_over(|socket| socket)
}

/// A pair whose server is over what `wrap` makes of its socket.
fn pair_over<S: Read + Write>(
    wrap: impl FnOnce(TcpStream) -> S,
) -> (
    TlsStream<S, ServerConnection>,
    TlsStream<TcpStream, ClientConnection>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (ours, _) = listener.accept().unwrap();
    for socket in [&ours, &theirs] {
        let patience = Some(Duration::from_secs(60));
        socket.set_read_timeout(patience).unwrap();
        socket.set_write_timeout(patience).unwrap();
    }
    let client = thread::spawn(move || {
        let connector = TlsConnector::from(Arc::clone(&CONFIGS.1));
        connector.connect(name(), theirs).unwrap()
    });
    let acceptor = TlsAcceptor::from(Arc::clone(&CONFIGS.0));
    (acceptor.accept(wrap(ours)).unwrap(), client.join().unwrap())
}

#[test]
fn a_thread_blocks_until_the_target_has_room() {
    let (mut from, _from_peer) = pair();
    let (mut to, _to_peer) = pair();
    let target = to.redirect_peer(10_000);
    let program = {
        let target = target.clone();
        move |_: &mut Message<'_>| Verdict::Redirect {
            to: target.clone(),
            direction: MessageDirection::Ingress,
        }
    };
    from.attach(Filter::egress(program)).unwrap();
    let data = pattern(400_000);
    let own = data.clone();
    let writer = thread::spawn(move || from.write_all(&own).unwrap());
    let mut got = Vec::new();
    // All that the target may hold: nothing stays behind where `waiting` does not count it.
    let mut buffer = vec![0; 10_000];
    while got.len() < data.len() {
        // A thread that waits for its own peer is not woken for what is redirected.
        while target.waiting(MessageDirection::Ingress) == 0 {
            thread::yield_now();
        }
        let n = to.read(&mut buffer).unwrap();
        got.extend_from_slice(&buffer[..n]);
    }
    assert!(got == data);
    writer.join().unwrap();
}

#[test]
fn a_thread_that_reads_blocks_until_the_target_has_room() {
    let (mut from, mut from_peer) = pair();
    let (mut to, mut to_peer) = pair();
    let target = to.redirect_peer(10_000);
    let program = {
        let target = target.clone();
        move |_: &mut Message<'_>| Verdict::Redirect {
            to: target.clone(),
            direction: MessageDirection::Egress,
        }
    };
    from.attach(Filter::ingress(program)).unwrap();
    let data = pattern(400_000);
    let own = data.clone();
    let sender = thread::spawn(move || {
        from_peer.write_all(&own).unwrap();
        from_peer.shutdown().unwrap();
        from_peer
    });
    let reader = thread::spawn(move || {
        assert_eq!(from.read(&mut [0; 10]).unwrap(), 0);
        from
    });
    let flusher = thread::spawn(move || {
        while !reader.is_finished() {
            to.flush().unwrap();
            thread::yield_now();
        }
        to.flush().unwrap();
        (to, reader.join().unwrap())
    });
    let mut got = vec![0; data.len()];
    to_peer.read_exact(&mut got).unwrap();
    assert!(got == data);
    sender.join().unwrap();
    flusher.join().unwrap();
}

/// A verdict costs a record, and not a system call.
#[test]
fn small_messages_of_one_write_are_sent_together() {
    let sends = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sends);
    let (mut stream, mut peer) = pair_over(|socket| Counted(socket, counter));
    let by_kib = |message: &mut Message<'_>| {
        message.apply_bytes(1024);
        Verdict::Pass
    };
    stream.attach(Filter::egress(by_kib)).unwrap();
    sends.store(0, Ordering::Relaxed);
    let data = pattern(64 * 1024);
    stream.write_all(&data).unwrap();
    let sends = sends.load(Ordering::Relaxed);
    assert!((1..=4).contains(&sends), "{sends} sends for 64 messages");
    let mut got = vec![0; data.len()];
    peer.read_exact(&mut got).unwrap();
    assert!(got == data);
}
