use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use openssl::ssl::{NameType, SslStream};
use underseal_record::ContentType;
use underseal_record::dtls::{ClientHello, RecordNumber, numbered_records};
use underseal_sys::udp::Path;

use super::memory_io::MemoryIo;
use crate::Error;
use crate::counters::Tally;
use crate::handover::{HandedOver, Unread, take_apart};
use crate::handshake::waits;

/// A handshake with a client that has shown its cookie.
pub(super) struct Handshake {
    stream: SslStream<MemoryIo>,
    /// Where its client is, and which address of this host it asked.
    path: Path,
    /// What tells a ClientHello that is repeated from another.
    hello: HelloTag,
    deadline: Instant,
    /// How many records OpenSSL is still shown that come before it has their keys.
    early: usize,
}

/// Most of them. A client sends its Finished right behind its ChangeCipherSpec, so that it comes early now and then; and
/// again, after a second, where it is not shown.
const EARLY: usize = 3;

/// OpenSSL's state behind a client's ChangeCipherSpec, where it waits for the Finished (`ssl/ssl_stat.c`, `TLS_ST_SR_CHANGE`).
const KEYS_CHANGED: &str = "SSLv3/TLS read change cipher spec";

/// Handshakes under way, by the address of their client.
pub(super) type Handshakes = HashMap<SocketAddr, Box<Handshake>>;

/// The handshake that gives way to another one: the oldest of the host, or the /64 of IPv6, that has most,
/// so that those of one host keep out its own first.
pub(super) fn gives_way(handshakes: &Handshakes) -> Option<SocketAddr> {
    let mut of_host = HashMap::<_, usize>::new();
    for address in handshakes.keys() {
        *of_host.entry(host(address)).or_default() += 1;
    }
    let (address, _) = handshakes.iter().max_by_key(|(address, one)| {
        let others = of_host.get(&host(address));
        (others.copied(), Reverse(one.deadline))
    })?;
    Some(*address)
}

/// What one host can choose no other of at will.
fn host(address: &SocketAddr) -> IpAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(host) => host.into(),
        IpAddr::V6(host) => Ipv6Addr::from_bits(host.to_bits() & (u128::MAX << 64)).into(),
    }
}

/// A part of a client's random: no two of its handshakes have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HelloTag([u8; 8]);

impl HelloTag {
    pub(super) fn of(hello: &ClientHello<'_>) -> Self {
        let mut tag = [0; 8];
        // From its end: the beginning may be a clock (RFC 5246 section 7.4.1.2).
        let random = hello.random();
        tag.copy_from_slice(&random[random.len() - 8..]);
        Self(tag)
    }
}

/// What a handshake has come to.
pub(super) struct Finished {
    pub(super) handed_over: HandedOver,
    pub(super) hello: HelloTag,
    pub(super) agreed: Agreed,
}

/// What the two sides know of each other.
pub(super) struct Agreed {
    pub(super) server_name: Option<String>,
    pub(super) cipher_suite: Option<&'static str>,
    pub(super) certificate: Option<Vec<u8>>,
}

impl Handshake {
    pub(super) fn new(
        stream: SslStream<MemoryIo>,
        path: Path,
        hello: HelloTag,
        deadline: Instant,
    ) -> Self {
        Self {
            stream,
            path,
            hello,
            deadline,
            early: EARLY,
        }
    }

    pub(super) fn path(&self) -> Path {
        self.path
    }

    pub(super) fn is_of(&self, hello: HelloTag) -> bool {
        self.hello == hello
    }

    pub(super) fn is_late(&self, now: Instant) -> bool {
        now >= self.deadline
    }

    /// Goes on, with a datagram or because time has passed. Returns whether the handshake is over.
    pub(super) fn drive(
        &mut self,
        datagram: Option<&[u8]>,
        send: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, Error> {
        if let Some(datagram) = datagram {
            self.stream.get_mut().arrived(datagram);
            for (number, record) in numbered_records(datagram) {
                if self.shows(number, record) {
                    self.stream.get_mut().show(record);
                    if self.go_on(send)? {
                        return Ok(true);
                    }
                }
            }
        }
        // Because of the time: a flight may be due again.
        self.go_on(send)
    }

    /// Whether OpenSSL is shown a record. Of those under keys that it does not have yet it keeps a hundred, each with a
    /// buffer for the longest there is, and data as well, once it has the keys and until the handshake is over. The
    /// association has what it needs of them from [`Seen`](crate::handshake_io::Seen).
    fn shows(&mut self, number: RecordNumber, record: &[u8]) -> bool {
        let is_message = record.first() == Some(&ContentType::HANDSHAKE.0);
        if number.epoch == 0 || !is_message {
            return number.epoch == 0;
        }
        if self.stream.ssl().state_string_long() == KEYS_CHANGED {
            return true;
        }
        let left = self.early.checked_sub(1);
        self.early = left.unwrap_or(0);
        left.is_some()
    }

    /// Has OpenSSL take what it is shown.
    fn go_on(&mut self, send: &mut dyn FnMut(&[u8])) -> Result<bool, Error> {
        let driven = self.stream.do_handshake();
        // An alert, too, where it failed.
        let departing = self.stream.get_mut().take_departing();
        departing.iter().for_each(|datagram| send(datagram));
        match driven {
            Ok(()) => Ok(true),
            Err(error) if waits(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a handshake apart that is over.
    pub(super) fn finish(mut self, tally: &Tally) -> Result<Finished, Error> {
        let seen = self.stream.get_mut().take_seen();
        let ssl = self.stream.ssl();
        let handed_over = take_apart(ssl, seen, Unread::All, tally)?;
        let certificate = ssl.peer_certificate();
        let certificate = certificate.map(|leaf| leaf.to_der()).transpose()?;
        Ok(Finished {
            handed_over,
            hello: self.hello,
            agreed: Agreed {
                server_name: ssl.servername(NameType::HOST_NAME).map(str::to_owned),
                cipher_suite: ssl.current_cipher().and_then(|suite| suite.standard_name()),
                certificate,
            },
        })
    }
}
