//! Options that are refused, and what is said of them.

use crate::harness::Start;

#[test]
fn what_is_wrong_with_an_option_is_said_of_that_option() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    let (http, tls) = ("127.0.0.1:9", "tls:127.0.0.1:9");
    for (to, options, code, text) in [
        (http, ["--admin", &*taken], 4, "choose another `--admin`,"),
        (
            http,
            ["--redirect-http", &*taken],
            4,
            "choose another `--redirect-http`,",
        ),
        (
            http,
            ["--admin", "nonsense"],
            4,
            "write `--admin ADDRESS:PORT`",
        ),
        (
            tls,
            ["--to-name", "foo bar"],
            2,
            "hint: give `--to-name NAME`",
        ),
        (
            http,
            ["--to", "https://api.test"],
            2,
            "write `tls:api.test:443`",
        ),
    ] {
        let (said, found) = Start::new(to).with(&options).refused();
        assert_eq!(found, Some(code), "{options:?}: {said}");
        assert!(said.contains(text), "{options:?}: {said}");
    }
}

#[test]
fn options_that_could_have_no_effect_are_refused() {
    let plain = |to: &str| Start::new(to).plain();
    let tcp = || Start::new("127.0.0.1:9").with(&["--protocol", "tcp"]);
    let pair = |option: &'static str| ["--cert", "c.pem", option, "k.pem"];
    let (http, tls) = ("127.0.0.1:9", "tls:127.0.0.1:9");
    for (start, options, hint) in [
        (
            plain(http),
            &["--client-ca", "ca.pem"][..],
            "--client-ca` with a TLS listener",
        ),
        (
            plain(tls),
            &["--client-ca", "ca.pem"],
            "--client-ca` with a TLS listener",
        ),
        (
            Start::new(http),
            &["--to-ca", "ca.pem"],
            "--to-ca` with `--to tls:HOST:PORT`",
        ),
        (
            Start::new(http),
            &["--to-name", "a.test"],
            "--to-name` with `--to tls:",
        ),
        (
            Start::new("unix:/run/a"),
            &["--to-cert", "c.pem", "--to-key", "k.pem"],
            "--to-cert` with `--to tls:",
        ),
        (plain(http), &pair("--key"), "--cert` with a TLS listener"),
        (
            plain(tls).with(&["--to-cert", "c.pem", "--to-key", "k.pem"]),
            &pair("--key"),
            "--cert` with a TLS listener",
        ),
        (
            plain(tls).with(&pair("--key")),
            &pair("--key"),
            "--cert` once",
        ),
        (
            plain(http),
            &["--min-tls", "1.2"],
            "--min-tls` with a TLS listener or",
        ),
        (
            plain(http),
            &["--offload", "user"],
            "--offload` with a TLS listener or",
        ),
        (
            plain(http).with(&["--protocol", "tcp"]),
            &["--alpn", "imap"],
            "--alpn` with a TLS listener or",
        ),
        (
            tcp(),
            &["--to-protocol", "h2"],
            "--to-protocol h2` with `--protocol http`",
        ),
        (tcp(), &["--host", "keep"], "--host` with `--protocol http`"),
        (
            tcp(),
            &["--path-parameters", "keep"],
            "--path-parameters` with",
        ),
        (tcp(), &["--encoded-slash", "keep"], "--encoded-slash` with"),
        (tcp(), &["--forwarded", "off"], "--forwarded` with"),
        (
            tcp(),
            &["--trusted-proxies", "10.0.0.0/8"],
            "--trusted-proxies` with",
        ),
        (tcp(), &["--half-close"], "--half-close` with"),
        (
            Start::new(http),
            &["--forwarded", "append"],
            "--forwarded append` with `--trusted-proxies CIDR`",
        ),
    ] {
        let (said, code) = start.with(options).refused();
        assert_eq!(code, Some(2), "{options:?}: {said}");
        assert!(
            said.contains(&format!("hint: give `{hint}")),
            "{options:?}: {said}"
        );
    }
}
