//! ClientHello and HelloVerifyRequest of DTLS 1.2, as a server needs them that keeps nothing of a client
//! which has not shown that it receives at its address (RFC 6347 section 4.2.1).

use core::ops::Range;

use crate::ContentType;
use crate::dtls::RecordNumber;
use crate::dtls::v12::{self, HEADER_LEN};

/// Bytes of the header of a handshake message (RFC 6347 section 4.2.2).
const MESSAGE_HEADER: usize = 12;
/// Where the body of a message starts.
const BODY: usize = HEADER_LEN + MESSAGE_HEADER;
/// Message types.
const CLIENT_HELLO: u8 = 1;
const HELLO_VERIFY_REQUEST: u8 = 3;
/// `ProtocolVersion` of DTLS 1.0, which a HelloVerifyRequest has whatever is agreed on, and of 1.2, which
/// a ClientHello of DTLS 1.3 has too.
const DTLS10: [u8; 2] = [0xfe, 0xff];
const DTLS12: [u8; 2] = [0xfe, 0xfd];
/// Bytes of a client's random.
const RANDOM_LEN: usize = 32;
/// Most bytes of a session ID (RFC 5246 section 7.4.1.2).
const MAX_SESSION_ID: usize = 32;

/// Bytes of the cookies made here.
pub const COOKIE_LEN: usize = 32;
/// Bytes of the datagram with a HelloVerifyRequest: fewer than any ClientHello that it answers.
pub const HELLO_VERIFY_REQUEST_LEN: usize = BODY + 2 + 1 + COOKIE_LEN;

/// Why a datagram is not a ClientHello that can be answered without keeping anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NoClientHello {
    /// It is something else.
    #[error("datagram is no ClientHello")]
    Other,
    /// It is in pieces, which would have to be kept.
    #[error("ClientHello is fragmented")]
    Fragmented,
    /// It is of a version before DTLS 1.2.
    #[error("ClientHello of another version")]
    Version,
    /// Its lengths do not fit, or something stands behind it.
    #[error("malformed ClientHello")]
    Malformed,
}

/// A ClientHello that is alone in its datagram, and in one piece.
#[derive(Clone, Debug)]
pub struct ClientHello<'d> {
    datagram: &'d [u8],
    number: RecordNumber,
    message_seq: u16,
    cookie: Range<usize>,
    /// The offered suites and compression methods, with their lengths.
    offered: Range<usize>,
}

impl<'d> ClientHello<'d> {
    /// Reads all of `datagram`.
    ///
    /// # Errors
    ///
    /// [`NoClientHello`] says what it is instead.
    pub fn parse(datagram: &'d [u8]) -> Result<Self, NoClientHello> {
        let header = v12::Header::parse(datagram, 0).map_err(|_| NoClientHello::Other)?;
        let is_plain = header.outer == ContentType::HANDSHAKE && header.number.epoch == 0;
        if !is_plain || datagram[1] != DTLS12[0] {
            return Err(NoClientHello::Other);
        }
        let message = &datagram[HEADER_LEN..header.record_len];
        let Some(head) = message.first_chunk::<MESSAGE_HEADER>() else {
            return Err(NoClientHello::Other);
        };
        if head[0] != CLIENT_HELLO {
            return Err(NoClientHello::Other);
        }
        let (len, offset, piece) = (uint24(head, 1), uint24(head, 6), uint24(head, 9));
        if offset != 0 || piece != len {
            return Err(NoClientHello::Fragmented);
        }
        if header.record_len != datagram.len() || message.len() != MESSAGE_HEADER + len {
            return Err(NoClientHello::Malformed);
        }
        let (cookie, offered) = Fields::new(datagram).hello()?;
        Ok(Self {
            datagram,
            number: header.number,
            message_seq: u16::from_be_bytes([head[4], head[5]]),
            cookie,
            offered,
        })
    }

    /// The cookie; a client's first ClientHello has none.
    pub fn cookie(&self) -> &'d [u8] {
        &self.datagram[self.cookie.clone()]
    }

    /// The client's random.
    pub fn random(&self) -> &'d [u8] {
        &self.datagram[BODY + 2..][..RANDOM_LEN]
    }

    /// The sequence number of its record, in epoch 0.
    pub fn record_seq(&self) -> u64 {
        self.number.seq
    }

    /// Its place among the messages of the handshake.
    pub fn message_seq(&self) -> u16 {
        self.message_seq
    }

    /// What must not change between a ClientHello without a cookie and the one with it (RFC 6347
    /// section 4.2.1): version, random, session ID; suites and compression methods.
    pub(super) fn parameters(&self) -> [&'d [u8]; 2] {
        let before = BODY..self.cookie.start - 1;
        [&self.datagram[before], &self.datagram[self.offered.clone()]]
    }

    /// The datagram with the same ClientHello, as the message and the record of number `seq` in their
    /// handshake, before the client had a cookie: what another library is shown that wants to see the
    /// exchange which it was spared.
    pub fn without_cookie(&self, seq: u16) -> Vec<u8> {
        let mut hello = Vec::with_capacity(self.datagram.len());
        hello.extend_from_slice(&self.datagram[..self.cookie.start - 1]);
        hello.push(0);
        hello.extend_from_slice(&self.datagram[self.cookie.end..]);
        let number = RecordNumber {
            epoch: 0,
            seq: seq.into(),
        };
        write_headers(&mut hello, CLIENT_HELLO, number, seq);
        hello
    }

    /// The HelloVerifyRequest that gives `cookie` to whoever receives at the client's address. Its
    /// numbers are those of the ClientHello, so that nobody has to remember any.
    pub fn hello_verify_request(
        &self,
        cookie: &[u8; COOKIE_LEN],
    ) -> [u8; HELLO_VERIFY_REQUEST_LEN] {
        let mut request = [0; HELLO_VERIFY_REQUEST_LEN];
        request[1..3].copy_from_slice(&DTLS10);
        request[BODY..BODY + 2].copy_from_slice(&DTLS10);
        request[BODY + 2] = COOKIE_LEN as u8;
        request[BODY + 3..].copy_from_slice(cookie);
        let (number, message_seq) = (self.number, self.message_seq);
        write_headers(&mut request, HELLO_VERIFY_REQUEST, number, message_seq);
        request
    }
}

/// Writes the headers of record and message in front of a body; the record's version stays.
fn write_headers(datagram: &mut [u8], message: u8, number: RecordNumber, message_seq: u16) {
    let record_len = (datagram.len() - HEADER_LEN) as u16;
    let message_len = &((datagram.len() - BODY) as u32).to_be_bytes()[1..];
    datagram[0] = ContentType::HANDSHAKE.0;
    datagram[3..11].copy_from_slice(&number.to_u64().to_be_bytes());
    datagram[11..13].copy_from_slice(&record_len.to_be_bytes());
    datagram[13] = message;
    datagram[14..17].copy_from_slice(message_len);
    datagram[17..19].copy_from_slice(&message_seq.to_be_bytes());
    datagram[19..22].fill(0);
    datagram[22..25].copy_from_slice(message_len);
}

fn uint24(head: &[u8; MESSAGE_HEADER], at: usize) -> usize {
    usize::from(head[at]) << 16 | usize::from(head[at + 1]) << 8 | usize::from(head[at + 2])
}

/// Reads the fields of a ClientHello (RFC 5246 section 7.4.1.2, RFC 6347 section 4.2.1), as places in
/// the datagram.
struct Fields<'d> {
    datagram: &'d [u8],
    at: usize,
}

impl<'d> Fields<'d> {
    fn new(datagram: &'d [u8]) -> Self {
        Self { datagram, at: BODY }
    }

    /// The cookie; suites and compression methods.
    fn hello(mut self) -> Result<(Range<usize>, Range<usize>), NoClientHello> {
        let version = self.take(2)?;
        // A later version has a smaller number.
        if self.datagram[version.start] != DTLS12[0] || self.datagram[version.end - 1] > DTLS12[1] {
            return Err(NoClientHello::Version);
        }
        self.take(RANDOM_LEN)?;
        let session_id = self.vector(1)?;
        let cookie = self.vector(1)?;
        let suites = self.vector(2)?;
        let methods = self.vector(1)?;
        let fits = session_id.len() <= MAX_SESSION_ID
            && suites.len() >= 2
            && suites.len() % 2 == 0
            && !methods.is_empty();
        if self.at < self.datagram.len() {
            self.vector(2)?;
        }
        match fits && self.at == self.datagram.len() {
            true => Ok((cookie, suites.start - 2..methods.end)),
            false => Err(NoClientHello::Malformed),
        }
    }

    fn take(&mut self, len: usize) -> Result<Range<usize>, NoClientHello> {
        let taken = self.at..self.at + len;
        if taken.end > self.datagram.len() {
            return Err(NoClientHello::Malformed);
        }
        self.at = taken.end;
        Ok(taken)
    }

    /// A vector whose length is written in `prefix` bytes.
    fn vector(&mut self, prefix: usize) -> Result<Range<usize>, NoClientHello> {
        let length = self.take(prefix)?;
        let bytes = self.datagram[length].iter();
        let len = bytes.fold(0, |len, byte| len << 8 | usize::from(*byte));
        self.take(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ClientHello with this cookie.
    fn hello(cookie: &[u8]) -> Vec<u8> {
        let mut hello = vec![0; BODY];
        hello[1..3].copy_from_slice(&DTLS10);
        hello.extend(DTLS12);
        hello.extend([7; RANDOM_LEN]);
        hello.extend([2, 8, 9]);
        hello.push(cookie.len() as u8);
        hello.extend(cookie);
        hello.extend([0, 4, 0xc0, 0x2b, 0xc0, 0x2c, 1, 0, 0, 4, 0, 23, 0, 0]);
        let number = RecordNumber { epoch: 0, seq: 5 };
        write_headers(&mut hello, CLIENT_HELLO, number, 1);
        hello
    }

    fn refused(datagram: &[u8]) -> NoClientHello {
        ClientHello::parse(datagram).unwrap_err()
    }

    #[test]
    fn a_hello_says_its_cookie_and_its_numbers() {
        let datagram = hello(b"cookie");
        let hello = ClientHello::parse(&datagram).unwrap();
        assert_eq!(hello.cookie(), b"cookie");
        assert_eq!(hello.random(), [7; 32]);
        assert_eq!((hello.record_seq(), hello.message_seq()), (5, 1));
    }

    #[test]
    fn without_its_cookie_a_hello_is_the_same_but_for_the_numbers() {
        let (with, without) = (hello(b"cookie"), hello(b""));
        let again = ClientHello::parse(&with).unwrap();
        let first = again.without_cookie(0);
        let first = ClientHello::parse(&first).unwrap();
        assert_eq!((first.record_seq(), first.message_seq()), (0, 0));
        assert_eq!(first.datagram[BODY..], without[BODY..]);
        assert_eq!(first.parameters(), again.parameters());
    }

    /// RFC 6347 section 4.2.1: the record's number is the ClientHello's.
    #[test]
    fn a_request_has_the_numbers_of_the_hello_and_is_shorter() {
        let datagram = hello(b"");
        let request = ClientHello::parse(&datagram).unwrap();
        let request = request.hello_verify_request(&[9; COOKIE_LEN]);
        let head = [22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 5, 0, 47];
        assert_eq!(request[..HEADER_LEN], head);
        let message = [3, 0, 0, 35, 0, 1, 0, 0, 0, 0, 0, 35, 0xfe, 0xff, 32];
        assert_eq!(request[HEADER_LEN..][..15], message);
        assert_eq!(request[HEADER_LEN + 15..], [9; COOKIE_LEN]);
        assert!(request.len() < datagram.len());
    }

    #[test]
    fn a_hello_that_is_cut_or_followed_by_something_is_refused() {
        let good = hello(b"cookie");
        for len in 0..good.len() {
            assert_eq!(refused(&good[..len]), NoClientHello::Other, "{len}");
        }
        assert_eq!(
            refused(&[&good[..], &good].concat()),
            NoClientHello::Malformed
        );
        // The record has another length, and the message has not.
        let mut longer = [&good[..], &[0]].concat();
        longer[12] += 1;
        assert_eq!(refused(&longer), NoClientHello::Malformed);
    }

    #[test]
    fn every_length_inside_of_a_hello_has_to_fit() {
        let good = hello(b"cookie");
        let (session_id, cookie) = (BODY + 34, BODY + 37);
        let (suites, methods, extensions) = (cookie + 7, cookie + 13, cookie + 15);
        for (at, value) in [
            (session_id, 1),
            (session_id, 255),
            (cookie, 5),
            (cookie, 255),
            (suites + 1, 3),
            (suites + 1, 0),
            (suites, 9),
            (methods, 0),
            (extensions + 1, 3),
            (extensions + 1, 5),
        ] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(refused(&bad), NoClientHello::Malformed, "{at} {value}");
        }
    }

    #[test]
    fn what_is_no_hello_of_this_version_is_told_apart() {
        for (at, value, expected) in [
            (0, 23, NoClientHello::Other),
            (1, 3, NoClientHello::Other),
            (4, 1, NoClientHello::Other),
            (13, 2, NoClientHello::Other),
            (20, 1, NoClientHello::Fragmented),
            (24, 1, NoClientHello::Fragmented),
            (BODY, 3, NoClientHello::Version),
            (BODY + 1, 0xff, NoClientHello::Version),
        ] {
            let mut other = hello(b"");
            other[at] = value;
            assert_eq!(refused(&other), expected, "{at}");
        }
    }
}
