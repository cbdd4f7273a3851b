//! Whom a request is for.

use underseal_http::Refusal::{Connection, Host, HostDisagrees, NoHost, SeveralHosts};

use super::{Case, refused};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    refused("no Host", b"GET / HTTP/1.1\r\nX: y\r\n\r\n", NoHost),
    refused("no Host in HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n", NoHost),
    refused("two Hosts", get!("Host: b"), SeveralHosts),
    refused("two Hosts, alike", get!("host: a"), SeveralHosts),
    refused("an empty Host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", Host),
    refused("a list of Hosts", b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", Host),
    refused("user information in Host", b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", Host),
    refused("a path in Host", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Host),
    refused("a port that is none", b"GET / HTTP/1.1\r\nHost: a:80:81\r\n\r\n", Host),
    refused("another host in the target", target!("http://b/"), HostDisagrees),
    refused("another port in the target", target!("http://a:81/"), HostDisagrees),
    refused("CONNECT elsewhere", b"CONNECT b:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", HostDisagrees),
    refused("Connection: Host", get!("Connection: close, Host"), Connection),
    refused("Connection: Content-Length", post!("Connection: content-length\r\nContent-Length: 6"), Connection),
    refused("Connection: Transfer-Encoding", post!("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked"), Connection),
    refused("another Host than the target's", b"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", HostDisagrees),
    refused("a percent sign in Host", b"GET / HTTP/1.1\r\nHost: a%2eb\r\n\r\n", Host),
    refused("a space in Host", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Host),
];
