//! WebSocket of clients of HTTP/2 (RFC 8441), to backends of HTTP/1.1.

use std::net::SocketAddr;
use std::time::Duration;

use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{Method, Request, Response};
use hyper::body::Bytes;
use tokio::net::TcpStream;
use tokio::time::timeout;
use underseal_testkit::PATIENCE;

use crate::backend::{Backend, Connection};
use crate::harness::{Proxy, Start};
use crate::http2::{h2_backend, runtime};

/// The answer to a key (RFC 6455 section 4.2.2).
fn accept(key: &str) -> String {
    use std::process::{Command, Stdio};
    let script = "import base64,hashlib,sys
key=sys.argv[1]+'258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
print(base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())";
    let program = underseal_testkit::require_program("python3");
    let run = Command::new(program)
        .args(["-c", script, key])
        .stderr(Stdio::inherit())
        .output();
    let said = String::from_utf8(run.expect("it runs").stdout).expect("ASCII");
    said.trim().to_owned()
}

fn value<'h>(head: &'h str, name: &str) -> Vec<&'h str> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    let named = lines.filter(|(field, _)| field.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value).collect()
}

/// Goes over to WebSocket, and gives back what comes until there is no more; then it says bye.
fn switching() -> Backend {
    Backend::new(|connection| {
        let Some(head) = connection.head() else {
            return;
        };
        let keys = value(&head, "sec-websocket-key");
        assert_eq!(value(&head, "upgrade"), ["websocket"], "{head}");
        assert_eq!(value(&head, "connection"), ["Upgrade"], "{head}");
        assert_eq!(keys.len(), 1, "{head}");
        connection.send(format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Accept: {}\r\n\r\nfirst",
            accept(keys[0])
        ));
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

fn request(fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri("http://a.test/chat")
        .extension(Protocol::from_static("websocket"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request")
}

type Asked = Result<(Response<RecvStream>, SendStream<Bytes>), h2::Error>;

/// A connection on which WebSocket is offered.
async fn connect(address: SocketAddr) -> Result<SendRequest<Bytes>, h2::Error> {
    let tcp = TcpStream::connect(address).await.expect("connect");
    let (sender, connection) = h2::client::handshake(tcp).await?;
    tokio::spawn(connection);
    let sender = sender.ready().await?;
    // Its SETTINGS have to be here.
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !sender.is_extended_connect_protocol_enabled() {
        assert!(tokio::time::Instant::now() < deadline, "it is not offered");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(sender)
}

async fn ask_on(sender: &SendRequest<Bytes>, request: Request<()>) -> Asked {
    let mut sender = sender.clone().ready().await?;
    let (response, sink) = sender.send_request(request, false)?;
    let response = timeout(PATIENCE, response).await.expect("in time")?;
    Ok((response, sink))
}

async fn ask(address: SocketAddr, request: Request<()>) -> Asked {
    ask_on(&connect(address).await?, request).await
}

const RIGHT: &[(&str, &str)] = &[
    ("sec-websocket-version", "13"),
    ("sec-websocket-protocol", "chat"),
];

/// What comes until the end of the stream, or why it does not end in order.
async fn rest(body: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut bytes = Vec::new();
    while let Some(data) = timeout(PATIENCE, body.data()).await.expect("in time") {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

async fn receive(body: &mut RecvStream, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let data = timeout(PATIENCE, body.data()).await.expect("in time");
        let data = data.expect("more").expect("data");
        body.flow_control()
            .release_capacity(data.len())
            .expect("a stream");
        bytes.extend_from_slice(&data);
    }
    bytes
}

#[test]
fn a_websocket_of_http2_passes_both_ways_under_a_policy() {
    let backend = switching();
    let proxy = Start::new(backend.address)
        .plain()
        .policy("{ rules: [{ to: [{ operation: { methods: [GET], paths: ['/chat'] } }] }] }")
        .start();
    runtime().block_on(async {
        let (response, mut sink) = ask(proxy.address, request(RIGHT)).await.expect("a tunnel");
        assert_eq!(response.status(), 200);
        let fields = response.headers();
        assert_eq!(fields["sec-websocket-protocol"], "chat");
        assert!(!fields.contains_key("sec-websocket-accept"), "{fields:?}");
        assert!(!fields.contains_key("upgrade") && !fields.contains_key("connection"));
        let mut body = response.into_body();
        assert_eq!(receive(&mut body, 5).await, b"first");
        for message in ["one", "two"] {
            sink.send_data(message.into(), false).expect("a stream");
            assert_eq!(receive(&mut body, 3).await, message.as_bytes());
        }
        sink.send_data(Bytes::new(), true).expect("the end");
        assert_eq!(rest(&mut body).await.expect("an end"), b"bye");
    });
    let line = proxy.logged_path("/chat");
    assert_eq!(
        (&line["protocol"], &line["method"]),
        (&"h2".into(), &"GET".into())
    );
    assert_eq!(
        (&line["status"], &line["bytes_in"]),
        (&200.into(), &6.into())
    );
    assert_eq!(line["bytes_out"], "firstonetwobye".len());
    assert!(line["error"].is_null(), "{line}");
}

/// envoyproxy/envoy#38645: those behind the first of a connection did not.
#[test]
fn several_open_on_one_connection_beside_other_requests() {
    let proxy = Start::new(switching().address).plain().start();
    runtime().block_on(async {
        let sender = connect(proxy.address).await.expect("a connection");
        let mut open = Vec::new();
        for _ in 0..4 {
            let (response, sink) = ask_on(&sender, request(RIGHT)).await.expect("a tunnel");
            assert_eq!(response.status(), 200);
            open.push((response.into_body(), sink));
        }
        for (number, (body, sink)) in open.iter_mut().enumerate() {
            let message = number.to_string();
            sink.send_data(message.clone().into(), true)
                .expect("a stream");
            let expected = format!("first{message}bye");
            assert_eq!(rest(body).await.expect("an end"), expected.as_bytes());
        }
    });
}

/// What is sent early is kept until the backend has gone over: it could be taken for a request.
#[test]
fn what_comes_early_waits_for_the_switch() {
    let backend = Backend::new(|connection| {
        connection.head();
        std::thread::sleep(Duration::from_millis(200));
        connection.send("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno");
        while connection.head().is_some() {}
    });
    let proxy = Start::new(backend.address).plain().start();
    runtime().block_on(async {
        let tcp = TcpStream::connect(proxy.address).await.expect("connect");
        let (sender, connection) = h2::client::handshake(tcp).await.expect("HTTP/2");
        tokio::spawn(connection);
        let mut sender = sender.ready().await.expect("ready");
        while !sender.is_extended_connect_protocol_enabled() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (response, mut sink) = sender.send_request(request(RIGHT), false).expect("send");
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
        sink.send_data(smuggled.into(), false).expect("send");
        let response = timeout(PATIENCE, response)
            .await
            .expect("in time")
            .expect("an answer");
        assert_eq!(response.status(), 403);
        assert_eq!(rest(&mut response.into_body()).await.expect("whole"), b"no");
    });
    assert_eq!(backend.heads().len(), 1, "{:?}", backend.heads());
}

#[test]
fn policies_deny_it_as_they_do_in_http1() {
    let proxy = Start::new(switching().address)
        .plain()
        .policy("{ action: DENY, rules: [{ to: [{ operation: { methods: [GET], paths: ['/chat'] } }] }] }")
        .start();
    let (response, _) = runtime()
        .block_on(async { ask(proxy.address, request(RIGHT)).await })
        .expect("an answer");
    assert_eq!(response.status(), 403);
}

#[test]
fn only_a_right_request_and_a_right_switch_open_a_tunnel() {
    let ask_one = |proxy: &Proxy, request| {
        let asked = runtime().block_on(async { ask(proxy.address, request).await });
        asked.expect("an answer").0.status().as_u16()
    };
    let proxy = Start::new(switching().address).plain().start();
    for fields in [
        &[][..],
        &[("sec-websocket-version", "12")],
        &[
            ("sec-websocket-version", "13"),
            ("sec-websocket-version", "13"),
        ],
    ] {
        assert_eq!(ask_one(&proxy, request(fields)), 405, "{fields:?}");
    }
    let mut other = request(RIGHT);
    other
        .extensions_mut()
        .insert(Protocol::from_static("connect-udp"));
    assert_eq!(ask_one(&proxy, other), 405);
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 204 No\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    ] {
        let proxy = Start::new(Backend::answering(answer).address)
            .plain()
            .start();
        assert_eq!(ask_one(&proxy, request(RIGHT)), 502, "{answer}");
        assert_eq!(proxy.logged_path("/chat")["error"], "backend-upgrade");
    }
}

#[test]
fn silence_ends_it_and_sooner_once_the_client_has_ended() {
    let keeping = || {
        Backend::new(|connection| {
            let Some(head) = connection.head() else {
                return;
            };
            let key = value(&head, "sec-websocket-key")[0].to_owned();
            connection.send(format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: {}\r\n\r\n",
                accept(&key)
            ));
            std::thread::sleep(2 * PATIENCE);
        })
    };
    for (option, ends) in [("--tunnel-timeout", false), ("--half-close-timeout", true)] {
        let start = Start::new(keeping().address).plain();
        let proxy = start.with(&[option, "0.3"]).start();
        let reason = runtime().block_on(async {
            let (response, mut sink) = ask(proxy.address, request(RIGHT)).await.expect("a tunnel");
            if ends {
                sink.send_data(Bytes::new(), true).expect("the end");
            }
            let ended = rest(&mut response.into_body()).await;
            ended.expect_err("no end").reason()
        });
        assert_eq!(reason, Some(h2::Reason::CANCEL), "{option}");
        assert_eq!(proxy.logged_path("/chat")["error"], "tunnel-silent");
    }
}

/// Goes over to WebSocket.
fn switch(connection: &mut Connection) {
    let head = connection.head().expect("a head");
    let key = value(&head, "sec-websocket-key")[0].to_owned();
    connection.send(format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        accept(&key)
    ));
}

/// Longer than each deadline that a tunnel whose ends are open does not have.
const PAUSE: Duration = Duration::from_secs(2);

/// Sends more than buffers hold, as there is room for it.
async fn send_much(sink: &mut SendStream<Bytes>) {
    let mut left = MUCH;
    while left > 0 {
        sink.reserve_capacity(left);
        let room = std::future::poll_fn(|cx| sink.poll_capacity(cx)).await;
        let room = room.expect("a stream").expect("an open one");
        let length = room.min(left);
        left -= length;
        let data = Bytes::from(vec![b'x'; length]);
        sink.send_data(data, left == 0).expect("a stream");
    }
}

const MUCH: usize = 16 * 1024 * 1024;

#[test]
fn whoever_does_not_take_what_is_in_it_may_be_slow() {
    let reads_late = Backend::new(|connection| {
        switch(connection);
        std::thread::sleep(PAUSE);
        let came = connection.read(2 * MUCH).len();
        connection.send(came.to_string());
    });
    let sends_much = Backend::new(|connection| {
        switch(connection);
        connection.send(vec![b'x'; MUCH]);
    });
    let options = ["--half-close-timeout", "0.5", "--send-timeout", "0.5"];
    let start = |backend: &Backend| Start::new(backend.address).plain().with(&options).start();
    let proxy = start(&reads_late);
    let came = runtime().block_on(async {
        let (response, mut sink) = ask(proxy.address, request(RIGHT)).await.expect("a tunnel");
        send_much(&mut sink).await;
        rest(&mut response.into_body()).await
    });
    assert_eq!(came.expect("an end"), MUCH.to_string().as_bytes());
    let proxy = start(&sends_much);
    let came = runtime().block_on(async {
        let (response, mut sink) = ask(proxy.address, request(RIGHT)).await.expect("a tunnel");
        tokio::time::sleep(PAUSE).await;
        let came = rest(&mut response.into_body()).await;
        sink.send_data(Bytes::new(), true).expect("the end");
        came
    });
    assert_eq!(came.expect("an end").len(), MUCH);
}

#[test]
fn the_end_of_one_direction_is_not_that_of_the_other() {
    let (tell, told) = std::sync::mpsc::channel();
    let backend = Backend::new(move |connection| {
        switch(connection);
        connection.send("close");
        connection.finish().expect("an end");
        tell.send(connection.read(MUCH)).expect("it listens");
    });
    let proxy = Start::new(backend.address).plain().start();
    runtime().block_on(async {
        let (response, mut sink) = ask(proxy.address, request(RIGHT)).await.expect("a tunnel");
        let came = rest(&mut response.into_body()).await;
        assert_eq!(came.expect("an end"), b"close");
        for message in ["close", " too"] {
            sink.send_data(message.into(), false).expect("a stream");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        sink.send_data(Bytes::new(), true).expect("the end");
        // What was sent goes out while this runs.
        let came = tokio::task::spawn_blocking(move || told.recv_timeout(PATIENCE)).await;
        assert_eq!(came.expect("no panic").expect("in time"), b"close too");
    });
    let line = proxy.logged_path("/chat");
    assert!(line["error"].is_null(), "{line}");
    assert_eq!(
        (&line["bytes_in"], &line["bytes_out"]),
        (&9.into(), &5.into())
    );
}

#[test]
fn a_client_that_says_nothing_after_the_end_of_the_other_is_cut_off() {
    let backend = Backend::new(|connection| {
        switch(connection);
        connection.finish().expect("an end");
        connection.read(1);
    });
    let start = Start::new(backend.address).plain();
    let proxy = start.with(&["--half-close-timeout", "0.3"]).start();
    runtime().block_on(async {
        let (response, _sink) = ask(proxy.address, request(RIGHT)).await.expect("a tunnel");
        let came = rest(&mut response.into_body()).await;
        assert_eq!(came.expect("an end"), b"");
        assert_eq!(proxy.logged_path("/chat")["error"], "tunnel-silent");
    });
}

#[test]
fn it_is_not_offered_where_backends_speak_http2() {
    let start = Start::new(h2_backend()).plain();
    let proxy = start.with(&["--to-protocol", "h2"]).start();
    runtime().block_on(async {
        let tcp = TcpStream::connect(proxy.address).await.expect("connect");
        let (sender, connection) = h2::client::handshake(tcp).await.expect("HTTP/2");
        tokio::spawn(connection);
        let mut sender = sender.ready().await.expect("ready");
        let get = Request::get("http://a.test/").body(()).expect("a request");
        let (response, _) = sender.send_request(get, true).expect("send");
        response.await.expect("an answer");
        assert!(!sender.is_extended_connect_protocol_enabled());
    });
}
