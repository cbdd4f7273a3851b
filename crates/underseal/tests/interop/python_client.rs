//! Our server, Python's `ssl` as the client: `client.py` says what it can do.

use underseal_testkit::{Finished, Peer, peers};

use crate::api::{Api, Serving, serve};
use crate::case::{Case, cases, echo, is_truncated, payload};

/// Runs client.py to its end, with `input` to send.
fn client<T>(
    case: &Case,
    server: &Serving<T>,
    words: &[&str],
    input: impl Into<Vec<u8>>,
) -> Finished {
    let mut command = peers::python(&case.certificates, include_str!("client.py"));
    let port = server.address.port().to_string();
    let mut peer = Peer::spawn(command.arg(port).args(words));
    peer.write(input);
    peer.finish()
}

cases!(exchanges_a_mebibyte: all);
fn exchanges_a_mebibyte(api: Api, case: &Case) {
    let server = serve(api, case.server(), 1, echo);
    let said = client(case, &server, &[], payload()).successful().text();
    let suite = format!(" {} alpn=None reused=False same=True", case.openssl_suite());
    assert!(said.contains(&suite), "{said}");
    assert!(said.ends_with("close_notify\n"), "{said}");
    let echoed = server.finish_one();
    case.check(&echoed.facts);
    assert_eq!(echoed.bytes, payload().len());
    echoed.end.expect("Python sends close_notify");
}

cases!(agrees_on_protocol_and_name: all);
fn agrees_on_protocol_and_name(api: Api, case: &Case) {
    let mut config = case.server();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let server = serve(api, config, 1, echo);
    let said = client(case, &server, &["alpn=http/1.1"], "hello")
        .successful()
        .text();
    assert!(said.contains("alpn=http/1.1"), "{said}");
    let facts = server.finish_one().facts;
    assert_eq!(facts.alpn.as_deref(), Some("http/1.1"));
    assert_eq!(facts.server_name.as_deref(), Some("localhost"));
}

cases!(presents_its_certificate: all);
fn presents_its_certificate(api: Api, case: &Case) {
    let config = case.certificates.mutual_server_config(case.suite);
    let server = serve(api, config, 1, echo);
    client(case, &server, &["identity"], "hello").successful();
    assert_eq!(
        server.finish_one().facts.peer,
        Some(case.client_certificate())
    );
}

cases!(is_refused_without_certificate: all);
fn is_refused_without_certificate(api: Api, case: &Case) {
    let config = case.certificates.mutual_server_config(case.suite);
    let server = serve(api, config, 1, echo);
    let finished = client(case, &server, &[], "hello");
    assert!(!finished.status.success());
    assert!(
        finished.stderr.contains("CERTIFICATE_REQUIRED"),
        "{}",
        finished.stderr
    );
    assert!(
        server.finish().remove(0).is_err(),
        "a client without certificate is refused"
    );
}

cases!(resumes: all);
fn resumes(api: Api, case: &Case) {
    let server = serve(api, case.server(), 2, echo);
    let said = client(case, &server, &["connections=2"], "hello")
        .successful()
        .text();
    assert!(
        said.contains("reused=False") && said.contains("reused=True"),
        "{said}"
    );
    let echoed = server.finish().into_iter();
    let resumed = echoed.map(|echoed| echoed.expect("handshake").facts.resumed);
    assert_eq!(resumed.collect::<Vec<_>>(), [false, true]);
}

cases!(is_seen_to_be_cut_off: all);
fn is_seen_to_be_cut_off(api: Api, case: &Case) {
    let server = serve(api, case.server(), 1, echo);
    client(case, &server, &["cut"], "hello").successful();
    is_truncated(server.finish_one().end);
}

cases!(sees_that_it_is_cut_off: all);
fn sees_that_it_is_cut_off(api: Api, case: &Case) {
    let server = serve(api, case.server(), 1, |connection| {
        let mut hello = [0; 5];
        connection.read_exact(&mut hello).expect("Python writes");
        connection.write_all(&hello).expect("Python reads");
        connection.flush().expect("Python reads");
        // The connection is dropped, not closed.
    });
    let said = client(case, &server, &["listen"], "hello")
        .successful()
        .text();
    assert!(said.ends_with("cut off\n"), "{said}");
    server.finish_one();
}
