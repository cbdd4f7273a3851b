//! Handshakes to whose socket somebody sends what their library drops, in the peer's name.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use openssl::ssl::Ssl;
use underseal_dtls::Error;
use underseal_dtls::blocking::DtlsSocket;
use underseal_testkit::PATIENCE;

use crate::{SUITES, certificates, client, server, sockets};

/// A record of an epoch that nobody is in.
const JUNK: [u8; 14] = [22, 0xfe, 0xfd, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 7];

/// Longer than it takes OpenSSL to repeat a flight.
const TIMEOUT: Duration = Duration::from_millis(1500);

/// What `handshake` comes to while junk is sent by `far`, one each `pause`. It has to end before that does.
fn amid_junk(
    far: &UdpSocket,
    pause: Duration,
    handshake: impl FnOnce() -> Result<DtlsSocket, Error>,
) -> Result<DtlsSocket, Error> {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let start = Instant::now();
            while !is_over.load(Ordering::Relaxed) && start.elapsed() < PATIENCE {
                // The socket may be full, or closed.
                let _ = far.send(&JUNK);
                if !pause.is_zero() {
                    thread::sleep(pause);
                }
            }
            is_over.load(Ordering::Relaxed)
        });
        let outcome = handshake();
        is_over.store(true, Ordering::Relaxed);
        assert!(sending.join().unwrap(), "it went on as long as the junk");
        outcome
    })
}

fn client_ssl() -> Ssl {
    client(&certificates(), SUITES[0])
}

/// Datagrams that came so far.
fn arrived(socket: &UdpSocket) -> usize {
    socket.set_nonblocking(true).unwrap();
    let receive = || socket.recv(&mut [0; 2048]);
    // Junk that came too late was answered by ICMP, of which the socket tells once.
    let received = (0..).map(|_| receive().or_else(|_| receive()));
    received.take_while(|received| received.is_ok()).count()
}

#[test]
fn junk_now_and_then_keeps_no_handshake_from_its_time_nor_its_flights() {
    for is_nonblocking in [false, true] {
        let (near, far) = sockets();
        near.set_nonblocking(is_nonblocking).unwrap();
        let pause = Duration::from_millis(10);
        let connect = || DtlsSocket::connect(client_ssl(), near, TIMEOUT);
        let outcome = amid_junk(&far, pause, connect);
        assert!(
            matches!(outcome, Err(Error::HandshakeTimedOut)),
            "{outcome:?}"
        );
        let flights = arrived(&far);
        assert!(flights > 1, "{flights}");
    }
}

#[test]
fn a_flood_of_junk_keeps_no_handshake_from_its_time() {
    let (near, far) = sockets();
    let accept = || DtlsSocket::accept(server(&certificates()), near, Duration::from_millis(300));
    let outcome = amid_junk(&far, Duration::ZERO, accept);
    assert!(
        matches!(outcome, Err(Error::HandshakeTimedOut)),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn junk_leaves_other_tasks_running() {
    let (near, far) = sockets();
    let junk = near.try_clone().unwrap();
    near.set_nonblocking(true).unwrap();
    for _ in 0..200 {
        far.send(&JUNK).unwrap();
    }
    let near = tokio::net::UdpSocket::from_std(near).unwrap();
    near.readable().await.unwrap();
    let connect = underseal_dtls::DtlsSocket::connect(client_ssl(), near, TIMEOUT);
    let left = tokio::select! {
        biased;
        outcome = connect => panic!("{outcome:?}"),
        () = async {} => arrived(&junk),
    };
    assert!(left > 0);
}

/// How often this thread has waited so far.
fn waits() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let waits = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    waits.unwrap().trim().parse().unwrap()
}

/// A thread that only asks, again and again, keeps a CPU for itself.
#[test]
fn a_handshake_over_a_socket_that_does_not_wait_waits_itself() {
    let (near, _far) = sockets();
    near.set_nonblocking(true).unwrap();
    let (ssl, before) = (client_ssl(), waits());
    let outcome = DtlsSocket::connect(ssl, near, Duration::from_millis(200));
    assert!(
        matches!(outcome, Err(Error::HandshakeTimedOut)),
        "{outcome:?}"
    );
    assert!(waits() > before, "{before}");
}
