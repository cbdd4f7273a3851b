//! Floods of frames: who sends them loses the connection, soon and by our doing, and nobody else
//! notices.
//!
//! The client reads all that it is sent, so that a socket that is full is not taken for an end, and
//! the end has to come long before any timeout.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::backend::Backend;
use crate::harness::{Proxy, Start};
use crate::http2::{frame, get_head};

/// Far below every timeout of the proxy.
const SOON: Duration = Duration::from_secs(5);

/// More than any ration, and less than a socket holds.
const FRAMES: u32 = 4000;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const UNKNOWN: u8 = 0xbb;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// Type, flags and payload of each frame that came.
type Came = Vec<(u8, u8, Vec<u8>)>;

fn proxy() -> (Proxy, Backend) {
    let backend = Backend::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    (Start::new(backend.address).plain().start(), backend)
}

fn connect(proxy: &Proxy) -> TcpStream {
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

/// The frames that `client` is sent until the connection ends or `is_last` says so; whether it
/// ended.
fn read(client: &mut TcpStream, is_last: impl Fn(&(u8, u8, Vec<u8>)) -> bool) -> (Came, bool) {
    let mut came = Came::new();
    loop {
        let mut header = [0; 9];
        match client.read_exact(&mut header) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("it goes on: {came:?}"),
            Err(_) => return (came, true),
        }
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        let mut payload = vec![0; length as usize];
        if client.read_exact(&mut payload).is_err() {
            return (came, true);
        }
        came.push((header[3], header[4], payload));
        if came.last().is_some_and(&is_last) {
            return (came, false);
        }
    }
}

/// Mounts a flood and reads on; what came before the end.
fn flood(proxy: &Proxy, frames: impl Fn(u32) -> Vec<u8> + Send + 'static) -> Came {
    let mut client = connect(proxy);
    let mut writer = client.try_clone().expect("a second handle");
    let sender = std::thread::spawn(move || {
        for n in 0..FRAMES {
            if writer.write_all(&frames(n)).is_err() {
                break;
            }
        }
    });
    let during = bystander(proxy);
    let (came, has_ended) = read(&mut client, |_| false);
    sender.join().expect("the sender");
    assert!(has_ended);
    assert_eq!(during, "HTTP/1.1 200 OK");
    assert_eq!(bystander(proxy), "HTTP/1.1 200 OK");
    came
}

/// Somebody else's request on a connection of its own.
fn bystander(proxy: &Proxy) -> String {
    let mut tcp = proxy.tcp();
    let request = b"GET /other HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    tcp.write_all(request).expect("send");
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).expect("an answer");
    answer.lines().next().unwrap_or_default().to_owned()
}

fn count(came: &Came, kind: u8, flags: u8) -> usize {
    let is = |frame: &&(u8, u8, Vec<u8>)| frame.0 == kind && frame.1 & flags == flags;
    came.iter().filter(is).count()
}

/// The code of the GOAWAY that came, if one did (RFC 9113 section 7).
fn goaway(came: &Came) -> Option<u32> {
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
    let (came, has_ended) = read(&mut client, |frame| frame.0 == PING && frame.2 == last);
    assert!(!has_ended && count(&came, PING, ACK) == 300);

    let came = flood(&proxy, |_| frame(PING, 0, 0, b"12345678"));
    assert!(count(&came, PING, ACK) < 2000, "{:?}", goaway(&came));
}

#[test]
fn settings_are_answered_up_to_a_ration() {
    let (proxy, _backend) = proxy();
    let came = flood(&proxy, |_| {
        frame(SETTINGS, 0, 0, b"\x00\x03\x00\x00\x00\x64")
    });
    assert!(count(&came, SETTINGS, ACK) < 2000, "{:?}", goaway(&came));
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

/// The list of fields may be as long as a head of HTTP/1.1, and no longer.
#[test]
fn a_list_of_fields_that_is_too_long_is_refused() {
    let (proxy, backend) = proxy();
    let mut client = connect(&proxy);
    // Thirty fields of two KiB, each spelt out: literals without a name in the table.
    let value = [b'v'; 2000];
    let mut heads = vec![frame(HEADERS, END_STREAM, 1, &get_head())];
    for n in 0..30_u8 {
        // 2000 in seven bits and a rest: 127, then 1873 as 0xd1 0x0e.
        let field = [
            &[0x40, 2, b'x', b'a' + n % 26, 0x7f, 0xd1, 0x0e][..],
            &value,
        ]
        .concat();
        let flags = if n == 29 { END_HEADERS } else { 0 };
        heads.push(frame(CONTINUATION, flags, 1, &field));
    }
    client.write_all(&heads.concat()).expect("send");
    let (came, has_ended) = read(&mut client, |frame| {
        matches!(frame.0, HEADERS | RST_STREAM | GOAWAY)
    });
    let refused = match came.last() {
        // `:status 431` is no entry of the static table: its value is spelt out.
        Some((HEADERS, _, head)) => head.windows(3).any(|digits| digits == b"431"),
        Some((RST_STREAM | GOAWAY, ..)) => true,
        _ => has_ended,
    };
    assert!(refused, "{came:?}");
    assert!(backend.heads().iter().all(|head| !head.contains("a.test")));
    assert_eq!(bystander(&proxy), "HTTP/1.1 200 OK");
}
