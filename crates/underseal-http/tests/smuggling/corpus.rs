//! What programs have been seen to read differently, class by class, and what has one reading: a
//! table, for whoever reads requests. From RFC 9110 to 9112 and from known classes of CVEs; the
//! classes are named as the literature names them.

use underseal_http::Refusal;

/// Bytes that a client sends on a new connection, and what is to become of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) sent: &'static [u8],
    pub(crate) reading: Result<Reading, Refusal>,
}

/// The one request that these bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) method: &'static str,
    /// In normal form.
    pub(crate) path: &'static str,
    pub(crate) host: &'static str,
    /// Bytes of its body, without the framing of chunks.
    pub(crate) content: usize,
}

/// Cases of one kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Class {
    pub(crate) name: &'static str,
    pub(crate) cases: &'static [Case],
}

/// All of them; the last is what has one reading.
pub(crate) const CLASSES: [Class; 9] = [
    class("Lengths", lengths::CASES),
    class("Names", names::CASES),
    class("Lines", lines::CASES),
    class("Request lines", request_lines::CASES),
    class("Hosts", hosts::CASES),
    class("Targets", targets::CASES),
    class("Paths", paths::CASES),
    class("Chunks", chunks::CASES),
    class("One reading", one_reading::CASES),
];

const fn class(name: &'static str, cases: &'static [Case]) -> Class {
    Class { name, cases }
}

const fn refused(name: &'static str, sent: &'static [u8], refusal: Refusal) -> Case {
    Case {
        name,
        sent,
        reading: Err(refusal),
    }
}

const fn read(name: &'static str, sent: &'static [u8], reading: Reading) -> Case {
    Case {
        name,
        sent,
        reading: Ok(reading),
    }
}

/// A POST with these fields after `Host: a`, and a body: `0 CR LF CR LF X` unless it is given. Who
/// reads chunks finds their end before `X`, which then is the first byte of the next request's
/// method; who reads six bytes does not.
macro_rules! post {
    ($fields:expr) => {
        post!($fields, "0\r\n\r\nX")
    };
    ($fields:expr, $body:expr) => {
        concat!("POST / HTTP/1.1\r\nHost: a\r\n", $fields, "\r\n\r\n", $body).as_bytes()
    };
}

/// A GET with these fields after `Host: a`.
macro_rules! get {
    ($fields:expr) => {
        concat!("GET / HTTP/1.1\r\nHost: a\r\n", $fields, "\r\n\r\n").as_bytes()
    };
}

/// A GET of this target, whose Host is `a`.
macro_rules! target {
    ($target:expr) => {
        concat!("GET ", $target, " HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()
    };
}

/// A POST of chunks.
macro_rules! chunks {
    ($body:expr) => {
        post!("Transfer-Encoding: chunked", $body)
    };
}

// By their paths, so that the table can be had from another directory.
#[path = "corpus/chunks.rs"]
mod chunks;
#[path = "corpus/hosts.rs"]
mod hosts;
#[path = "corpus/lengths.rs"]
mod lengths;
#[path = "corpus/lines.rs"]
mod lines;
#[path = "corpus/names.rs"]
mod names;
#[path = "corpus/one_reading.rs"]
mod one_reading;
#[path = "corpus/paths.rs"]
mod paths;
#[path = "corpus/request_lines.rs"]
mod request_lines;
#[path = "corpus/targets.rs"]
mod targets;
