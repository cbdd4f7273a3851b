//! Chunked bodies: sizes, extensions, line ends and trailers.

use underseal_http::Refusal::Chunk;

use super::{Case, refused};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    refused("LF alone after a size", chunks!("5\nhello\r\n0\r\n\r\n"), Chunk),
    refused("LF alone after a chunk", chunks!("5\r\nhello\n0\r\n\r\n"), Chunk),
    refused("LF alone after the last chunk", chunks!("5\r\nhello\r\n0\n\n"), Chunk),
    refused("LF alone behind the last chunk's line", chunks!("5\r\nhello\r\n0\r\n\n"), Chunk),
    refused("LF alone in an extension", chunks!("5;\nxx\r\nhello\r\n0\r\n\r\n"), Chunk),
    refused("CR alone after a size", chunks!("5\rhello\r\n0\r\n\r\n"), Chunk),
    refused("CR CR LF after an extension", chunks!("5;a\r\r\nhello\r\n0\r\n\r\n"), Chunk),
    refused("a space before a size", chunks!(" 5\r\nhello\r\n0\r\n\r\n"), Chunk),
    refused("a space after a size", chunks!("5 \r\nhello\r\n0\r\n\r\n"), Chunk),
    refused("a tab after a size", chunks!("5\t\r\nhello\r\n0\r\n\r\n"), Chunk),
    refused("a size with `0x`", chunks!("0x5\r\nhello\r\n0\r\n\r\n"), Chunk),
    refused("a size with a sign", chunks!("+5\r\nhello\r\n0\r\n\r\n"), Chunk),
    refused("a size below zero", chunks!("-5\r\nhello\r\n0\r\n\r\n"), Chunk),
    refused("a size with an underscore", chunks!("0_5\r\nhello\r\n0\r\n\r\n"), Chunk),
    refused("no size", chunks!("\r\nhello\r\n0\r\n\r\n"), Chunk),
    refused("an extension without size", chunks!(";a=b\r\nhello\r\n0\r\n\r\n"), Chunk),
    refused("a size beyond 64 bits", chunks!("10000000000000005\r\nhello\r\n0\r\n\r\n"), Chunk),
    refused("a size beyond 63 bits", chunks!("ffffffffffffffff\r\nhello\r\n0\r\n\r\n"), Chunk),
    refused("a chunk that is too long", chunks!("5\r\nhello!!\r\n0\r\n\r\n"), Chunk),
    refused("a chunk without end", chunks!("5\r\nhello0\r\n\r\n"), Chunk),
    refused("NUL in an extension", chunks!("5;a\0\r\nhello\r\n0\r\n\r\n"), Chunk),
    refused("Content-Length as a trailer", chunks!("5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n"), Chunk),
    refused("Transfer-Encoding as a trailer", chunks!("5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"), Chunk),
    refused("Host as a trailer", chunks!("5\r\nhello\r\n0\r\nHost: b\r\n\r\n"), Chunk),
    refused("a trailer without colon", chunks!("5\r\nhello\r\n0\r\nGET /admin HTTP/1.1\r\n\r\n"), Chunk),
    // Not here: a space before a trailer's colon, which HAProxy 2.6 refuses in some runs only.
    refused("a folded trailer", chunks!("5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n"), Chunk),
];
