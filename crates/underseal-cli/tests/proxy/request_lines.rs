//! Request lines that are longer than anybody serves, and what may stand before one (RFC 9112 sections 2.2
//! and 3).

use std::io::{Read as _, Write as _};

use crate::backend::Backend;
use crate::harness::Start;
use crate::http2::h2_backend;
use crate::judged::Version;

#[test]
fn a_long_uri_is_answered_414() {
    let backend = Backend::echo();
    let proxy = Start::new(backend.address).plain().start();
    let long = "x".repeat(9000);
    for client in Version::BOTH {
        // In normal form, for which there need be no room, and not.
        for (target, expected) in [(format!("/{long}"), 200), (format!("/%41{long}"), 414)] {
            let status = client.get_target(proxy.address, &target);
            assert_eq!(status, expected, "{client:?} {target:.5}");
        }
    }
    // Longer than a whole head may be; HTTP/2 says so of the list of its fields, not of one.
    let target = format!("/?{}", "x".repeat(40_000));
    assert_eq!(Version::Http1.get_target(proxy.address, &target), 414);
    assert_eq!(Version::Http2.get_target(proxy.address, &target), 431);
    assert_eq!(backend.heads().len(), 2);
}

/// RFC 9112 section 3: it is none that anybody implements, however long the whole head is.
#[test]
fn a_long_method_is_answered_501() {
    for backend in Version::BOTH {
        let address = match backend {
            Version::Http1 => Backend::echo().address,
            Version::Http2 => h2_backend(),
        };
        let proxy = Start::new(address).plain().with(backend.options()).start();
        for client in Version::BOTH {
            for (length, status) in [(64, 200), (65, 501), (9_000, 501)] {
                let method = "M".repeat(length);
                let answered = client.send(proxy.address, &method, b"");
                assert_eq!(answered, status, "{client:?} {backend:?} {length}");
            }
        }
        // Longer than a whole head may be; HTTP/2 says so of the list of its fields, not of one.
        let method = "M".repeat(40_000);
        assert_eq!(Version::Http1.send(proxy.address, &method, b""), 501);
        assert_eq!(Version::Http2.send(proxy.address, &method, b""), 431);
        proxy.logged(|line| line["error"] == "refused:method-too-long");
    }
}

#[test]
fn one_empty_line_before_a_request_is_ignored() {
    for version in Version::BOTH {
        let backend = match version {
            Version::Http1 => Backend::echo().address,
            Version::Http2 => h2_backend(),
        };
        let proxy = Start::new(backend).plain().with(version.options()).start();
        let statuses = |text: &str| {
            let mut tcp = proxy.tcp();
            tcp.write_all(text.as_bytes()).expect("send");
            let mut came = String::new();
            tcp.read_to_string(&mut came).expect("answers");
            let answers = came.split("HTTP/1.1 ").skip(1);
            answers
                .map(|answer| answer[..3].to_owned())
                .collect::<Vec<_>>()
        };
        let first = "\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab";
        let last = "\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        assert_eq!(
            statuses(&[first, last].concat()),
            ["200", "200"],
            "{version:?}"
        );
        assert_eq!(statuses(&format!("\r\n{last}")), ["400"], "{version:?}");
        let bare = format!("\n{}", last.trim_start());
        assert_eq!(statuses(&bare), ["400"], "{version:?}");
    }
}
