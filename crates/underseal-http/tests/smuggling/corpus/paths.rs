//! Paths that are read in two ways.

use underseal_http::PathFault;
use underseal_http::Refusal::{Path, RequestLine};

use super::{Case, refused};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    refused("an encoded slash", target!("/a%2fb"), Path(PathFault::EncodedSlash)),
    refused("an encoded slash to climb", target!("/a/..%2fadmin"), Path(PathFault::EncodedSlash)),
    refused("an encoded backslash", target!("/a%5c..%5cadmin"), Path(PathFault::EncodedBackslash)),
    refused("a backslash", target!("/a\\..\\admin"), Path(PathFault::Byte)),
    refused("an encoded NUL", target!("/admin%00.png"), Path(PathFault::EncodedControl)),
    refused("an encoded CR LF", target!("/a%0d%0aX:%20y"), Path(PathFault::EncodedControl)),
    refused("a parameter", target!("/a;b=c/d"), Path(PathFault::Parameter)),
    refused("`..;`", target!("/public/..;/admin"), Path(PathFault::DotParameter)),
    refused("half an escape", target!("/a%2"), Path(PathFault::Percent)),
    refused("overlong UTF-8 in raw bytes", b"GET /\xc0\xae\xc0\xae/ HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
    refused("UTF-8 in raw bytes", target!("/\u{e4}"), Path(PathFault::Byte)),
    refused("an encoded slash, doubled dots", target!("/public/%2e%2e%2fadmin"), Path(PathFault::EncodedSlash)),
    refused("a wide escape", target!("/%u002e%u002e/admin"), Path(PathFault::Percent)),
];
