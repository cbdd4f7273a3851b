//! Uploads at once on one connection of HTTP/2: each comes whole, and one that nobody reads holds up
//! no other.

use std::net::SocketAddr;
use std::sync::{Arc, Barrier, mpsc};
use std::thread;

use http::{Request, Response};
use hyper::body::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use underseal_testkit::PATIENCE;

use crate::backend::Backend;
use crate::harness::{Proxy, Start};
use crate::http2::runtime;

/// More than a stream's window of 256 KiB; three of them are more than the connection's 1 MiB.
const LENGTH: usize = 600 * 1024;
const UPLOADS: usize = 3;

/// The window of a stream.
const WINDOW: usize = 256 * 1024;

/// More than windows and the buffers of sockets hold.
const ENDLESS: usize = 64 * 1024 * 1024;

type Sender = h2::client::SendRequest<Bytes>;

/// Content that differs from upload to upload and has a period that no buffer has.
fn content(upload: usize, length: usize) -> Bytes {
    let period: Vec<u8> = (0..251_u8).map(|n| n.wrapping_add(upload as u8)).collect();
    let copies = period.iter().copied().cycle();
    copies.take(length).collect::<Vec<_>>().into()
}

async fn connect(address: SocketAddr) -> Sender {
    let tcp = TcpStream::connect(address).await.expect("connect");
    let (sender, connection) = h2::client::handshake(tcp).await.expect("HTTP/2");
    tokio::spawn(connection);
    sender.ready().await.expect("ready")
}

/// Begins an upload to `path`. What was sent of it is told to `sent`.
async fn upload(
    mut sender: Sender,
    path: &str,
    mut content: Bytes,
    sent: watch::Sender<usize>,
) -> Result<Bytes, h2::Error> {
    let request = Request::post(format!("http://a.test{path}"))
        .header("content-length", content.len())
        .body(())
        .expect("a request");
    let (response, mut sink) = sender.send_request(request, false)?;
    while !content.is_empty() {
        sink.reserve_capacity(content.len());
        let room = std::future::poll_fn(|cx| sink.poll_capacity(cx)).await;
        let room = room.expect("an open stream")?;
        let piece = content.split_to(room.min(content.len()));
        sent.send_modify(|sent| *sent += piece.len());
        sink.send_data(piece, content.is_empty())?;
    }
    let (head, mut body) = response.await?.into_parts();
    assert_eq!(head.status, 200);
    let mut answer = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        answer.extend_from_slice(&data);
    }
    Ok(answer.into())
}

/// Mounts all uploads at once; each answer has to be what was sent.
async fn upload_all(sender: &Sender) {
    let uploads = (0..UPLOADS).map(|n| {
        let path = format!("/upload/{n}");
        let sender = sender.clone();
        tokio::spawn(async move {
            let (sent, _) = watch::channel(0);
            let content = content(n, LENGTH);
            let answer = upload(sender, &path, content.clone(), sent).await;
            let answer = answer.expect("an answer");
            assert!(answer == content, "upload {n}: {} bytes", answer.len());
        })
    });
    for upload in uploads.collect::<Vec<_>>() {
        let done = timeout(PATIENCE, upload).await;
        done.expect("in time").expect("the right bytes");
    }
}

/// Has `stuck` uploads go to where nobody reads, each until its window is full, and others go on.
fn others_go_on(proxy: &Proxy, stuck: usize) {
    runtime().block_on(async {
        let sender = connect(proxy.address).await;
        let mut held = Vec::new();
        for _ in 0..stuck {
            let (progress, mut sent) = watch::channel(0);
            let endless = Bytes::from(vec![0; ENDLESS]);
            let sender = sender.clone();
            held.push(tokio::spawn(async move {
                upload(sender, "/stuck", endless, progress).await
            }));
            let full = timeout(PATIENCE, sent.wait_for(|sent| *sent >= WINDOW)).await;
            full.expect("in time").expect("an open stream");
        }
        upload_all(&sender).await;
        for upload in &held {
            assert!(!upload.is_finished(), "somebody read it");
        }
    });
}

/// Gives bodies back, once as many requests are there as are sent at once; `/stuck` it never reads.
fn http1_backend() -> Backend {
    let together = Arc::new(Barrier::new(UPLOADS));
    // What never comes: the other end of it is never dropped.
    Backend::with_small_buffer(move |connection| {
        while let Some(head) = connection.head() {
            if head.contains(" /stuck ") {
                let (_never, waited_for) = mpsc::channel::<()>();
                let _ = waited_for.recv_timeout(2 * PATIENCE);
                return;
            }
            together.wait();
            let Some(body) = connection.body(&head) else {
                return;
            };
            connection.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                body.len()
            ));
            connection.send(body);
        }
    })
}

/// The same in HTTP/2, with as much room for all streams as they need.
fn h2_backend() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    listener.set_nonblocking(true).expect("an option");
    thread::spawn(move || {
        runtime().block_on(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            let together = Arc::new(tokio::sync::Barrier::new(UPLOADS));
            loop {
                let (tcp, _) = listener.accept().await.expect("a connection");
                tokio::spawn(serve(tcp, Arc::clone(&together)));
            }
        });
    });
    address
}

async fn serve(tcp: TcpStream, together: Arc<tokio::sync::Barrier>) {
    let mut builder = h2::server::Builder::new();
    builder.initial_connection_window_size(1024 * 1024);
    let connection = builder.handshake(tcp).await;
    let mut connection = connection.expect("HTTP/2");
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(echo(request, respond, Arc::clone(&together)));
    }
}

async fn echo(
    request: Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    together: Arc<tokio::sync::Barrier>,
) {
    let (head, mut body) = request.into_parts();
    if head.uri.path() == "/stuck" {
        let reset = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
        return drop((reset, body));
    }
    together.wait().await;
    let mut bytes = Vec::new();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        bytes.extend_from_slice(&data);
    }
    let sink = respond.send_response(Response::new(()), false);
    let sent = sink.and_then(|mut sink| sink.send_data(bytes.into(), true));
    sent.expect("a stream");
}

fn to_http2() -> Proxy {
    let start = Start::new(h2_backend()).plain();
    start.with(&["--to-protocol", "h2"]).start()
}

#[test]
fn uploads_at_once_arrive_whole_at_a_backend_of_http1() {
    let proxy = Start::new(http1_backend().address).plain().start();
    runtime().block_on(async { upload_all(&connect(proxy.address).await).await });
}

#[test]
fn uploads_at_once_arrive_whole_at_a_backend_of_http2() {
    let proxy = to_http2();
    runtime().block_on(async { upload_all(&connect(proxy.address).await).await });
}

/// A connection's window holds four of a stream.
#[test]
fn uploads_that_a_backend_of_http1_does_not_read_hold_up_no_other() {
    let proxy = Start::new(http1_backend().address).plain().start();
    others_go_on(&proxy, 1);
    others_go_on(&proxy, 3);
}

#[test]
fn uploads_that_a_backend_of_http2_does_not_read_hold_up_no_other() {
    let proxy = to_http2();
    others_go_on(&proxy, 1);
    others_go_on(&proxy, 3);
}

#[test]
fn a_body_of_unknown_length_reaches_a_backend_of_http1_whatever_the_method() {
    let backend = Backend::new(|connection| {
        while let Some((head, body)) = connection.request() {
            let text = format!("{head}{}", String::from_utf8_lossy(&body));
            assert!(
                head.contains("\r\nTransfer-Encoding: chunked\r\n"),
                "{text}"
            );
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
            connection.send(format!("X-Took: {}\r\n\r\n", body.len()));
        }
    });
    let proxy = Start::new(backend.address).plain().start();
    for method in ["GET", "HEAD", "DELETE", "POST"] {
        let took = runtime().block_on(async {
            let mut sender = connect(proxy.address).await;
            let request = Request::builder().method(method).uri("http://a.test/");
            let request = request.body(()).expect("a request");
            let (response, mut sink) = sender.send_request(request, false).expect("send");
            sink.send_data("hello".into(), true).expect("send");
            let response = response.await.expect("a response");
            response.headers()["x-took"].to_str().map(str::to_owned)
        });
        // As it is framed.
        let framed = "5\r\nhello\r\n0\r\n\r\n".len().to_string();
        assert_eq!(took.expect("ASCII"), framed, "{method}");
    }
}

/// Uploads without an end while the whole response comes; says with what the stream is reset, if that
/// is before a request to `/slow` is answered.
async fn upload_in_vain(sender: &Sender) -> Option<h2::Reason> {
    let ask = |path: &str| Request::post(format!("http://a.test{path}")).body(());
    let mut ready = sender.clone().ready().await.expect("ready");
    let slow = ask("/slow").expect("a request");
    let (slow, _) = ready.send_request(slow, true).expect("send");
    let mut ready = sender.clone().ready().await.expect("ready");
    let early = ask("/early").expect("a request");
    let (response, mut sink) = ready.send_request(early, false).expect("send");
    sink.send_data(content(0, 1000), false).expect("send");
    let mut body = response.await.expect("a response").into_body();
    while let Some(data) = body.data().await {
        data.expect("the whole response");
    }
    tokio::select! {
        reason = std::future::poll_fn(|cx| sink.poll_reset(cx)) => reason.ok(),
        _ = slow => None,
    }
}

#[test]
fn an_upload_that_its_response_did_not_wait_for_ends_at_once() {
    let http1 = Backend::new(|connection| {
        while let Some(head) = connection.head() {
            if head.contains("/slow") {
                thread::sleep(std::time::Duration::from_secs(3));
            }
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            if head.contains("/early") {
                connection.read(ENDLESS);
            }
        }
    });
    let to_http1 = Start::new(http1.address).plain().start();
    let h2 = Start::new(crate::http2_backends::early()).plain();
    let to_h2 = h2.with(&["--to-protocol", "h2"]).start();
    for proxy in [to_http1, to_h2] {
        let reason = runtime().block_on(async {
            let sender = connect(proxy.address).await;
            let ended = timeout(PATIENCE, upload_in_vain(&sender));
            ended.await.expect("an end")
        });
        assert_eq!(reason, Some(h2::Reason::NO_ERROR));
        assert_eq!(proxy.logged_path("/early")["status"], 200);
    }
}
