//! hyper 1 and axum over the streams.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use underseal::{TlsAcceptor, TlsConnector, client, server};
use underseal_testkit::{Certificates, KeyType, Suite};

use crate::pairs::{both, name, pattern};

/// Sends requests over one connection of underseal's and returns the bodies of the answers.
async fn ask<IO>(stream: client::TlsStream<IO>, paths: &[&str]) -> Vec<Bytes>
where
    IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut bodies = Vec::new();
    for path in paths {
        let request = Request::get(*path)
            .header("host", "localhost")
            .body(Empty::<Bytes>::new())
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        bodies.push(response.into_body().collect().await.unwrap().to_bytes());
    }
    drop(sender);
    connection.await.unwrap().unwrap();
    bodies
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let len = request.uri().path()[1..].parse().unwrap();
    Ok(Response::new(Full::new(Bytes::from(pattern(len)))))
}

#[tokio::test]
async fn hyper_serves_and_asks() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    for suite in Suite::ALL {
        let (left, right) = duplex(50_000);
        let acceptor = TlsAcceptor::from(Arc::new(certificates.server_config(suite)));
        let connector = TlsConnector::from(Arc::new(certificates.client_config(suite)));
        let serve = async {
            let stream: server::TlsStream<DuplexStream> = acceptor.accept(left).await.unwrap();
            let served = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .await;
            // The client may be gone before it is told goodbye.
            assert!(
                served.is_ok() || served.as_ref().is_err_and(hyper::Error::is_shutdown),
                "{served:?}"
            );
        };
        let paths = ["/0", "/1", "/1000", "/1000000", "/17"];
        let ask = async {
            let stream = connector.connect(name(), right).await.unwrap();
            ask(stream, &paths).await
        };
        let ((), bodies) = both(serve, ask).await;
        for (path, body) in paths.iter().zip(bodies) {
            assert!(
                body == pattern(path[1..].parse().unwrap()),
                "{suite:?} {path}"
            );
        }
    }
}

/// A listener whose connections are accepted one at a time, which is enough for a test.
struct Listener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Listener {
    type Io = server::TlsStream<TcpStream>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (socket, peer) = self.tcp.accept().await.unwrap();
        (self.acceptor.accept(socket).await.unwrap(), peer)
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

#[tokio::test]
async fn axum_serves() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    for suite in Suite::EACH_VERSION {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(certificates.server_config(suite)));
        let app = Router::new()
            .route("/", get(|| async { "hello" }))
            .route("/large", get(|| async { pattern(300_000) }));
        let listener = Listener { tcp, acceptor };
        let server = tokio::spawn(async move { axum::serve(listener, app).await });
        let connector = TlsConnector::from(Arc::new(certificates.client_config(suite)));
        for _ in 0..2 {
            let socket = TcpStream::connect(address).await.unwrap();
            let stream = connector.connect(name(), socket).await.unwrap();
            let bodies = ask(stream, &["/", "/large", "/"]).await;
            assert_eq!(bodies[0], "hello");
            assert!(bodies[1] == pattern(300_000));
            assert_eq!(bodies[2], "hello");
        }
        server.abort();
    }
}
