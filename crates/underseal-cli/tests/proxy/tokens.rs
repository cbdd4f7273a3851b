//! Tokens of requests, through the proxy.

use std::fs;

use http::{HeaderMap, Request};
use rustix::process::Signal;
use serde_json::json;
use tokio::net::TcpStream;

use crate::backend::Backend;
use crate::client::Client;
use crate::harness::{Proxy, Start, policy};
use crate::http2::runtime;
use crate::issuer::{ISSUER, Issuer};

const ONE_GROUP: &str = "
  rules:
    - from: [{ source: { requestPrincipals: ['https://issuer.test/*'] } }]
      when: [{ key: 'request.auth.claims[groups]', values: [buyers] }]
    - to: [{ operation: { paths: [/health] } }]";

/// A proxy that believes `issuer`, whose keys are in a file beside the policy's.
fn start(issuer: &Issuer) -> Proxy {
    believing(Start::new(Backend::echo().address), issuer)
}

fn believing(start: Start, issuer: &Issuer) -> Proxy {
    let start = start.policy(ONE_GROUP);
    let file = start.policy_file();
    fs::write(file.with_file_name("keys.json"), keys(issuer)).expect("write the keys");
    fs::write(&file, text(&policy("orders", ONE_GROUP))).expect("write the policy");
    start.start()
}

fn text(policy: &str) -> String {
    format!(
        "{policy}---\napiVersion: underseal/v1alpha1\nkind: RequestAuthentication\n\
         metadata: {{ name: issuer }}\n\
         spec: {{ jwtRules: [{{ issuer: '{ISSUER}', jwksFile: keys.json }}] }}\n"
    )
}

fn keys(issuer: &Issuer) -> String {
    json!({ "keys": [issuer.jwk()] }).to_string()
}

fn status(client: &mut Client, path: &str, token: &str) -> u16 {
    let field = match token {
        "" => String::new(),
        token => format!("Authorization: Bearer {token}\r\n"),
    };
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{field}\r\n"));
    client.response().status
}

#[test]
fn who_has_a_token_is_judged_by_what_it_says() {
    let issuer = Issuer::new("one");
    let proxy = start(&issuer);
    let mut client = proxy.client();
    let buyer = issuer.token(&json!({ "groups": ["buyers", "others"] }));
    let other = issuer.token(&json!({ "groups": ["others"] }));
    assert_eq!(status(&mut client, "/", ""), 403);
    assert_eq!(status(&mut client, "/health", ""), 200);
    assert_eq!(status(&mut client, "/", &other), 403);
    for _ in 0..3 {
        assert_eq!(status(&mut client, "/", &buyer), 200);
    }
    // What would be allowed without a token is not with a bad one.
    client.send("GET /health HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\n\r\n");
    let response = client.response();
    assert_eq!(response.status, 401);
    let mut fields = response.fields.iter();
    let challenge = fields.find(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"));
    assert_eq!(
        challenge.expect("a challenge").1,
        "Bearer error=\"invalid_token\""
    );
    let line = proxy.logged(|line| line["status"] == 401);
    assert_eq!(
        (&line["verdict"], &line["error"]),
        (&"deny".into(), &"token".into())
    );
    // The connection goes on.
    assert_eq!(status(&mut client, "/health", ""), 200);
}

#[test]
fn other_keys_are_those_that_hold() {
    let issuer = Issuer::new("one");
    let proxy = start(&issuer);
    let mut client = proxy.client();
    let token = issuer.token(&json!({ "groups": "buyers" }));
    assert_eq!(status(&mut client, "/", &token), 200);
    let file = proxy.policy_file().with_file_name("keys.json");
    let next = Issuer::new("two");
    let renewed = next.token(&json!({ "groups": "buyers" }));
    assert_eq!(status(&mut client, "/", &renewed), 401);
    // It is noticed without a signal.
    fs::write(&file, keys(&next)).expect("write the keys");
    proxy.peer.wait_for("policy loaded again, in force: orders");
    assert_eq!(status(&mut client, "/", &token), 401);
    assert_eq!(status(&mut client, "/", &renewed), 200);
    // Keys that cannot be used leave those that can.
    fs::write(&file, "{ \"keys\": [] }").expect("write the keys");
    proxy.signal(Signal::HUP);
    let line = proxy.peer.wait_for("the old policy stays: ");
    assert!(line.contains("keys.json"), "{line}");
    assert_eq!(status(&mut client, "/", &renewed), 200);
}

#[test]
fn each_stream_of_http2_has_a_token_of_its_own() {
    let issuer = Issuer::new("one");
    let proxy = believing(Start::new(Backend::echo().address).plain(), &issuer);
    let buyer = issuer.token(&json!({ "groups": ["buyers"] }));
    let other = issuer.token(&json!({ "groups": ["others"] }));
    let stranger = Issuer::new("one").token(&json!({ "groups": ["buyers"] }));
    let expired = issuer.token(&json!({ "groups": ["buyers"], "exp": 1 }));
    let asked: [(&str, &[&str], u16); 8] = [
        ("/", &[&buyer], 200),
        ("/", &[&other], 403),
        ("/", &[], 403),
        ("/health", &[], 200),
        ("/health", &["x"], 401),
        ("/health", &[&stranger], 401),
        ("/", &[&expired], 401),
        ("/", &[&buyer, &buyer], 401),
    ];
    let answers: Vec<_> = runtime().block_on(async {
        let tcp = TcpStream::connect(proxy.address).await.expect("connect");
        let (mut sender, connection) = h2::client::handshake(tcp).await.expect("HTTP/2");
        tokio::spawn(connection);
        let mut answers = Vec::new();
        // All of them on one connection, which goes on.
        for (path, tokens, _) in asked {
            let mut request = Request::get(format!("http://a.test{path}"));
            for token in tokens {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            let request = request.body(()).expect("a request");
            sender = sender.ready().await.expect("ready");
            let (response, _) = sender.send_request(request, true).expect("send");
            let (head, _) = response.await.expect("a response").into_parts();
            answers.push((head.status.as_u16(), challenge(&head.headers)));
        }
        answers
    });
    for ((path, tokens, expected), (status, challenge)) in asked.iter().zip(answers) {
        assert_eq!(status, *expected, "{path} {tokens:?}");
        let wanted = (status == 401).then(|| "Bearer error=\"invalid_token\"".to_owned());
        assert_eq!(challenge, wanted, "{path} {tokens:?}");
    }
    let line = proxy.logged(|line| line["status"] == 401);
    let told = ["protocol", "verdict", "error"].map(|field| line[field].clone());
    assert_eq!(told, ["h2", "deny", "token"]);
}

fn challenge(fields: &HeaderMap) -> Option<String> {
    let value = fields.get("www-authenticate")?;
    Some(value.to_str().expect("text").to_owned())
}
