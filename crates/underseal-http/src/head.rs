//! What reading a head needs, in HTTP/1.1 and HTTP/2.

use std::net::SocketAddr;

use crate::host::MAX_AUTHORITY;
use crate::path::PathOptions;
use crate::request::Span;

/// How many field lines a head may have.
pub(crate) const MAX_FIELDS: usize = 100;

/// How long a path may be, in bytes.
pub(crate) const MAX_PATH: usize = 8192;

/// How heads are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// What paths may hold.
    pub path: PathOptions,
    /// How long a head may be, in bytes, the empty line included; at most 65535. Default: 32 KiB.
    pub max_head: usize,
    /// Where the client connected to: what a request of HTTP/1.0 without Host is for. `None` refuses it.
    pub local: Option<SocketAddr>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            path: PathOptions::default(),
            max_head: 32 * 1024,
            local: None,
        }
    }
}

/// Room for what reading a head makes anew: some ten KiB, allocated once and used again for any
/// number of heads, one after the other.
#[derive(Clone, Debug)]
pub struct Scratch(pub(crate) Box<Room>);

#[derive(Clone, Debug)]
pub(crate) struct Room {
    pub(crate) spans: [Span; MAX_FIELDS],
    pub(crate) path: [u8; MAX_PATH],
    pub(crate) host: [u8; MAX_AUTHORITY],
    /// Where the client connected to.
    pub(crate) local: [u8; MAX_AUTHORITY],
}

impl Default for Scratch {
    fn default() -> Self {
        Self(Box::new(Room {
            spans: [Span::default(); MAX_FIELDS],
            path: [0; MAX_PATH],
            host: [0; MAX_AUTHORITY],
            local: [0; MAX_AUTHORITY],
        }))
    }
}

/// How the body of a request is delimited (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    #[default]
    Empty,
    /// This many bytes.
    Length(u64),
    /// Chunks, to be read with [`Chunks`](crate::http1::Chunks).
    Chunked,
}
