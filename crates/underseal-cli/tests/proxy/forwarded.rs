//! What backends are told of whom a request came from, and of the host that it is for.

use std::io::{Read as _, Write as _};

use underseal_testkit::{Certificates, KeyType};

use crate::backend::Backend;
use crate::harness::Start;
use crate::judged::Version;
use crate::tls::tls_backend;

const FIELD: &str = "x-forwarded-for";

/// The value of a field of a head; `None` if there is no such field.
fn value(head: &str, name: &str) -> Option<String> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let found = lines.find(|(field, _)| field.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.to_owned())
}

#[test]
fn the_text_form_of_the_proxy_protocol_is_read() {
    let backend = Backend::echo();
    let proxy = Start::new(backend.address)
        .plain()
        .with(&["--accept-proxy"])
        .start();
    let ask = |header: &str| {
        let mut tcp = proxy.tcp();
        let head = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        tcp.write_all([header, head].concat().as_bytes())
            .expect("send");
        let mut text = String::new();
        // One that is closed with something unread is reset.
        let _ = tcp.read_to_string(&mut text);
        text
    };
    for (header, told) in [
        ("PROXY TCP4 192.0.2.7 203.0.113.1 4660 443\r\n", "192.0.2.7"),
        (
            "PROXY TCP6 2001:db8::7 2001:db8::1 1 65535\r\n",
            "2001:db8::7",
        ),
        ("PROXY UNKNOWN\r\n", "unknown"),
        ("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "unknown"),
    ] {
        assert!(ask(header).starts_with("HTTP/1.1 200"), "{header}");
        let head = backend.heads().pop().expect("a head");
        assert_eq!(value(&head, FIELD).as_deref(), Some(told), "{header}{head}");
    }
    let heads = backend.heads().len();
    for header in [
        "PROXY TCP4 192.0.2.7 203.0.113.1 4660\r\n",
        "PROXY TCP4 2001:db8::7 2001:db8::1 4660 443\r\n",
        "PROXY TCP4 192.0.2.7 203.0.113.1 04660 443\r\n",
        "PROXY TCP4 192.0.2.7 203.0.113.1 4660 443\n",
        "proxy TCP4 192.0.2.7 203.0.113.1 4660 443\r\n",
        "",
    ] {
        assert_eq!(ask(header), "", "{header}");
    }
    assert_eq!(backend.heads().len(), heads);
}

#[test]
fn backends_are_told_what_the_options_say() {
    let told = "198.51.100.7, 192.0.2.1";
    let both = "6.6.6.6, 192.0.2.1, 127.0.0.9";
    for (options, said, expected) in [
        (&[][..], told, Some("127.0.0.1")),
        (&["--forwarded", "off"], told, None),
        (&["--trusted-proxies", "127.0.0.1"], told, Some("192.0.2.1")),
        (
            &["--trusted-proxies", "10.0.0.0/8,127.0.0.0/8"],
            both,
            Some("192.0.2.1"),
        ),
        (
            &["--trusted-proxies", "127.0.0.0/8", "--forwarded", "append"],
            both,
            Some("6.6.6.6, 192.0.2.1, 127.0.0.9, 127.0.0.1"),
        ),
        (
            &["--trusted-proxies", "127.0.0.0/8", "--forwarded", "off"],
            both,
            None,
        ),
        (
            &["--trusted-proxies", "127.0.0.1"],
            "192.0.2.1, junk",
            Some("unknown"),
        ),
        (
            &["--trusted-proxies", "127.0.0.1"],
            "fe80::1%eth0",
            Some("unknown"),
        ),
        (
            &["--trusted-proxies", "10.0.0.0/8"],
            told,
            Some("127.0.0.1"),
        ),
    ] {
        for client in Version::BOTH {
            let backend = Backend::echo();
            let proxy = Start::new(backend.address).plain().with(options).start();
            let (status, _) = client.ask_for(proxy.address, "/", &[(FIELD, said)]);
            assert_eq!(status, 200);
            let head = backend.heads().pop().expect("a head");
            assert_eq!(
                value(&head, FIELD).as_deref(),
                expected,
                "{options:?} {head}"
            );
            let proto = value(&head, "x-forwarded-proto");
            assert_eq!(proto.is_some(), expected.is_some(), "{options:?} {head}");
        }
    }
}

#[test]
fn policies_see_whom_trusted_proxies_name() {
    let deny =
        "{ action: DENY, rules: [{ when: [{ key: source.remoteIp, values: ['192.0.2.0/24'] }] }] }";
    let allow = "{ rules: [{ when: [{ key: source.remoteIp, values: ['192.0.2.0/24'] }] }] }";
    for (policy, trusted, said, status) in [
        (allow, true, "192.0.2.1", 200),
        (allow, true, "192.0.2.1, 6.6.6.6", 403),
        (allow, true, "192.0.2.1, junk", 403),
        (allow, false, "192.0.2.1", 403),
        (deny, true, "192.0.2.1", 403),
        (deny, true, "6.6.6.6", 200),
        // Nobody knows who that is.
        (deny, true, "junk", 403),
        (deny, false, "192.0.2.1", 200),
    ] {
        let mut start = Start::new(Backend::echo().address).plain().policy(policy);
        if trusted {
            start = start.with(&["--trusted-proxies", "127.0.0.1"]);
        }
        let proxy = start.start();
        for client in Version::BOTH {
            let (found, _) = client.ask_for(proxy.address, "/", &[(FIELD, said)]);
            assert_eq!(found, status, "{client:?} {policy} {trusted} {said}");
        }
    }
}

#[test]
fn backends_are_told_the_host_that_the_option_says() {
    for (host, expected) in [("keep", "asked.test"), ("A.test:80", "a.test:80")] {
        for client in Version::BOTH {
            let backend = Backend::echo();
            let start = Start::new(backend.address).plain();
            let proxy = start.with(&["--host", host]).start();
            let (status, _) = client.ask_for(proxy.address, "/", &[]);
            assert_eq!(status, 200);
            let head = backend.heads().pop().expect("a head");
            assert_eq!(
                value(&head, "host").as_deref(),
                Some(expected),
                "{client:?}"
            );
            assert_eq!(proxy.logged_path("/")["host"], expected);
        }
    }
    let backend = Backend::echo();
    let start = Start::new(backend.address).plain();
    let proxy = start.with(&["--host", "backend"]).start();
    Version::Http1.ask_for(proxy.address, "/", &[]);
    let head = backend.heads().pop().expect("a head");
    assert_eq!(value(&head, "host"), Some(backend.address.to_string()));
}

#[test]
fn a_backend_with_tls_and_a_name_is_told_its_own_and_policies_see_that() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let port = tls_backend(&certificates).port();
    let ca = certificates.ca_file().display().to_string();
    let own = format!("localhost:{port}");
    for (to, options, host) in [
        (format!("tls:localhost:{port}"), &[][..], &*own),
        (format!("tls:127.0.0.1:{port}"), &[], "asked.test"),
        (
            format!("tls:127.0.0.1:{port}"),
            &["--to-name", "localhost"],
            &own,
        ),
        (
            format!("tls:localhost:{port}"),
            &["--host", "keep"],
            "asked.test",
        ),
    ] {
        let policy = format!(
            "{{ direction: Egress, rules: [{{ to: [{{ operation: {{ hosts: ['{host}'] }} }}] }}] }}"
        );
        let proxy = Start::new(&to)
            .plain()
            .policy(&policy)
            .with(&["--to-ca", &ca])
            .with(options)
            .start();
        let mut tcp = proxy.tcp();
        let ask = "GET / HTTP/1.1\r\nHost: asked.test\r\nConnection: close\r\n\r\n";
        tcp.write_all(ask.as_bytes()).expect("send");
        let mut text = String::new();
        tcp.read_to_string(&mut text).expect("an answer");
        let told = format!("\r\nHost: {host}\r\n");
        assert!(text.contains(&told), "{to} {options:?} {text}");
    }
}

#[test]
fn a_host_that_backends_do_not_share_is_not_theirs() {
    let two = ["--to", "tls:127.0.0.1:9", "--host", "backend"];
    let (said, code) = Start::new("tls:localhost:9").with(&two).refused();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--host keep"), "{said}");
}
