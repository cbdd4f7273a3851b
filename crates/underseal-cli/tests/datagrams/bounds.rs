//! How long clients are kept, how many of them, and which options make no sense.

use crate::{Echo, exchange_plain, plain_client, s_client, start};

#[test]
fn a_silent_client_is_forgotten_and_logged() {
    let proxy = start(Echo::new().address)
        .plain()
        .with(&["--idle-timeout", "0.3"])
        .start();
    let client = plain_client(&proxy);
    exchange_plain(&client, "hello");
    let line = proxy.logged(|line| line["protocol"] == "dtls");
    assert_eq!(
        (&line["bytes_in"], &line["bytes_out"]),
        (&5.into(), &5.into())
    );
    assert!(line["error"].is_null(), "{line}");
    exchange_plain(&client, "and is a new one");
}

#[test]
fn a_silent_association_is_closed() {
    let proxy = start(Echo::new().address)
        .with(&["--idle-timeout", "0.3"])
        .start();
    let client = s_client(&proxy);
    proxy.logged(|line| line["protocol"] == "dtls");
    // s_client ends by itself when it is told so.
    client.finish();
}

#[test]
fn one_client_too_many_is_dropped_and_the_others_go_on() {
    let proxy = start(Echo::new().address)
        .plain()
        .with(&["--max-connections", "1", "--admin", "127.0.0.1:0"])
        .start();
    let first = plain_client(&proxy);
    exchange_plain(&first, "first");
    let second = plain_client(&proxy);
    second.send(b"second").expect("send");
    exchange_plain(&first, "goes on");
    let deadline = std::time::Instant::now() + underseal_testkit::PATIENCE;
    let expected = "underseal_dropped_datagrams_total{reason=\"clients\"} 1";
    while !proxy.admin("/metrics").contains(expected) {
        assert!(std::time::Instant::now() < deadline, "never counted");
    }
}

#[test]
fn options_that_datagrams_have_no_use_for_are_refused() {
    for option in [
        &["--min-tls", "1.3"][..],
        &["--accept-proxy"],
        &["--send-proxy"],
        &["--alpn", "coap"],
        &["--health-check", "/"],
    ] {
        let (said, code) = start("127.0.0.1:9").with(option).refused();
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("hint: "), "{said}");
    }
}
