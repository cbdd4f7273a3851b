//! What a ServerHello says and rustls keeps to itself: its random, which exporters of TLS 1.2 need
//! (RFC 5705 section 4), and whether the master secret is bound to the handshake.

/// Bytes of a record's header, and of a handshake message's.
const RECORD_HEADER_LEN: usize = 5;
const MESSAGE_HEADER_LEN: usize = 4;

/// Content type of handshake records.
const HANDSHAKE: u8 = 22;

/// Type of the message.
const SERVER_HELLO: u8 = 2;

/// The extension `extended_master_secret` (RFC 7627).
const EXTENDED_MASTER_SECRET: u16 = 23;

/// Reads along from the first byte that a server sends. Under TLS 1.3 what it finds is of no use:
/// the first hello may be a HelloRetryRequest.
#[derive(Default)]
pub(super) struct ServerHello {
    record_header: Vec<u8>,
    /// Bytes that the record still has.
    record_left: usize,
    message: Vec<u8>,
    /// Whether the first message of the server is behind, whatever it was.
    is_past: bool,
    found: Option<HelloFacts>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HelloFacts {
    pub(super) random: [u8; 32],
    pub(super) extended_master_secret: bool,
}

impl ServerHello {
    pub(super) fn found(&self) -> Option<HelloFacts> {
        self.found
    }

    /// Reads what the server sent next.
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        while !self.is_past && !bytes.is_empty() {
            match self.record_left {
                0 => bytes = self.read_header(bytes),
                left => {
                    let (payload, behind) = bytes.split_at(left.min(bytes.len()));
                    self.record_left -= payload.len();
                    bytes = behind;
                    self.read_payload(payload);
                }
            }
        }
    }

    fn read_header<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let missing = RECORD_HEADER_LEN - self.record_header.len();
        let (more, behind) = bytes.split_at(missing.min(bytes.len()));
        self.record_header.extend(more);
        if let &[content_type, _, _, a, b] = &*self.record_header {
            self.record_left = u16::from_be_bytes([a, b]).into();
            // Warnings may come before it.
            self.is_past = content_type != HANDSHAKE && content_type != super::ALERT;
            if self.record_left == 0 {
                self.record_header.clear();
            }
        }
        behind
    }

    fn read_payload(&mut self, payload: &[u8]) {
        if self.record_header.first() == Some(&HANDSHAKE) {
            self.message.extend(payload);
        }
        if self.record_left == 0 {
            self.record_header.clear();
        }
        let Some(&[kind, a, b, c]) = self.message.first_chunk::<MESSAGE_HEADER_LEN>() else {
            return;
        };
        let len = u32::from_be_bytes([0, a, b, c]) as usize;
        let whole = self
            .message
            .get(MESSAGE_HEADER_LEN..MESSAGE_HEADER_LEN + len);
        // rustls refuses longer ones.
        self.is_past = whole.is_some() || kind != SERVER_HELLO || len > 0xffff;
        if self.is_past {
            self.found = whole.filter(|_| kind == SERVER_HELLO).and_then(facts);
            (self.message, self.record_header) = (Vec::new(), Vec::new());
        }
    }
}

/// RFC 5246 section 7.4.1.3.
fn facts(body: &[u8]) -> Option<HelloFacts> {
    let (_version, body) = body.split_at_checked(2)?;
    let (random, body) = body.split_first_chunk()?;
    let (session_id_len, body) = body.split_first()?;
    // The session's identifier, the suite, the compression.
    let extensions = body.get(usize::from(*session_id_len) + 2 + 1..)?;
    // None at all is legal, too.
    let mut extensions = extensions.get(2..).unwrap_or_default();
    let mut extended_master_secret = false;
    while let Some((&[a, b, c, d], behind)) = extensions.split_first_chunk() {
        extended_master_secret |= u16::from_be_bytes([a, b]) == EXTENDED_MASTER_SECRET;
        extensions = behind.get(u16::from_be_bytes([c, d]).into()..)?;
    }
    Some(HelloFacts {
        random: *random,
        extended_master_secret,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: HelloFacts = HelloFacts {
        random: [7; 32],
        extended_master_secret: true,
    };

    /// With a session identifier, ALPN, and, if the facts say so, an extended master secret.
    fn message(facts: HelloFacts) -> Vec<u8> {
        let mut extensions = vec![0, 16, 0, 5, 0, 3, 2, b'h', b'2'];
        if facts.extended_master_secret {
            extensions.extend([0, 23, 0, 0]);
        }
        let mut body = [&[3, 3], &facts.random[..], &[2, 1, 1], &[0xc0, 0x2b, 0]].concat();
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
        let mut message = vec![SERVER_HELLO, 0, 0, body.len() as u8];
        message.extend(body);
        message
    }

    fn records(content_type: u8, payload: &[u8], most: usize) -> Vec<u8> {
        let record = |part: &[u8]| [&[content_type, 3, 3, 0, part.len() as u8], part].concat();
        payload.chunks(most).flat_map(record).collect()
    }

    #[test]
    fn the_hello_is_found_however_it_is_cut() {
        for facts in [true, false].map(|extended_master_secret| HelloFacts {
            extended_master_secret,
            ..FACTS
        }) {
            for most in [1, 3, 200] {
                let mut stream = records(super::super::ALERT, &[1, 112], 2);
                stream.extend(records(HANDSHAKE, &[], 1));
                stream.extend(records(HANDSHAKE, &message(facts), most));
                stream.extend(records(20, &[1], 1));
                for segment in [1, 2, 7, 1_000] {
                    let mut hello = ServerHello::default();
                    stream.chunks(segment).for_each(|part| hello.read(part));
                    assert_eq!(hello.found(), Some(facts), "{most} {segment}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_hello_is_none() {
        let mut other = message(FACTS);
        other[0] = 0;
        let mut cut_extension = message(FACTS);
        let len = cut_extension.len();
        cut_extension[len - 1] = 1;
        for stream in [
            records(HANDSHAKE, &other, 200),
            records(23, &message(FACTS), 200),
            records(HANDSHAKE, &cut_extension, 200),
            records(HANDSHAKE, &[SERVER_HELLO, 0, 0, 3, 3, 3, 0], 200),
            records(HANDSHAKE, &[SERVER_HELLO, 1, 0, 0, 3, 3, 0], 200),
            Vec::new(),
        ] {
            let mut hello = ServerHello::default();
            hello.read(&stream);
            assert_eq!(hello.found(), None);
        }
    }
}
