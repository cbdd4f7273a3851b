//! The forms of a target, and which method has which.

use underseal_http::Refusal::Target;

use super::{Case, refused};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    refused("a relative path", target!("a/b"), Target),
    refused("`*` without OPTIONS", target!("*"), Target),
    refused("another scheme", target!("ftp://a/"), Target),
    refused("a scheme without slashes", target!("http:a"), Target),
    refused("an authority without CONNECT", target!("a:80"), Target),
    refused("a path with CONNECT", b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", Target),
    refused("CONNECT without port", b"CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", Target),
    refused("user information in the target", target!("http://a@a/"), Target),
    refused("a fragment", target!("/a#b"), Target),
    refused("a fragment in the query", target!("/a?b#c"), Target),
    refused("a question mark after the host", target!("http://a?b"), Target),
];
