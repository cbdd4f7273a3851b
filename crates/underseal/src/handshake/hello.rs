//! What the hellos say and rustls keeps to itself: the server's random, which exporters of TLS 1.2
//! need (RFC 5705 section 4), whether the master secret is bound to the handshake, and whether a
//! client offers ECH or early data.

/// Bytes of a record's header, and of a handshake message's.
const RECORD_HEADER_LEN: usize = 5;
const MESSAGE_HEADER_LEN: usize = 4;

/// Content type of handshake records.
const HANDSHAKE: u8 = 22;

/// Types of the messages.
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;

/// The extensions `extended_master_secret` (RFC 7627), `early_data` (RFC 8446 section 4.2.10) and
/// `encrypted_client_hello` (RFC 9849).
const EXTENDED_MASTER_SECRET: u16 = 23;
const EARLY_DATA: u16 = 42;
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;

/// Reads along from the first byte that a side sends. Under TLS 1.3 what it finds of a server is of no
/// use: the first hello may be a HelloRetryRequest.
#[derive(Default)]
pub(super) struct Hello {
    record_header: Vec<u8>,
    /// Bytes that the record still has.
    record_left: usize,
    message: Vec<u8>,
    /// Whether the first message is behind, whatever it was.
    is_past: bool,
    found: Option<HelloFacts>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HelloFacts {
    pub(super) random: [u8; 32],
    pub(super) extended_master_secret: bool,
    pub(super) early_data: bool,
    pub(super) encrypted_client_hello: bool,
}

impl Hello {
    /// What the hello at the front of `bytes` says; `None` while it is not whole.
    pub(super) fn at_front_of(bytes: &[u8]) -> Option<HelloFacts> {
        let mut hello = Self::default();
        hello.read(bytes);
        hello.found
    }

    pub(super) fn found(&self) -> Option<HelloFacts> {
        self.found
    }

    /// Reads what the side sent next.
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
        let is_hello = matches!(kind, CLIENT_HELLO | SERVER_HELLO);
        self.is_past = whole.is_some() || !is_hello || len > 0xffff;
        if self.is_past {
            let whole = whole.filter(|_| is_hello);
            self.found = whole.and_then(|body| facts(kind, body));
            (self.message, self.record_header) = (Vec::new(), Vec::new());
        }
    }
}

/// RFC 5246 sections 7.4.1.2 and 7.4.1.3.
fn facts(kind: u8, body: &[u8]) -> Option<HelloFacts> {
    let (_version, body) = body.split_at_checked(2)?;
    let (random, body) = body.split_first_chunk()?;
    let (session_id_len, body) = body.split_first()?;
    let behind_id = body.get(usize::from(*session_id_len)..)?;
    let extensions = match kind {
        CLIENT_HELLO => behind_suites_of_client(behind_id)?,
        // The suite and the compression.
        _ => behind_id.get(2 + 1..)?,
    };
    // None at all is legal, too.
    let mut extensions = extensions.get(2..).unwrap_or_default();
    let mut facts = HelloFacts {
        random: *random,
        extended_master_secret: false,
        early_data: false,
        encrypted_client_hello: false,
    };
    while let Some((&[a, b, c, d], behind)) = extensions.split_first_chunk() {
        match u16::from_be_bytes([a, b]) {
            EXTENDED_MASTER_SECRET => facts.extended_master_secret = true,
            EARLY_DATA => facts.early_data = true,
            ENCRYPTED_CLIENT_HELLO => facts.encrypted_client_hello = true,
            _ => {}
        }
        extensions = behind.get(u16::from_be_bytes([c, d]).into()..)?;
    }
    Some(facts)
}

/// What follows the suites and the compressions that a client offers.
fn behind_suites_of_client(body: &[u8]) -> Option<&[u8]> {
    let (len, body) = body.split_first_chunk()?;
    let body = body.get(u16::from_be_bytes(*len).into()..)?;
    let (len, body) = body.split_first()?;
    body.get(usize::from(*len)..)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const FACTS: HelloFacts = HelloFacts {
        random: [7; 32],
        extended_master_secret: true,
        early_data: false,
        encrypted_client_hello: false,
    };

    /// A ClientHello in one record.
    pub(in crate::handshake) fn client_hello(early_data: bool) -> Vec<u8> {
        let facts = HelloFacts {
            early_data,
            ..FACTS
        };
        records(HANDSHAKE, &message_of(CLIENT_HELLO, facts), 200)
    }

    fn message(facts: HelloFacts) -> Vec<u8> {
        message_of(SERVER_HELLO, facts)
    }

    /// With a session identifier, ALPN, and, if the facts say so, an extended master secret, early
    /// data and ECH.
    fn message_of(kind: u8, facts: HelloFacts) -> Vec<u8> {
        let mut extensions = vec![0, 16, 0, 5, 0, 3, 2, b'h', b'2'];
        if facts.extended_master_secret {
            extensions.extend([0, 23, 0, 0]);
        }
        if facts.early_data {
            extensions.extend([0, 42, 0, 0]);
        }
        if facts.encrypted_client_hello {
            extensions.extend([0xfe, 0x0d, 0, 1, 0]);
        }
        let agreed: &[u8] = match kind {
            CLIENT_HELLO => &[0, 4, 0xc0, 0x2b, 0x13, 1, 1, 0],
            _ => &[0xc0, 0x2b, 0],
        };
        let mut body = [&[3, 3], &facts.random[..], &[2, 1, 1], agreed].concat();
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
        let mut message = vec![kind, 0, 0, body.len() as u8];
        message.extend(body);
        message
    }

    fn records(content_type: u8, payload: &[u8], most: usize) -> Vec<u8> {
        let record = |part: &[u8]| [&[content_type, 3, 3, 0, part.len() as u8], part].concat();
        payload.chunks(most).flat_map(record).collect()
    }

    #[test]
    fn the_hello_is_found_however_it_is_cut() {
        let cases = [
            (SERVER_HELLO, true, false, false),
            (SERVER_HELLO, false, false, false),
            (CLIENT_HELLO, true, false, false),
            (CLIENT_HELLO, false, true, false),
            (CLIENT_HELLO, false, false, true),
        ];
        for (kind, extended_master_secret, early_data, encrypted_client_hello) in cases {
            let facts = HelloFacts {
                extended_master_secret,
                early_data,
                encrypted_client_hello,
                ..FACTS
            };
            for most in [1, 3, 200] {
                let mut stream = records(super::super::ALERT, &[1, 112], 2);
                stream.extend(records(HANDSHAKE, &[], 1));
                stream.extend(records(HANDSHAKE, &message_of(kind, facts), most));
                stream.extend(records(20, &[1], 1));
                for segment in [1, 2, 7, 1_000] {
                    let mut hello = Hello::default();
                    stream.chunks(segment).for_each(|part| hello.read(part));
                    assert_eq!(hello.found(), Some(facts), "{most} {segment}");
                }
                assert_eq!(Hello::at_front_of(&stream), Some(facts));
                assert_eq!(Hello::at_front_of(&stream[..stream.len() - 7]), None);
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
        let mut cut_suites = message_of(CLIENT_HELLO, FACTS);
        cut_suites[4 + 2 + 32 + 3] = 1;
        for stream in [
            records(HANDSHAKE, &other, 200),
            records(23, &message(FACTS), 200),
            records(HANDSHAKE, &cut_extension, 200),
            records(HANDSHAKE, &cut_suites, 200),
            records(HANDSHAKE, &[SERVER_HELLO, 0, 0, 3, 3, 3, 0], 200),
            records(HANDSHAKE, &[SERVER_HELLO, 1, 0, 0, 3, 3, 0], 200),
            Vec::new(),
        ] {
            let mut hello = Hello::default();
            hello.read(&stream);
            assert_eq!(hello.found(), None);
        }
    }
}
