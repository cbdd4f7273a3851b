//! Floods of frames: who sends them loses the connection, soon and by our doing, and nobody else
//! notices.
//!
//! The client reads all that it is sent, so that a socket that is full is not taken for an end, and
//! the end has to come long before any timeout.

use std::io::{ErrorKind, Read, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use underseal_testkit::PATIENCE;

use crate::backend::Backend;
use crate::harness::{Proxy, Start};
use crate::http2::{get_head, raw};
use crate::http2_frames::frame;

/// Far below every timeout of the proxy.
const SOON: Duration = Duration::from_secs(5);

/// More than any ration, and less than a socket holds.
const FRAMES: u32 = 4000;

/// Where in a flood somebody else begins to ask, and where the flood waits for the first answer.
const BEGUN: u32 = 500;
const HELD: u32 = 3000;

/// The code of a GOAWAY to who sends too much (RFC 9113 section 7).
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;
const UNKNOWN: u8 = 0xbb;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const ACK: u8 = 1;

/// Type, flags and payload of each frame that came.
pub(crate) type Came = Vec<(u8, u8, Vec<u8>)>;

pub(crate) fn proxy() -> (Proxy, Backend) {
    let backend = Backend::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    (Start::new(backend.address).plain().start(), backend)
}

pub(crate) fn connect(proxy: &Proxy) -> TcpStream {
    let mut client = proxy.tcp();
    client.set_read_timeout(Some(SOON)).expect("a timeout");
    let start = [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        &frame(SETTINGS, 0, 0, b""),
    ]
    .concat();
    client.write_all(&start).expect("a preface");
    client
}

/// The frames that `client` is sent until the connection ends or `is_last` says so; what ended it,
/// where something did.
pub(crate) fn read(
    client: &mut impl Read,
    is_last: impl Fn(&(u8, u8, Vec<u8>)) -> bool,
) -> (Came, Option<ErrorKind>) {
    let mut came = Came::new();
    loop {
        let mut header = [0; 9];
        match client.read_exact(&mut header) {
            Ok(()) => {}
            Err(error) => return (came, Some(error.kind())),
        }
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        let mut payload = vec![0; length as usize];
        if let Err(error) = client.read_exact(&mut payload) {
            return (came, Some(error.kind()));
        }
        came.push((header[3], header[4], payload));
        if came.last().is_some_and(&is_last) {
            return (came, None);
        }
    }
}

/// Mounts a flood, reads on and has somebody else ask meanwhile; what came before the end.
///
/// The end is an orderly one although most of the flood is unread then: a reset could overtake the
/// GOAWAY.
fn flood(proxy: &Proxy, frames: impl Fn(u32) -> Vec<u8> + Send) -> Came {
    let mut client = connect(proxy);
    let mut writer = client.try_clone().expect("a second handle");
    let (begin, begun) = mpsc::channel();
    let (answer, answered) = mpsc::channel();
    let has_ended = &AtomicBool::new(false);
    thread::scope(|scope| {
        let sender = scope.spawn(move || {
            for n in 0..FRAMES {
                match n {
                    BEGUN => begin.send(()).expect("a bystander"),
                    HELD => answered.recv_timeout(PATIENCE).expect("an answer"),
                    _ => {}
                }
                if let Err(error) = writer.write_all(&frames(n)) {
                    assert!(
                        n > HELD,
                        "{error} after {n} frames, before somebody else asked"
                    );
                    break;
                }
            }
        });
        let others = scope.spawn(move || {
            begun.recv_timeout(PATIENCE).expect("a flood");
            while !has_ended.load(Ordering::Relaxed) {
                assert_eq!(bystander(proxy), "HTTP/1.1 200 OK");
                // Only the first is waited for.
                let _ = answer.send(());
            }
        });
        let (came, end) = read(&mut client, |_| false);
        let sent = sender.join();
        has_ended.store(true, Ordering::Relaxed);
        others.join().expect("the others");
        sent.expect("the sender");
        assert_eq!(end, Some(ErrorKind::UnexpectedEof), "{:?}", goaway(&came));
        assert_eq!(goaway(&came), Some(ENHANCE_YOUR_CALM));
        assert_eq!(bystander(proxy), "HTTP/1.1 200 OK");
        came
    })
}

/// Somebody else's request on a connection of its own.
pub(crate) fn bystander(proxy: &Proxy) -> String {
    let mut tcp = proxy.tcp();
    let request = b"GET /other HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    tcp.write_all(request).expect("send");
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).expect("an answer");
    answer.lines().next().unwrap_or_default().to_owned()
}

pub(crate) fn count(came: &Came, kind: u8, flags: u8) -> usize {
    let is = |frame: &&(u8, u8, Vec<u8>)| frame.0 == kind && frame.1 & flags == flags;
    came.iter().filter(is).count()
}

/// The code of the GOAWAY that came, if one did (RFC 9113 section 7).
pub(crate) fn goaway(came: &Came) -> Option<u32> {
    let frame = came.iter().find(|frame| frame.0 == GOAWAY)?;
    let code = frame.2.get(4..8)?;
    Some(u32::from_be_bytes(code.try_into().ok()?))
}

#[test]
fn pings_are_answered_up_to_a_ration() {
    let (proxy, _backend) = proxy();
    let mut client = connect(&proxy);
    for n in 0..300_u64 {
        client
            .write_all(&frame(PING, 0, 0, &n.to_be_bytes()))
            .expect("send");
    }
    let last = 299_u64.to_be_bytes();
    let (came, end) = read(&mut client, |frame| frame.0 == PING && frame.2 == last);
    assert_eq!((end, count(&came, PING, ACK)), (None, 300));

    let came = flood(&proxy, |_| frame(PING, 0, 0, b"12345678"));
    assert!(count(&came, PING, ACK) < 2000);
}

#[test]
fn settings_are_answered_up_to_a_ration() {
    let (proxy, _backend) = proxy();
    let came = flood(&proxy, |_| {
        frame(SETTINGS, 0, 0, b"\x00\x03\x00\x00\x00\x64")
    });
    assert!(count(&came, SETTINGS, ACK) < 2000);
}

#[test]
fn streams_that_are_reset_at_once_are_rationed() {
    let (proxy, backend) = proxy();
    flood(&proxy, |n| {
        let stream = 2 * n + 1;
        let head = frame(HEADERS, END_HEADERS | END_STREAM, stream, &get_head());
        [head, frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
    });
    let asked = backend.heads().len();
    assert!(asked < 1000, "{asked} requests reached the backend");
}

/// Each is with the backend when the proxy resets it, for what its client sends behind it.
#[test]
fn streams_that_are_refused_for_their_trailers_are_rationed() {
    let (proxy, _backend) = proxy();
    let mut client = connect(&proxy);
    let trailer = [&[0, 9][..], b"x-real-ip", &[1], b"1"].concat();
    let mut resets = 0;
    let end = loop {
        assert!(resets < 1000, "no end");
        let stream = 2 * resets + 1;
        let head = frame(HEADERS, END_HEADERS, stream, &get_head());
        let evil = frame(HEADERS, END_HEADERS | END_STREAM, stream, &trailer);
        client.write_all(&[head, evil].concat()).expect("send");
        let is_last = |frame: &(u8, u8, Vec<u8>)| matches!(frame.0, RST_STREAM | GOAWAY);
        let (came, end) = read(&mut client, is_last);
        assert_eq!(end, None);
        if goaway(&came).is_some() {
            break goaway(&came);
        }
        resets += 1;
    };
    assert_eq!(end, Some(ENHANCE_YOUR_CALM));
}

#[test]
fn a_head_without_end_is_not_gathered() {
    let (proxy, backend) = proxy();
    flood(&proxy, |n| match n {
        0 => frame(HEADERS, 0, 1, &get_head()),
        _ => frame(CONTINUATION, 0, 1, b"\x40\x01a\x01b"),
    });
    let heads = backend.heads();
    assert!(
        heads.iter().all(|head| !head.contains("a.test")),
        "{heads:?}"
    );
}

#[test]
fn frames_that_say_nothing_are_rationed() {
    let (proxy, _backend) = proxy();
    flood(&proxy, |_| frame(UNKNOWN, 0, 0, b"?"));
    flood(&proxy, |_| frame(PRIORITY, 0, 3, &[0, 0, 0, 1, 16]));
    flood(&proxy, |n| match n {
        0 => frame(HEADERS, END_HEADERS, 1, &get_head()),
        _ => frame(DATA, 0, 1, b""),
    });
}

/// In TLS, close_notify follows the GOAWAY.
#[test]
fn the_end_of_a_flood_is_said_in_tls_too() {
    let backend = Backend::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let proxy = Proxy::start(backend.address);
    let mut client = raw(&proxy);
    let pings = frame(PING, 0, 0, b"12345678").repeat(FRAMES as usize);
    client.send(pings);
    let (bytes, ended) = client.rest();
    ended.expect("close_notify");
    let (came, _) = read(&mut &bytes[..], |_| false);
    assert_eq!(goaway(&came), Some(ENHANCE_YOUR_CALM));
}
