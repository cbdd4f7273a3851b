//! Ends in HTTP/2: of connections, in order and by either side, and of streams, refused, reset when they are
//! complete, or said to be so late. What others reported of their proxies.

use std::future::Future;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use h2::RecvStream;
use h2::server::SendResponse;
use http::{Request, Response};
use hyper::body::Bytes;
use rustix::process::Signal;
use tokio::sync::Notify;
use underseal_testkit::PATIENCE;

use crate::backend::Backend;
use crate::harness::{Proxy, Start};
use crate::http2::runtime;
use crate::http2_backends::http2_server;
use crate::http2_frames::{
    DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, SETTINGS, STATUS_200, frame,
    serve_frames,
};
use crate::judged::Version;

fn proxy(backend: SocketAddr) -> Proxy {
    Start::new(backend)
        .plain()
        .with(&["--to-protocol", "h2", "--workers", "1"])
        .start()
}

/// A server of HTTP/2 whose connections are served by `serve`, all on one thread.
fn server<F>(serve: impl Fn(tokio::net::TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    listener.set_nonblocking(true).expect("an option");
    thread::spawn(move || {
        let tasks = tokio::task::LocalSet::new();
        tasks.block_on(&runtime(), async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::task::spawn_local(serve(tcp));
            }
        });
    });
    address
}

/// How long a body is, once it has come to its end.
async fn count(mut body: RecvStream) -> Result<usize, h2::Error> {
    let mut length = 0;
    while let Some(data) = body.data().await {
        let data = data?;
        length += data.len();
        let _ = body.flow_control().release_capacity(data.len());
    }
    Ok(length)
}

/// Reads a request to its end, and answers whether it has the length that it should have.
async fn measure(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let is_whole = count(request.into_body())
        .await
        .is_ok_and(|length| length == LONG);
    let status = if is_whole { 200 } else { 400 };
    let answer = Response::builder().status(status).body(());
    // The proxy may have gone.
    let _ = respond.send_response(answer.expect("an answer"), true);
}

/// More than the windows of a stream and of a connection have room for.
const LONG: usize = 1 << 20;

/// A GOAWAY stops neither the streams below it nor their windows (socketry/async-http#245,
/// igrigorik/http-2#193), and costs no later request anything.
#[test]
fn an_upload_goes_on_while_its_connection_ends_in_order() {
    let backend = server(|tcp| async move {
        let mut connection = h2::server::handshake(tcp).await.expect("HTTP/2");
        while let Some(Ok((request, respond))) = connection.accept().await {
            connection.graceful_shutdown();
            tokio::task::spawn_local(measure(request, respond));
        }
    });
    for client in Version::BOTH {
        let proxy = proxy(backend);
        let body = vec![b'x'; LONG];
        for _ in 0..5 {
            let status = client.send(proxy.address, "POST", &body);
            assert_eq!(status, 200, "{client:?}");
        }
    }
}

/// Connections of a backend that are to end together: each, and its last stream.
#[derive(Default)]
struct Draining(Mutex<Vec<(TcpStream, u32)>>);

/// How many streams there are before they do: on more connections than a request is sent once more.
const STREAMS: u32 = 8;

fn answer(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, STATUS_200)
}

/// Serves a connection of HTTP/2, with these SETTINGS of ours, and sends what `begun` says to each stream
/// that begins.
fn serve_streams(
    mut tcp: TcpStream,
    settings: &[u8],
    begun: impl Fn(u32) -> Vec<u8>,
) -> Option<()> {
    tcp.write_all(&frame(SETTINGS, 0, 0, settings)).ok()?;
    serve_frames(tcp, |sent| match sent.kind {
        HEADERS => begun(sent.stream),
        _ => Vec::new(),
    })
}

/// Accepts connections for as long as the test runs; either end of one may be gone at any time.
fn accept(serve: impl Fn(TcpStream) -> Option<()> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for tcp in listener.incoming() {
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(tcp.expect("a connection")));
        }
    });
    address
}

impl Draining {
    /// Serves a connection of two streams at once; `begun` is called for each.
    fn serve(&self, tcp: TcpStream, begun: impl Fn()) -> Option<()> {
        const MAX_CONCURRENT_STREAMS: u8 = 3;
        let index = {
            let mut connections = self.0.lock().expect("no panic");
            connections.push((tcp.try_clone().ok()?, 0));
            connections.len() - 1
        };
        serve_streams(tcp, &[0, MAX_CONCURRENT_STREAMS, 0, 0, 0, 2], |stream| {
            self.0.lock().expect("no panic")[index].1 = stream;
            begun();
            Vec::new()
        })
    }

    /// Answers the last stream of each connection, on which nothing more is to begin; how many that are.
    fn drain(&self) -> usize {
        let mut connections = self.0.lock().expect("no panic");
        for (tcp, stream) in &mut *connections {
            let [.., last] = stream.to_be_bytes();
            let goaway = frame(GOAWAY, 0, 0, &[0, 0, 0, last, 0, 0, 0, 0]);
            tcp.write_all(&[answer(*stream), goaway].concat())
                .expect("send");
        }
        connections.len()
    }

    /// Answers the first stream of each, which is what is left.
    fn finish(&self) {
        for (tcp, _) in &mut *self.0.lock().expect("no panic") {
            // It may have had no other, and have ended.
            let _ = tcp.write_all(&answer(1));
        }
    }
}

/// Whoever lets nothing more begin is not asked (envoyproxy/envoy#7715): each in vain would count as a try.
#[test]
fn a_request_is_not_lost_among_connections_that_end_in_order() {
    for client in Version::BOTH {
        let draining = Arc::<Draining>::default();
        let (tell, told) = channel();
        let serving = Arc::clone(&draining);
        let proxy = proxy(accept(move |tcp| {
            serving.serve(tcp, || {
                // The test may be over.
                let _ = tell.send(());
            })
        }));
        let address = proxy.address;
        let ask = |method| thread::spawn(move || client.send(address, method, b""));
        let begun = || told.recv_timeout(PATIENCE).expect("a stream");
        let mut asked = Vec::new();
        for _ in 0..STREAMS {
            asked.push(ask("GET"));
            begun();
        }
        let drained = draining.drain();
        assert!(drained > 3, "{drained} connections");
        proxy.peer.wait_for_nth(drained, "\"status\":200");
        asked.push(ask("POST"));
        begun();
        draining.finish();
        let statuses = asked
            .into_iter()
            .map(|asked| asked.join().expect("a status"));
        assert!(statuses.eq([200; STREAMS as usize + 1]), "{client:?}");
    }
}

/// It may say so after streams have begun (hyperium/hyper#2197, golang/go#39389).
#[test]
fn no_request_is_lost_to_a_backend_that_takes_one_stream_at_once() {
    let backend = server(|tcp| async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut builder = h2::server::Builder::new();
        builder.max_concurrent_streams(1);
        let handshake = builder.handshake::<_, Bytes>(tcp);
        let mut connection = handshake.await.expect("HTTP/2");
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            tokio::task::spawn_local(async move {
                tokio::time::sleep(Duration::from_millis(10)).await;
                let _ = respond.send_response(Response::new(()), true);
            });
        }
    });
    for client in Version::BOTH {
        let statuses = ask_at_once(client, &proxy(backend));
        assert_eq!(statuses, [200; AT_ONCE], "{client:?}");
    }
}

const AT_ONCE: usize = 24;

fn ask_at_once(client: Version, proxy: &Proxy) -> Vec<u16> {
    let all = Barrier::new(AT_ONCE);
    thread::scope(|scope| {
        let ask = || {
            all.wait();
            client.get(proxy.address, &[])
        };
        let asking: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(ask)).collect();
        let asked = asking.into_iter().map(|asked| asked.join());
        asked.map(|status| status.expect("a status")).collect()
    })
}

/// A backend that accepts connections and says nothing on any is tried by one request at a time.
#[test]
fn a_backend_without_settings_does_not_get_a_connection_for_each_request() {
    for client in Version::BOTH {
        let mute = Backend::new(|connection| while !connection.read(1).is_empty() {});
        let proxy = Start::new(mute.address)
            .plain()
            .with(&["--to-protocol", "h2", "--workers", "1"])
            .with(&["--connect-timeout", "1"])
            .start();
        assert_eq!(ask_at_once(client, &proxy), [504; AT_ONCE], "{client:?}");
        let made = mute.connections();
        assert!((1..AT_ONCE / 2).contains(&made), "{client:?}: {made}");
    }
}

/// Less than is read ahead of a stream.
const ANSWER: usize = 100_000;

/// Answers without looking at the request's body, of which it says by RST_STREAM(NO_ERROR) that it is not
/// needed (RFC 9113 section 8.1); the answer `is_whole` by then, or not.
fn hasty(is_whole: bool) -> SocketAddr {
    accept(move |tcp| {
        serve_streams(tcp, &[], |stream| {
            let mut answer = frame(HEADERS, END_HEADERS, stream, STATUS_200);
            let piece = frame(DATA, 0, stream, &[b'x'; ANSWER / 10]);
            answer.extend(piece.repeat(10));
            if is_whole {
                answer.extend(frame(DATA, END_STREAM, stream, b""));
            }
            answer.extend(frame(RST_STREAM, 0, stream, &[0; 4]));
            answer
        })
    })
}

/// How much of a response comes, and whether it looks whole, to a client that is in no hurry and still
/// sends.
fn slowly(client: Version, address: SocketAddr) -> (usize, bool) {
    match client {
        Version::Http1 => {
            let mut tcp = crate::client::tcp(address);
            tcp.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
                .expect("send");
            tcp.write_all(&[b'x'; 1000]).expect("send");
            thread::sleep(Duration::from_millis(200));
            let mut text = Vec::new();
            // What is cut off may end by a reset.
            let _ = tcp.read_to_end(&mut text);
            let count = text.iter().filter(|byte| **byte == b'x').count();
            (count, text.ends_with(b"\r\n0\r\n\r\n"))
        }
        Version::Http2 => runtime().block_on(async {
            let tcp = tokio::net::TcpStream::connect(address).await;
            let (sender, connection) = h2::client::handshake(tcp.expect("connect"))
                .await
                .expect("HTTP/2");
            tokio::spawn(connection);
            let mut sender = sender.ready().await.expect("ready");
            let request = Request::post("http://a/").body(());
            let request = request.expect("a request");
            let (response, mut sink) = sender.send_request(request, false).expect("send");
            sink.send_data("some".into(), false).expect("send");
            let Ok(response) = response.await else {
                return (0, false);
            };
            let mut body = response.into_body();
            tokio::time::sleep(Duration::from_millis(200)).await;
            let mut count = 0;
            loop {
                match tokio::time::timeout(PATIENCE, body.data()).await {
                    Ok(Some(Ok(data))) => {
                        count += data.len();
                        let _ = body.flow_control().release_capacity(data.len());
                    }
                    Ok(Some(Err(_))) => return (count, false),
                    Ok(None) => return (count, true),
                    Err(_) => panic!("it neither ends nor goes on"),
                }
            }
        }),
    }
}

/// h2o/h2o#3566, connectrpc/connect-es#1751.
#[test]
fn a_reset_without_an_error_cuts_off_what_is_not_whole_and_nothing_else() {
    for client in Version::BOTH {
        for is_whole in [true, false] {
            let proxy = proxy(hasty(is_whole));
            let (count, looks_whole) = slowly(client, proxy.address);
            assert_eq!(looks_whole, is_whole, "{client:?}, {count} bytes");
            assert!(count == ANSWER || !is_whole, "{client:?}, {count} bytes");
        }
    }
}

/// The last bytes do not wait for an end that comes in a frame of its own (haproxy/haproxy#3447).
#[test]
fn all_that_was_announced_arrives_before_its_end() {
    let has_arrived = Arc::new(Notify::new());
    let told = Arc::clone(&has_arrived);
    let backend = http2_server(move |_, mut respond| {
        let told = Arc::clone(&told);
        async move {
            let head = Response::builder().header("content-length", 5).body(());
            let head = head.expect("a head");
            let mut sink = respond.send_response(head, false).expect("a stream");
            sink.send_data("hello".into(), false).expect("a stream");
            told.notified().await;
            sink.send_data("".into(), true).expect("a stream");
        }
    });
    let proxy = proxy(backend);
    let mut tcp = proxy.tcp();
    for _ in 0..2 {
        tcp.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .expect("send");
        let mut text = Vec::new();
        while !text.ends_with(b"\r\n\r\nhello") {
            let mut byte = [0];
            tcp.read_exact(&mut byte).expect("all of it");
            text.extend(byte);
        }
        has_arrived.notify_one();
    }
    runtime().block_on(async {
        let tcp = tokio::net::TcpStream::connect(proxy.address).await;
        let (mut sender, connection) = h2::client::handshake(tcp.expect("connect"))
            .await
            .expect("HTTP/2");
        tokio::spawn(connection);
        let request = Request::get("http://a/").body(()).expect("a request");
        let (response, _) = sender.send_request(request, true).expect("send");
        let mut body = response.await.expect("a head").into_body();
        let data = tokio::time::timeout(PATIENCE, body.data()).await;
        let data = data.expect("in time").expect("data").expect("no reset");
        assert_eq!(data, "hello");
        has_arrived.notify_one();
        let end = async {
            while let Some(data) = body.data().await {
                assert_eq!(data.expect("no reset"), "");
            }
        };
        tokio::time::timeout(PATIENCE, end).await.expect("in time");
    });
}

/// What runs is finished when it is the proxy that ends connections (haproxy/haproxy#3209).
#[test]
fn large_responses_are_finished_while_the_proxy_ends() {
    const RUNNING: usize = 8;
    let large = vec![b'x'; LONG];
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LONG}\r\n\r\n");
    let whole = [head.as_bytes(), &large].concat();
    for backend in Version::BOTH {
        let (whole, large) = (whole.clone(), Bytes::from(large.clone()));
        let address = match backend {
            Version::Http1 => Backend::answering_heads(whole).address,
            Version::Http2 => http2_server(move |_, mut respond| {
                let large = large.clone();
                async move {
                    let sink = respond.send_response(Response::new(()), false);
                    sink.and_then(|mut sink| sink.send_data(large, true))
                        .expect("a stream");
                }
            }),
        };
        let start = Start::new(address).plain().with(backend.options());
        let proxy = start.start();
        runtime().block_on(async {
            let tcp = tokio::net::TcpStream::connect(proxy.address).await;
            let (sender, connection) = h2::client::handshake(tcp.expect("connect"))
                .await
                .expect("HTTP/2");
            tokio::spawn(connection);
            let mut bodies = Vec::new();
            for _ in 0..RUNNING {
                let mut sender = sender.clone().ready().await.expect("ready");
                let request = Request::get("http://a/").body(()).expect("a request");
                let (response, _) = sender.send_request(request, true).expect("send");
                bodies.push(response.await.expect("a head").into_body());
            }
            proxy.signal(Signal::TERM);
            proxy.peer.wait_for("shutting down");
            let reading = bodies.into_iter().map(|body| tokio::spawn(count(body)));
            for counted in reading.collect::<Vec<_>>() {
                let counted = counted.await.expect("no panic").expect("an end");
                assert_eq!(counted, LONG, "{backend:?}");
            }
        });
    }
}
