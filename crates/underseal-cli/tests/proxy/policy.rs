//! Policies, on each request of a connection.

use crate::backend::Backend;
use crate::harness::Start;
use underseal_testkit::{CLIENT_ID, Certificates, KeyType, SERVER_ID};

const READERS: &str = "
  rules: [{ to: [{ operation: { methods: [GET], paths: ['/v1/*'] } }] }]";

#[test]
fn each_request_on_a_connection_is_judged() {
    let backend = Backend::echo();
    let proxy = Start::new(backend.address).policy(READERS).start();
    let mut client = proxy.client();
    for (path, status) in [
        ("/v1/a", 200),
        ("/v2", 403),
        ("/v1/b", 200),
        ("/v1/../v2", 403),
        ("/v1//%62/./c", 200),
    ] {
        client.get(path);
        assert_eq!(client.response().status, status, "{path}");
    }
    let heads = backend.heads();
    let paths = heads
        .iter()
        .map(|head| head.split(' ').nth(1).expect("a path"));
    assert_eq!(paths.collect::<Vec<_>>(), ["/v1/a", "/v1/b", "/v1/b/c"]);
}

#[test]
fn pipelined_requests_are_judged_one_by_one() {
    let backend = Backend::echo();
    let proxy = Start::new(backend.address).policy(READERS).start();
    let mut client = proxy.client();
    client.send(
        "GET /v1/a HTTP/1.1\r\nHost: a\r\n\r\nPOST /v1/a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
         GET /v1/c HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    let statuses = [(); 3].map(|()| client.response().status);
    assert_eq!(statuses, [200, 403, 200]);
    assert_eq!(backend.heads().len(), 2);
}

#[test]
fn the_log_names_policy_rule_and_attribute() {
    let spec = "
  rules:
    - to: [{ operation: { methods: [GET], paths: ['/v1/*'] } }]
    - to: [{ operation: { methods: [POST], paths: ['/v1/orders'], hosts: [shop.test] } }]";
    let proxy = Start::new(Backend::echo().address).policy(spec).start();
    assert_eq!(
        proxy.status("POST /v1/orders HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
        200
    );
    assert_eq!(
        proxy.status("POST /v2 HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
        403
    );
    let allowed = proxy.logged(|line| line["verdict"] == "allow");
    assert_eq!(
        (&allowed["policy"], &allowed["rule"]),
        (&"orders".into(), &1.into())
    );
    assert_eq!(allowed["status"], 200);
    let denied = proxy.logged(|line| line["verdict"] == "deny");
    assert_eq!(
        (&denied["policy"], &denied["rule"]),
        (&"orders".into(), &1.into())
    );
    assert_eq!(denied["attribute"], "operation.paths");
    assert_eq!(
        (&denied["status"], &denied["host"]),
        (&403.into(), &"shop.test".into())
    );
    assert!(denied["error"].is_null() && denied["backend"].is_null());
}

#[test]
fn a_rule_that_denies_goes_first_and_one_that_audits_is_noted() {
    let proxy = Start::new(Backend::echo().address)
        .policy("{ action: DENY, rules: [{ to: [{ operation: { paths: ['/admin*'] } }] }] }")
        .start();
    assert_eq!(
        proxy.status("GET /admin/x HTTP/1.1\r\nHost: a\r\n\r\n"),
        403
    );
    assert_eq!(proxy.status("GET /x HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
    let denied = proxy.logged_path("/admin/x");
    assert_eq!(denied["attribute"], "operation.paths");
    let proxy = Start::new(Backend::echo().address)
        .policy("{ action: AUDIT, rules: [{ to: [{ operation: { methods: [PUT] } }] }] }")
        .start();
    assert_eq!(proxy.status("PUT /x HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
    assert_eq!(proxy.logged_path("/x")["audit"], "orders/0");
}

#[test]
fn principals_are_those_of_certificates() {
    let spec =
        format!("{{ rules: [{{ from: [{{ source: {{ principals: ['{CLIENT_ID}'] }} }}] }}] }}");
    let proxy = Start::new(Backend::echo().address)
        .mutual()
        .with(&["--client-auth", "optional"])
        .policy(&spec)
        .start();
    let mut known = proxy.mutual_client();
    known.get("/known");
    assert_eq!(known.response().status, 200);
    let mut unknown = proxy.client();
    unknown.get("/unknown");
    assert_eq!(unknown.response().status, 403);
    assert_eq!(proxy.logged_path("/known")["principal"], CLIENT_ID);
    let denied = proxy.logged_path("/unknown");
    assert!(denied["principal"].is_null());
    assert_eq!(denied["attribute"], "source.principals");
}

#[test]
fn an_egress_policy_judges_the_backend_that_was_proved() {
    for (id, status) in [(SERVER_ID, 200), ("spiffe://other", 403)] {
        let certificates = Certificates::new(KeyType::Ecdsa);
        let backend = crate::tls::tls_backend(&certificates);
        let ca = certificates.ca_file().display().to_string();
        let to = format!("tls:localhost:{}", backend.port());
        let spec = format!(
            "{{ direction: Egress, rules: [{{ when: [{{ key: destination.principal, values: ['{id}'] }}] }}] }}"
        );
        let proxy = Start::new(&to)
            .plain()
            .with(&["--to-ca", &ca])
            .policy(&spec)
            .start();
        let mut tcp = proxy.tcp();
        for _ in 0..2 {
            let answered = crate::tls::plain_get(&mut tcp, "/egress");
            assert_eq!(answered, status, "{id}");
        }
    }
}

#[test]
fn a_client_with_two_identities_is_refused_whatever_a_policy_denies() {
    let other = "spiffe://underseal.test/ns/test/sa/other";
    for (ids, protocol, is_served) in [
        (&[CLIENT_ID][..], "http", true),
        (&[CLIENT_ID], "tcp", true),
        (&[CLIENT_ID, other], "http", false),
        (&[CLIENT_ID, other], "tcp", false),
        (&["spiffe://UNDERSEAL.test/ns/test/sa/other"], "http", false),
        (
            &[other, "SPIFFE://underseal.test/ns/test/sa/client"],
            "http",
            false,
        ),
    ] {
        let certificates = Certificates::with_ids(KeyType::Ecdsa, &[SERVER_ID], ids);
        let spec = format!(
            "{{ action: DENY, rules: [{{ from: [{{ source: {{ principals: ['{other}'] }} }}] }}] }}"
        );
        let backend = Backend::echo();
        let proxy = Start::new(backend.address)
            .certificates(certificates)
            .mutual()
            .with(&["--protocol", protocol])
            .policy(&spec)
            .start();
        let mut client = proxy.mutual_client();
        let _ = client.try_send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        if is_served {
            assert_eq!(client.head().status, 200, "{protocol} {ids:?}");
        } else {
            assert!(client.rest().0.is_empty(), "{protocol} {ids:?}");
            assert_eq!(backend.connections(), 0, "{protocol} {ids:?}");
        }
    }
}

#[test]
fn a_backend_with_two_identities_is_none_that_was_proved() {
    let ids = ["spiffe://corp/a", "spiffe://corp/b"];
    let certificates = Certificates::with_ids(KeyType::Ecdsa, &ids, &[]);
    let backend = crate::tls::tls_backend(&certificates);
    let ca = certificates.ca_file().display().to_string();
    let spec = "{ direction: Egress, action: DENY, rules: [{ when: [{ key: destination.principal, \
                values: ['spiffe://corp/a'] }] }] }";
    let proxy = Start::new(format!("tls:localhost:{}", backend.port()))
        .plain()
        .with(&["--to-ca", &ca, "--admin", "127.0.0.1:0"])
        .policy(spec)
        .start();
    let mut tcp = proxy.tcp();
    assert_ne!(crate::tls::plain_get(&mut tcp, "/egress"), 200);
    let line = proxy.logged_path("/egress");
    assert!(line["backend"].is_null(), "{line}");
    let metrics = proxy.admin("/metrics");
    let series = "underseal_handshakes_total{side=\"backend\",result=\"complete\"} 0\n";
    assert!(metrics.contains(series), "{metrics}");
}
