//! HTTP/2 frame by frame (RFC 9113 section 4.1), for ends that say what no library says.

use std::io::{BufReader, Read as _, Write as _};
use std::net::TcpStream;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// The field block of a response without any other field.
pub(crate) const STATUS_200: &[u8] = &[0x88];

/// What the proxy sent: a frame.
pub(crate) struct Sent {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut frame = vec![len[1], len[2], len[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A server's connection: acknowledges SETTINGS, and sends what `answer` says to every other frame and to
/// acknowledgements, until the connection ends; `None` is that.
pub(crate) fn serve_frames(
    mut tcp: TcpStream,
    mut answer: impl FnMut(Sent) -> Vec<u8>,
) -> Option<()> {
    let mut from = BufReader::new(tcp.try_clone().ok()?);
    from.read_exact(&mut [0; "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len()])
        .ok()?;
    loop {
        let sent = Sent::read(&mut from)?;
        let answer = match sent.kind {
            SETTINGS if sent.flags & ACK == 0 => frame(SETTINGS, ACK, 0, b""),
            _ => answer(sent),
        };
        tcp.write_all(&answer).ok()?;
    }
}

impl Sent {
    fn read(from: &mut BufReader<TcpStream>) -> Option<Self> {
        let mut head = [0; 9];
        from.read_exact(&mut head).ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).expect("short");
        let mut payload = vec![0; length];
        from.read_exact(&mut payload).ok()?;
        Some(Self {
            kind,
            flags,
            stream: u32::from_be_bytes(stream),
            payload,
        })
    }
}
