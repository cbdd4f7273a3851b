//! Paths: in normal form where a policy asks for them, and as they were sent where none does; encoded slashes.

use crate::backend::Backend;
use crate::harness::{Proxy, Start};
use crate::http2::h2_backend;
use crate::judged::Version;

const PATHS: &str = "{ rules: [{ to: [{ operation: { paths: ['/a/b', '/pkg/*', '/c%2Fd'] } }] }] }";
const METHODS: &str = "{ rules: [{ to: [{ operation: { methods: [GET] } }] }] }";

/// The target that reaches a backend for `target`, or the status where none does.
fn arrived(client: Version, proxy: &Proxy, backend: &Backend, target: &str) -> Result<String, u16> {
    let before = backend.heads().len();
    let status = client.get_target(proxy.address, target);
    match backend.heads().get(before) {
        Some(head) => Ok(head.split(' ').nth(1).expect("a target").to_owned()),
        None => Err(status),
    }
}

#[test]
fn paths_that_no_policy_asks_for_go_on_as_they_were_sent() {
    for policy in [None, Some(METHODS)] {
        let backend = Backend::echo();
        let mut start = Start::new(backend.address).plain();
        if let Some(policy) = policy {
            start = start.policy(policy);
        }
        let proxy = start.start();
        for client in Version::BOTH {
            for target in [
                "/a//b",
                "/%41?%41",
                "/@scope%2fpkg",
                "/a/./b/../c",
                "/a;b=c",
            ] {
                let came = arrived(client, &proxy, &backend, target);
                assert_eq!(came.as_deref(), Ok(target), "{client:?} {policy:?}");
            }
            // What may be read in two ways is refused all the same.
            for target in ["/a%5Cb", "/%00", "/a/..;/b", "/%zz"] {
                let came = arrived(client, &proxy, &backend, target);
                assert_eq!(came, Err(400), "{client:?} {policy:?} {target}");
            }
        }
    }
}

#[test]
fn paths_that_a_policy_asks_for_go_on_as_they_are_judged() {
    let backend = Backend::echo();
    let proxy = Start::new(backend.address).plain().policy(PATHS).start();
    for client in Version::BOTH {
        for target in ["/a//b", "/%61/b", "/a/x/../b"] {
            let came = arrived(client, &proxy, &backend, target);
            assert_eq!(came.as_deref(), Ok("/a/b"), "{client:?} {target}");
        }
        assert_eq!(arrived(client, &proxy, &backend, "/pkg/%2e%2e/c"), Err(403));
    }
}

#[test]
fn a_path_is_audited_however_it_is_spelt() {
    let backend = Backend::echo();
    let proxy = Start::new(backend.address)
        .plain()
        .policy("{ action: AUDIT, rules: [{ to: [{ operation: { paths: ['/admin*'] } }] }] }")
        .start();
    for client in Version::BOTH {
        for target in ["/%61dmin1", "//admin2", "/x/../admin3"] {
            let came = arrived(client, &proxy, &backend, target);
            let number = &target[target.len() - 1..];
            let path = format!("/admin{number}");
            assert_eq!(came.as_deref(), Ok(&*path), "{client:?} {target}");
            assert_eq!(proxy.logged_path(&path)["audit"], "orders/0", "{target}");
        }
        // Whoever only looks on refuses nothing.
        let came = arrived(client, &proxy, &backend, "/a;b%2Fc");
        assert!(came.is_ok(), "{client:?} {came:?}");
    }
}

#[test]
fn an_encoded_slash_is_refused_kept_or_decoded() {
    for (option, policy, target, expected) in [
        (None, None, "/pkg/a%2Fb", Ok("/pkg/a%2Fb")),
        (None, Some(METHODS), "/pkg/a%2fb", Ok("/pkg/a%2fb")),
        (None, Some(PATHS), "/pkg/a%2Fb", Err(400)),
        (Some("reject"), None, "/pkg/a%2Fb", Err(400)),
        (Some("keep"), Some(PATHS), "/pkg/a%2fb", Ok("/pkg/a%2Fb")),
        (Some("keep"), Some(PATHS), "/c%2Fd", Ok("/c%2Fd")),
        // It is no segment of its own.
        (Some("keep"), Some(PATHS), "/pkg%2Fa", Err(403)),
        (Some("decode"), None, "/pkg/a%2Fb", Ok("/pkg/a/b")),
        (Some("decode"), Some(PATHS), "/a%2Fb", Ok("/a/b")),
        (Some("decode"), Some(PATHS), "/pkg%2F..%2Fsecret", Err(403)),
    ] {
        let backend = Backend::echo();
        let mut start = Start::new(backend.address).plain();
        if let Some(option) = option {
            start = start.with(&["--encoded-slash", option]);
        }
        if let Some(policy) = policy {
            start = start.policy(policy);
        }
        let proxy = start.start();
        for client in Version::BOTH {
            let came = arrived(client, &proxy, &backend, target);
            let expected = expected.map(str::to_owned);
            assert_eq!(came, expected, "{client:?} {option:?} {policy:?} {target}");
        }
    }
}

#[test]
fn a_backend_of_http2_gets_the_same_path() {
    let start = Start::new(h2_backend()).plain();
    let proxy = start.with(&["--to-protocol", "h2"]).start();
    for client in Version::BOTH {
        let (status, fields) = client.ask_for(proxy.address, "/a//%41%2Fb", &[]);
        assert_eq!(status, 200, "{client:?}");
        assert!(fields.contains("/a//%41%2Fb"), "{client:?} {fields}");
    }
}
