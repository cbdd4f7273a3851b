//! Where lines end, and whether they go on.

use underseal_http::Refusal::{BareCarriageReturn, BareLineFeed, FieldValue, LineFolding};

use super::{Case, refused};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    refused("obs-fold, space", get!("X: a\r\n b"), LineFolding),
    refused("obs-fold, tab", post!("Transfer-Encoding: chunked\r\n\t, identity"), LineFolding),
    refused("obs-fold of the first field", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", LineFolding),
    refused("LF alone after the request line", b"GET / HTTP/1.1\nHost: a\r\n\r\n", BareLineFeed),
    refused("LF alone after a field", b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", BareLineFeed),
    refused("LF alone at the end", b"GET / HTTP/1.1\r\nHost: a\r\n\n", BareLineFeed),
    refused("LF alone within a value", post!("X: a\nTransfer-Encoding: chunked"), BareLineFeed),
    refused("CR alone within a value", post!("X: a\rTransfer-Encoding: chunked"), BareCarriageReturn),
    refused("CR CR LF", get!("X: a\r\r\nY: b"), BareCarriageReturn),
    refused("NUL in a value", get!("X: a\0b"), FieldValue),
    refused("escape in a value", get!("X: a\x1b[2Jb"), FieldValue),
    refused("CR alone at the end", get!("X: a\r\r\r\n"), BareCarriageReturn),
    refused("LF CR LF", get!("X: a\n\r\nGET /admin HTTP/1.1\r\nHost: a"), BareLineFeed),
    refused("obs-fold of Host", b"GET / HTTP/1.1\r\nHost: a\r\n .b\r\n\r\n", LineFolding),
];
