//! Another protocol than HTTP.

use std::io::{Read as _, Write as _};

use underseal_testkit::{CLIENT_ID, Certificates, KeyType, Suite};

use crate::backend::Backend;
use crate::client::Client;
use crate::harness::{Start, close_notify};

/// Gives back what comes, byte by byte, until there is no more.
fn parrot() -> Backend {
    Backend::new(|connection| {
        loop {
            let byte = connection.read(1);
            if byte.is_empty() {
                break;
            }
            connection.send(byte);
        }
        connection.send("bye");
    })
}

#[test]
fn bytes_pass_both_ways_and_so_do_ends() {
    let backend = parrot();
    let proxy = Start::new(backend.address)
        .with(&["--protocol", "tcp"])
        .start();
    let mut client = proxy.client();
    client.send("hello");
    let mut body = [0; 5];
    client.read_body(&mut body);
    assert_eq!(&body, b"hello");
    close_notify(&mut client);
    let (rest, ended) = client.rest();
    assert_eq!(rest, b"bye");
    ended.expect("close_notify");
    let line = proxy.logged(|line| line["protocol"] == "tcp");
    assert_eq!(
        (&line["bytes_in"], &line["bytes_out"]),
        (&5.into(), &8.into())
    );
    assert!(line["error"].is_null());
}

#[test]
fn a_denied_connection_is_closed_cleanly_and_reaches_nobody() {
    let spec =
        format!("{{ rules: [{{ from: [{{ source: {{ principals: ['{CLIENT_ID}'] }} }}] }}] }}");
    let backend = parrot();
    let proxy = Start::new(backend.address)
        .mutual()
        .with(&["--protocol", "tcp", "--client-auth", "optional"])
        .with(&["--admin", "127.0.0.1:0"])
        .policy(&spec)
        .start();
    let mut stranger = proxy.client();
    stranger.expect_close();
    assert_eq!(backend.connections(), 0);
    let line = proxy.logged(|line| line["verdict"] == "deny");
    assert_eq!(line["attribute"], "source.principals");
    let mut known = proxy.mutual_client();
    known.send("x");
    let mut byte = [0];
    known.read_body(&mut byte);
    assert_eq!(&byte, b"x");
    // What is answered in plain HTTP is counted as a request.
    let answer = crate::redirect::ask(proxy.address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    proxy.logged(|line| line["error"] == "plain-http");
    let metrics = proxy.admin("/metrics");
    assert!(
        metrics.contains("underseal_requests_total{protocol=\"http1\",code=\"400\"} 1\n"),
        "{metrics}"
    );
    crate::metrics_page::check(&metrics, "tcp");
}

#[test]
fn a_policy_that_asks_for_http_does_not_load() {
    let paths = "rules: [{ to: [{ operation: { paths: ['/admin'] } }] }]";
    let deny = format!("{{ action: DENY, {paths} }}");
    let egress = format!("{{ direction: Egress, {paths} }}");
    for (protocol, spec, options) in [
        ("tcp", &deny, &[][..]),
        ("dtls", &deny, &[]),
        ("tcp", &egress, &["--direction", "egress"]),
    ] {
        let (said, code) = Start::new("127.0.0.1:9")
            .with(&["--protocol", protocol])
            .with(options)
            .policy(spec)
            .refused();
        assert!(
            said.contains("`paths` is known of HTTP only, and port "),
            "{said}"
        );
        let port = if options.is_empty() {
            ""
        } else {
            "and port 9 "
        };
        assert!(said.contains(port), "{said}");
        assert_eq!(code, Some(6), "{said}");
    }
    // Whichever port it names, where nobody knows to which one clients come.
    let other = "rules: [{ to: [{ operation: { ports: ['443'], paths: ['/admin'] } }] }]";
    let egress = format!("{{ direction: Egress, {other} }}");
    for (to, spec, options) in [
        (
            "127.0.0.1:9",
            &format!("{{ {other} }}"),
            &["--accept-proxy"][..],
        ),
        ("unix:/nowhere", &egress, &["--direction", "egress"]),
    ] {
        let (said, code) = Start::new(to)
            .with(&["--protocol", "tcp"])
            .with(options)
            .policy(spec)
            .refused();
        let expected = "`paths` is known of HTTP only, which is spoken on no port";
        assert!(said.contains(expected), "{said}");
        assert_eq!(code, Some(6), "{said}");
    }
    // One that is for others is for theirs.
    let proxy = Start::new(parrot().address)
        .with(&["--protocol", "tcp", "--allow-unselected"])
        .policy(&format!(
            "{{ selector: {{ matchLabels: {{ app: web }} }}, {paths} }}"
        ))
        .start();
    proxy
        .peer
        .wait_for("policies     0 of 1 policies are for this workload");
}

#[test]
fn a_backend_that_is_reset_cuts_the_client_off() {
    let backend = Backend::new(|connection| {
        connection.read(1);
        connection.send("partial");
        std::thread::sleep(std::time::Duration::from_millis(100));
        connection.reset();
    });
    let proxy = Start::new(backend.address)
        .with(&["--protocol", "tcp"])
        .start();
    let mut client = proxy.client();
    client.send("x");
    client.rest().1.expect_err("no close_notify");
}

#[test]
fn a_silent_tunnel_ends() {
    let proxy = Start::new(parrot().address)
        .with(&["--protocol", "tcp", "--tunnel-timeout", "0.3"])
        .start();
    let mut client = proxy.client();
    client.rest().1.expect_err("no close_notify");
    let line = proxy.logged(|line| line["protocol"] == "tcp");
    assert_eq!(line["error"], "tunnel-silent");
}

/// Answers with what it read of the client to its end, and does not end itself.
fn listener() -> Backend {
    Backend::new(|connection| {
        let came = connection.read(1000);
        connection.send(&came);
        connection.read(1);
        std::thread::sleep(underseal_testkit::PATIENCE);
    })
}

#[test]
fn a_half_closed_tunnel_ends_sooner_than_one_that_is_silent() {
    let backend = listener();
    let proxy = Start::new(backend.address)
        .with(&["--protocol", "tcp", "--half-close-timeout", "0.3"])
        .start();
    let mut client = proxy.client();
    client.send("all of it");
    close_notify(&mut client);
    let (came, ended) = client.rest();
    assert_eq!(came, b"all of it");
    ended.expect_err("no close_notify");
    let line = proxy.logged(|line| line["protocol"] == "tcp");
    assert_eq!(line["error"], "tunnel-silent");
}

#[test]
fn what_still_passes_keeps_a_half_closed_tunnel() {
    let backend = Backend::new(|connection| {
        connection.read(1000);
        for _ in 0..8 {
            std::thread::sleep(std::time::Duration::from_millis(500));
            connection.send("x");
        }
    });
    let proxy = Start::new(backend.address)
        .with(&["--protocol", "tcp", "--half-close-timeout", "2"])
        .start();
    let mut client = proxy.client();
    client.send("all of it");
    close_notify(&mut client);
    let (came, ended) = client.rest();
    assert_eq!(came, b"xxxxxxxx");
    ended.expect("close_notify");
}

#[test]
fn a_client_can_speak_for_another_address_and_the_backend_is_told() {
    let backend = Backend::new(|connection| {
        let header = connection.read(28);
        connection.send(header);
    });
    let proxy = Start::new(backend.address)
        .plain()
        .with(&["--protocol", "tcp", "--accept-proxy", "--send-proxy"])
        .start();
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend([192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x34, 0x01, 0xbb]);
    let mut tcp = proxy.tcp();
    tcp.write_all(&header).expect("send");
    let mut told = Vec::new();
    tcp.read_to_end(&mut told).expect("a header");
    assert_eq!(told, header);
    drop(tcp);
    proxy.logged(|line| line["remote"] == "192.0.2.1:4660");

    let mut tcp = proxy.tcp();
    let text = b"PROXY TCP4 192.0.2.9 198.51.100.2 4661 443\r\n";
    tcp.write_all(text).expect("send");
    let mut told = Vec::new();
    tcp.read_to_end(&mut told).expect("a header");
    header[19] = 9;
    header[25] = 0x35;
    assert_eq!(told, header);
    drop(tcp);
    proxy.logged(|line| line["remote"] == "192.0.2.9:4661");

    let mut silent = proxy.tcp();
    silent.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("send");
    let mut nothing = Vec::new();
    let _ = silent.read_to_end(&mut nothing);
    assert_eq!(nothing, b"");
}

/// Whoever speaks for itself is judged by its own address, and for whom nobody tells one, by none.
#[test]
fn policies_know_no_address_of_a_client_that_nobody_tells() {
    let backend = Backend::new(|connection| {
        let mut header = connection.read(16);
        let rest = connection.read(usize::from(header[15]));
        header.extend(rest);
        connection.send(header);
    });
    let proxy = Start::new(backend.address)
        .plain()
        .policy("{ rules: [{ from: [{ source: { ipBlocks: [127.0.0.0/8] } }] }] }")
        .with(&["--protocol", "tcp", "--accept-proxy", "--send-proxy"])
        .start();
    let tell = |command| {
        let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        header.extend([command, 0, 0, 0]);
        let mut tcp = proxy.tcp();
        tcp.write_all(&header).expect("send");
        let mut told = Vec::new();
        let _ = tcp.read_to_end(&mut told);
        told
    };
    assert_eq!(tell(0x20)[12..14], [0x21, 0x11], "a connection of its own");
    proxy.logged(|line| line["verdict"] == "allow");
    assert_eq!(tell(0x21), b"");
    let line = proxy.logged(|line| line["verdict"] == "deny");
    assert_eq!(line["attribute"], "source.ipBlocks");

    let anybody = Start::new(backend.address)
        .plain()
        .with(&["--protocol", "tcp", "--accept-proxy", "--send-proxy"])
        .start();
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([0x21, 0, 0, 0]);
    let mut tcp = anybody.tcp();
    tcp.write_all(&header).expect("send");
    let mut told = Vec::new();
    tcp.read_to_end(&mut told).expect("a header");
    assert_eq!(told, header, "nobody's address goes on");
}

#[test]
fn client_proxy_and_backend_agree_on_the_protocol_that_is_named() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let mut config = certificates.server_config(Suite::Tls13Aes128);
    config.alpn_protocols = vec![b"imap".to_vec(), b"pop3".to_vec()];
    let backend = crate::tls::serve_tls(config);
    let ca = certificates.ca_file().display().to_string();
    let proxy = Start::new(format!("tls:localhost:{}", backend.port()))
        .with(&["--protocol", "tcp", "--to-ca", &ca])
        .with(&["--alpn", "pop3", "--alpn", "imap"])
        .start();
    let connect = |name: &[u8]| {
        let mut config = proxy.certificates.client_config(Suite::Tls13Aes128);
        config.alpn_protocols = vec![name.to_vec()];
        Client::connect(proxy.address, config)
    };
    let mut client = connect(b"imap");
    assert_eq!(client.tls().conn.alpn_protocol(), Some(&b"imap"[..]));
    client.get("/");
    assert_eq!(client.head().status, 200);
    // The backend prefers another one.
    let mut other = connect(b"pop3");
    assert_eq!(other.tls().conn.alpn_protocol(), Some(&b"pop3"[..]));
    other.expect_close();
    let line = proxy.logged(|line| !line["error"].is_null());
    assert_eq!(line["error"], "backend-handshake");
}
