//! As much of HTTP/3 (RFC 9114) as programs of ngtcp2 want to hear: control streams without settings, and
//! fields from the static table of QPACK (RFC 9204 appendix A) only.

use quinn::{Connection, SendStream};

const DATA: u8 = 0x00;
const HEADERS: u8 = 0x01;
const SETTINGS: u8 = 0x04;
/// The type of a control stream.
const CONTROL: u8 = 0x00;
/// No field refers to the dynamic table.
const PREFIX: [u8; 2] = [0, 0];

/// Most bytes of a request.
const MAX_REQUEST: usize = 1 << 16;

/// Opens the stream that both sides must open. It has to stay open.
pub(crate) async fn control(connection: &Connection) -> SendStream {
    let mut control = connection.open_uni().await.unwrap();
    control.write_all(&[CONTROL, SETTINGS, 0]).await.unwrap();
    control
}

/// A field of the static table, name and value.
const fn indexed(index: u8) -> u8 {
    0xc0 | index
}

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let len = payload.len() as u32 | 0x8000_0000;
    [&[kind][..], &len.to_be_bytes(), payload].concat()
}

/// Answers each request with the same body; `before` is called when a request has come.
pub(crate) async fn answer(connection: Connection, body: &[u8], before: impl Fn(&Connection)) {
    let _control = control(&connection).await;
    while let Ok((mut send, mut receive)) = connection.accept_bi().await {
        let request = receive.read_to_end(MAX_REQUEST).await.unwrap();
        assert_eq!(request.first(), Some(&HEADERS));
        before(&connection);
        let status_200 = indexed(25);
        let fields = [&PREFIX[..], &[status_200]].concat();
        send.write_all(&frame(HEADERS, &fields)).await.unwrap();
        send.write_all(&frame(DATA, body)).await.unwrap();
        send.finish().unwrap();
    }
}

/// Asks for `path`; what came as the body of the answer.
pub(crate) async fn get(connection: &Connection, path: &str) -> Vec<u8> {
    let (method_get, scheme_https) = (indexed(17), indexed(23));
    let mut fields = [&PREFIX[..], &[method_get, scheme_https]].concat();
    // A name of the static table, and a value of its own.
    for (name, value) in [(0, "localhost"), (1, path)] {
        fields.extend([0x50 | name, value.len() as u8]);
        fields.extend(value.as_bytes());
    }
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(&frame(HEADERS, &fields)).await.unwrap();
    send.finish().unwrap();
    let answer = receive.read_to_end(1 << 24).await.unwrap();
    let (mut body, mut rest) = (Vec::new(), &answer[..]);
    while !rest.is_empty() {
        let (kind, len) = (number(&mut rest), number(&mut rest));
        let (payload, after) = rest.split_at(len as usize);
        if kind == u64::from(DATA) {
            body.extend(payload);
        }
        rest = after;
    }
    body
}

/// Takes a variable-length integer (RFC 9000 section 16) off the front.
fn number(bytes: &mut &[u8]) -> u64 {
    let len = 1 << (bytes[0] >> 6);
    let (number, rest) = bytes.split_at(len);
    *bytes = rest;
    let all = number
        .iter()
        .fold(0, |all, byte| all << 8 | u64::from(*byte));
    all & (u64::MAX >> (66 - 8 * len))
}
