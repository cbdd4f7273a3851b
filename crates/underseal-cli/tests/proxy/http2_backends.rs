//! Backends of HTTP/2 that do not do what they should.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::Request;
use hyper::body::Bytes;
use tokio::net::TcpListener;
use tokio::runtime;
use underseal_testkit::PATIENCE;

use crate::harness::Start;
use crate::http2_frames::{
    ACK, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS, STATUS_200, frame,
    serve_frames,
};
use crate::judged::Version;

/// A server of HTTP/2 that does `each` with every stream.
pub(crate) fn http2_server<F, R>(each: F) -> SocketAddr
where
    F: Fn(Request<RecvStream>, SendResponse<Bytes>) -> R + Clone + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    limited_server(h2::server::Builder::new(), each).0
}

/// The same with limits, and how many connections there have been.
pub(crate) fn limited_server<F, R>(
    builder: h2::server::Builder,
    each: F,
) -> (SocketAddr, Arc<AtomicUsize>)
where
    F: Fn(Request<RecvStream>, SendResponse<Bytes>) -> R + Clone + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    listener.set_nonblocking(true).expect("an option");
    let connections = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&connections);
    thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            loop {
                let (tcp, _) = listener.accept().await.expect("a connection");
                counted.fetch_add(1, Ordering::SeqCst);
                let (builder, each) = (builder.clone(), each.clone());
                tokio::spawn(async move {
                    let mut connection = builder.handshake(tcp).await.expect("HTTP/2");
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        tokio::spawn(each(request, respond));
                    }
                });
            }
        });
    });
    (address, connections)
}

/// A server of HTTP/2 that neither answers nor makes room, and tells how each stream ended.
fn deaf_backend() -> (SocketAddr, Receiver<Option<Reason>>) {
    let (tell, told) = channel();
    let address = http2_server(move |request, respond| {
        let tell = tell.clone();
        async move {
            let mut body = request.into_body();
            let reason = loop {
                match body.data().await {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => break error.reason(),
                    None => break None,
                }
            };
            drop(respond);
            // The test may be over.
            let _ = tell.send(reason);
        }
    });
    (address, told)
}

/// A server of HTTP/2 that answers nothing, and tells with what each stream was reset.
pub(crate) fn silent() -> (SocketAddr, Receiver<Reason>) {
    let (tell, told) = channel();
    let address = http2_server(move |_, mut respond| {
        let tell = tell.clone();
        async move {
            let reset = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
            // The test may be over.
            let _ = tell.send(reset.expect("a reset"));
        }
    });
    (address, told)
}

/// A server of HTTP/2 that answers without waiting for the request's body, which it reads on; `/slow`
/// it answers late.
pub(crate) fn early() -> SocketAddr {
    http2_server(|request, mut respond| async move {
        if request.uri().path() == "/slow" {
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        let answer = http::Response::new(());
        // The proxy may have gone.
        let _ = respond.send_response(answer, true);
        let mut body = request.into_body();
        while let Some(Ok(data)) = body.data().await {
            let _ = body.flow_control().release_capacity(data.len());
        }
    })
}

/// A server of HTTP/2 that answers everything.
pub(crate) fn good_backend() -> SocketAddr {
    http2_server(|_, mut respond| async move {
        let answer = http::Response::new(());
        respond.send_response(answer, true).expect("an answer");
    })
}

/// A server of HTTP/2 whose first connection answers one request, and then is as silent as a host that is gone;
/// the others answer all.
fn vanishing() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for (index, tcp) in listener.incoming().enumerate() {
            let mut tcp = tcp.expect("a connection");
            let silence = tcp.try_clone().expect("a second handle");
            // The proxy waits for them.
            let _ = tcp.write_all(&frame(SETTINGS, 0, 0, b""));
            thread::spawn(move || {
                serve_frames(tcp, |sent| match (sent.kind, sent.stream) {
                    (HEADERS, stream) if index > 0 || stream == 1 => {
                        frame(HEADERS, END_HEADERS | END_STREAM, stream, STATUS_200)
                    }
                    (HEADERS, _) => {
                        // Nothing more is read, and the connection stays.
                        thread::park();
                        Vec::new()
                    }
                    _ => Vec::new(),
                });
                drop(silence);
            });
        }
    });
    address
}

#[test]
fn a_backend_that_is_gone_gets_no_more_requests() {
    let proxy = Start::new(vanishing())
        .with(&["--to-protocol", "h2", "--workers", "1"])
        .start();
    let ask = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    assert_eq!(proxy.status(ask), 200);
    // This one waits in vain.
    let mut lost = proxy.client();
    lost.send(ask);
    // As long as nothing may come and the answer may take, and what the proxy's clock may be late.
    thread::sleep(Duration::from_secs(18));
    assert_eq!(proxy.status(ask), 200);
}

/// Services of gRPC end a connection for the third PING that comes while they say nothing.
#[test]
fn a_backend_that_is_at_work_is_asked_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let pings = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&pings);
    thread::spawn(move || {
        let mut tcp = listener.accept().expect("a connection").0;
        let _ = tcp.write_all(&frame(SETTINGS, 0, 0, b""));
        serve_frames(tcp, |sent| match (sent.kind, sent.flags) {
            (PING, 0) => {
                counted.fetch_add(1, Ordering::Relaxed);
                frame(PING, ACK, 0, &sent.payload)
            }
            _ => Vec::new(),
        });
    });
    let proxy = Start::new(address)
        .with(&["--to-protocol", "h2", "--workers", "1"])
        .start();
    let ask = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let waiting = [(); 2].map(|()| {
        let mut client = proxy.client();
        client.send(ask);
        thread::sleep(Duration::from_secs(7));
        client
    });
    assert_eq!(pings.load(Ordering::Relaxed), 1);
    drop(waiting);
}

#[test]
fn a_backend_that_is_silent_costs_no_request_where_there_is_another() {
    // The kernel accepts for it, and nobody says anything of TLS.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let proxy = Start::new(format!("tls:127.0.0.1:{port}"))
        .with(&["--to", &good_backend().to_string()])
        .with(&["--to-protocol", "h2", "--connect-timeout", "1"])
        .start();
    let statuses: Vec<u16> = thread::scope(|scope| {
        let ask = || proxy.status("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let asking: Vec<_> = (0..12).map(|_| scope.spawn(ask)).collect();
        let asked = asking.into_iter().map(|asked| asked.join());
        asked.map(|status| status.expect("a status")).collect()
    });
    assert_eq!(statuses, [200; 12]);
}

#[test]
fn a_body_that_nobody_takes_keeps_no_stream_of_the_shared_connection() {
    let (address, told) = deaf_backend();
    let proxy = Start::new(address)
        .with(&["--to-protocol", "h2", "--response-timeout", "1"])
        .with(&["--send-timeout", "1"])
        .start();
    let mut client = proxy.client();
    let body = "x".repeat(300 * 1024);
    client.send(format!(
        "POST /stuck HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let ended = told.recv_timeout(PATIENCE).expect("the stream stays open");
    assert_eq!(ended, Some(Reason::CANCEL));
}

#[test]
fn a_length_is_read_as_strictly_as_in_http1() {
    for length in ["", "0000000000000000000"] {
        let address = http2_server(move |_, mut respond| async move {
            let answer = http::Response::builder().header("content-length", length);
            let answer = answer.body(()).expect("an answer");
            respond.send_response(answer, true).expect("an answer");
        });
        let proxy = Start::new(address)
            .plain()
            .with(&["--to-protocol", "h2"])
            .start();
        for client in Version::BOTH {
            assert_eq!(client.get(proxy.address, &[]), 502, "{client:?} {length:?}");
        }
        proxy.logged(|line| line["protocol"] == "http/1.1" && line["error"] == "backend-length");
        proxy.logged(|line| line["protocol"] == "h2" && line["error"] == "backend-length");
    }
}

/// Less than is read ahead of a stream, a part of which comes through, and how many streams of small pieces
/// are more than the library leaves unread.
const UNREAD: usize = 120_000;
const STREAMS: usize = 20;

/// A server of HTTP/2 that sends small pieces for as long as somebody takes them, and answers `/other`
/// once `STREAMS` streams have been sent `UNREAD` bytes each, or have ended.
fn small_pieces() -> SocketAddr {
    let sent = Arc::new(tokio::sync::Semaphore::new(0));
    http2_server(move |request, mut respond| {
        let sent = Arc::clone(&sent);
        async move {
            let answer = http::Response::new(());
            if request.uri().path() == "/other" {
                let all = sent.acquire_many(u32::try_from(STREAMS).expect("few"));
                let _ = all.await;
                // The proxy may have ended the connection.
                let _ = respond.send_response(answer, true);
                return;
            }
            let mut sink = respond.send_response(answer, false).expect("a stream");
            for _ in 0..UNREAD / 20 {
                sink.reserve_capacity(20);
                let room = std::future::poll_fn(|cx| sink.poll_capacity(cx)).await;
                let piece = Bytes::from_static(b"twenty bytes of data");
                if !matches!(room, Some(Ok(_))) || sink.send_data(piece, false).is_err() {
                    break;
                }
            }
            sent.add_permits(1);
            let _ = std::future::poll_fn(|cx| sink.poll_reset(cx)).await;
        }
    })
}

/// A client's connection that has room for all that is sent, itself.
async fn connect(proxy: SocketAddr) -> h2::client::SendRequest<Bytes> {
    let tcp = tokio::net::TcpStream::connect(proxy).await;
    let mut builder = h2::client::Builder::new();
    builder.initial_connection_window_size(16 * 1024 * 1024);
    builder.data_frame_budget(usize::MAX / 2);
    let (sender, connection) = builder
        .handshake::<_, Bytes>(tcp.expect("connect"))
        .await
        .expect("HTTP/2");
    tokio::spawn(connection);
    sender.ready().await.expect("ready")
}

fn ask(path: &str) -> Request<()> {
    let request = Request::post(format!("http://a.test{path}"));
    request.body(()).expect("a request")
}

/// Backends' connections are shared: what one client leaves unread must not end the streams of others.
#[test]
fn a_client_that_reads_nothing_ends_nobody_elses_stream() {
    let proxy = Start::new(small_pieces())
        .plain()
        .with(&["--to-protocol", "h2", "--workers", "1"])
        .start();
    crate::http2::runtime().block_on(async {
        let mut bystander = connect(proxy.address).await;
        let (other, _) = bystander.send_request(ask("/other"), true).expect("send");
        let mut deaf = connect(proxy.address).await;
        let mut unread = Vec::new();
        for _ in 0..STREAMS {
            deaf = deaf.ready().await.expect("ready");
            let (response, _) = deaf.send_request(ask("/small"), true).expect("send");
            // It has the head, and does not ask for the body.
            unread.push(response.await.expect("a head"));
        }
        let other = tokio::time::timeout(PATIENCE, other).await;
        let other = other.expect("in time").expect("an answer");
        assert_eq!(other.status(), 200);
    });
}

/// A server of HTTP/2, frame by frame, that begins to answer every request. On streams that are reset it
/// sends small pieces on, as if it had not heard of that yet, and after `STREAMS` of them it ends the first.
fn late_pieces() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        while let Ok((tcp, _)) = listener.accept() {
            // The proxy may end the connection.
            thread::spawn(move || send_late(tcp));
        }
    });
    address
}

fn send_late(mut tcp: std::net::TcpStream) -> Option<()> {
    const FIRST: u32 = 1;
    tcp.write_all(&frame(SETTINGS, 0, 0, b"")).ok()?;
    let mut resets = 0;
    serve_frames(tcp, |sent| match sent.kind {
        HEADERS => frame(HEADERS, END_HEADERS, sent.stream, STATUS_200),
        RST_STREAM => {
            let piece = frame(DATA, 0, sent.stream, b"twenty bytes of data");
            let mut late = piece.repeat(UNREAD / 20);
            resets += 1;
            if resets == STREAMS {
                late.extend(frame(DATA, END_STREAM, FIRST, b"the end"));
            }
            late
        }
        _ => Vec::new(),
    })
}

/// What comes on streams that clients have left is nobody's to read, and is not counted as unread for ever.
#[test]
fn clients_that_leave_downloads_end_nobody_elses_stream() {
    let proxy = Start::new(late_pieces())
        .plain()
        .with(&["--to-protocol", "h2", "--workers", "1"])
        .start();
    crate::http2::runtime().block_on(async {
        let mut bystander = connect(proxy.address).await;
        let (other, _) = bystander.send_request(ask("/"), true).expect("send");
        let mut other = other.await.expect("a head").into_body();
        let mut leaver = connect(proxy.address).await;
        for _ in 0..STREAMS {
            leaver = leaver.ready().await.expect("ready");
            let (response, mut sink) = leaver.send_request(ask("/left"), true).expect("send");
            let response = response.await.expect("a head");
            sink.send_reset(Reason::CANCEL);
            drop(response);
        }
        let end = tokio::time::timeout(PATIENCE, other.data()).await;
        let end = end.expect("in time").expect("data").expect("no reset");
        assert_eq!(end, "the end");
    });
}

/// A response that is none ends its stream, and not those of others on the connection, however often
/// somebody asks for it.
#[test]
fn responses_that_are_none_end_nobody_elses_stream() {
    let release = Arc::new(tokio::sync::Notify::new());
    let address = http2_server(move |request, mut respond| {
        let release = Arc::clone(&release);
        async move {
            let mut answer = http::Response::new(());
            match request.uri().path() {
                "/other" => release.notified().await,
                "/release" => release.notify_one(),
                _ => {
                    let length = http::HeaderValue::from_static("1");
                    answer.headers_mut().insert("content-length", length);
                    if let Ok(mut sink) = respond.send_response(answer, false) {
                        let _ = sink.send_data("more than that".into(), true);
                    }
                    return;
                }
            }
            // The proxy may have ended the connection.
            let _ = respond.send_response(answer, true);
        }
    });
    let proxy = Start::new(address)
        .plain()
        .with(&["--to-protocol", "h2", "--workers", "1"])
        .start();
    crate::http2::runtime().block_on(async {
        let ask = async |sender: &h2::client::SendRequest<Bytes>, path: &str| {
            let mut sender = sender.clone().ready().await.expect("ready");
            let request = Request::post(format!("http://a.test{path}"));
            let request = request.body(()).expect("a request");
            sender.send_request(request, true).expect("send")
        };
        let tcp = tokio::net::TcpStream::connect(proxy.address).await;
        let (sender, connection) = h2::client::handshake(tcp.expect("connect"))
            .await
            .expect("HTTP/2");
        tokio::spawn(connection);
        let (other, _) = ask(&sender, "/other").await;
        for _ in 0..150 {
            let (bad, _) = ask(&sender, "/bad").await;
            let Ok(bad) = bad.await else {
                continue;
            };
            if bad.status() == 200 {
                let mut body = bad.into_body();
                while let Some(Ok(_)) = body.data().await {}
            }
        }
        let (released, _) = ask(&sender, "/release").await;
        assert_eq!(released.await.expect("an answer").status(), 200);
        let other = tokio::time::timeout(PATIENCE, other).await;
        let other = other.expect("in time").expect("an answer");
        assert_eq!(other.status(), 200);
    });
}
