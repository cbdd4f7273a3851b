//! The one protocol that a connection may go over to: WebSocket (RFC 6455 section 4). Inside of any
//! other, requests could go by that nobody judges and that say of their sender what they like.

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use underseal_http::fields::listed;
use underseal_http::http1::{Head, ResponseHead};
use underseal_http::{Framing, Request};

/// What a server appends to the key before it hashes it.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What a client asked with: 16 bytes in base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key([u8; 24]);

impl Key {
    /// The key of a request that asks for WebSocket, rightly and for nothing else (section 4.2.1).
    pub(crate) fn of(head: &Head<'_>) -> Option<Self> {
        let request = head.request();
        let is_plain = request.method() == b"GET"
            && head.minor_version() == 1
            && matches!(head.framing(), Framing::Empty | Framing::Length(0));
        let asks = switches(request.header(b"connection"), request.header(b"upgrade"));
        let key = only(request.header(b"sec-websocket-key"))?;
        let key = <[u8; 24]>::try_from(key).ok()?;
        (is_plain && asks && is_version_13(&request) && is_nonce(&key)).then_some(Self(key))
    }

    /// A key for a request of HTTP/2 that asks for WebSocket rightly (RFC 8441 section 5), which has none;
    /// `None` if it does not, or if there are no random numbers.
    pub(crate) fn for_http2(request: &Request<'_>) -> Option<Self> {
        let mut nonce = [0; 16];
        let is_random = SystemRandom::new().fill(&mut nonce).is_ok();
        (is_version_13(request) && is_random).then(|| Self(base64(&nonce)))
    }

    /// As the field has it.
    pub(crate) fn as_str(&self) -> &str {
        // It is ASCII.
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Whether `head`, of status 101, takes it (section 4.2.2).
    pub(crate) fn is_accepted_by(self, head: &ResponseHead<'_>) -> bool {
        let named = |name: &'static [u8]| {
            let fields = head.fields();
            fields
                .filter_map(move |(field, value)| field.eq_ignore_ascii_case(name).then_some(value))
        };
        switches(named(b"connection"), named(b"upgrade"))
            && only(named(b"sec-websocket-accept")) == Some(&self.accept()[..])
    }

    /// What the server has to answer.
    fn accept(self) -> [u8; 28] {
        let keyed = [&self.0[..], GUID].concat();
        base64(digest(&SHA1_FOR_LEGACY_USE_ONLY, &keyed).as_ref())
    }
}

/// `bytes` in base64, which has `LEN` digits then, padding included.
fn base64<const LEN: usize>(bytes: &[u8]) -> [u8; LEN] {
    let mut text = [b'='; LEN];
    for (three, four) in bytes.chunks(3).zip(text.chunks_mut(4)) {
        let byte = |index: usize| u32::from(three.get(index).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (index, digit) in four.iter_mut().take(three.len() + 1).enumerate() {
            *digit = BASE64[(bits >> (18 - 6 * index) & 0x3f) as usize];
        }
    }
    text
}

fn is_version_13(request: &Request<'_>) -> bool {
    only(request.header(b"sec-websocket-version")) == Some(b"13")
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Whether a connection goes over to WebSocket, and to that alone.
fn switches<'a>(
    mut connection: impl Iterator<Item = &'a [u8]>,
    upgrade: impl Iterator<Item = &'a [u8]>,
) -> bool {
    let is_so = connection.any(|value| {
        let mut options = listed(value);
        options.any(|option| option.eq_ignore_ascii_case(b"upgrade"))
    });
    let protocol = only(upgrade);
    is_so && protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
}

/// The value of a field that is there once.
fn only<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// Whether it is 16 bytes in base64.
fn is_nonce(key: &[u8; 24]) -> bool {
    let (digits, padding) = key.split_at(22);
    padding == b"==" && digits.iter().all(|digit| BASE64.contains(digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_accepted_as_the_rfc_says() {
        // RFC 6455 section 1.3.
        let key = Key(*b"dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(&key.accept(), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(key.0, base64(b"the sample nonce"));
        assert!(is_nonce(&key.0));
        assert!(!is_nonce(b"dGhlIHNhbXBsZSBub25jZQ=A"));
        assert!(!is_nonce(b"dGhlIHNhbXBsZSBub25jZ===") && !is_nonce(&[b'-'; 24]));
    }
}
