//! A backend that speaks HTTP/2 without TLS: small files and gRPC's unary calls.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response, StatusCode};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::http::SMALL_FILE;

/// The path of the method that is called.
pub(super) const METHOD: &str = "/echo.Echo/Unary";

/// Bytes of a message, without gRPC's five before it.
const MESSAGE: usize = 100;

/// A message, as gRPC frames it.
pub(super) fn message() -> Vec<u8> {
    let len = MESSAGE as u32;
    [&[0], &len.to_be_bytes()[..], &[0x5a; MESSAGE]].concat()
}

/// It serves until it is dropped.
pub(super) struct Http2Backend {
    address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Http2Backend {
    /// Starts it in a thread of its own, on the core of this one.
    pub(super) fn start() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let (end, ended) = oneshot::channel();
        let thread = thread::Builder::new().spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener) => {}
                    _ = ended => {}
                }
            });
        });
        Ok(Self {
            address,
            end: Some(end),
            thread: Some(thread.context("cannot start a thread")?),
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Http2Backend {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the backend panicked");
        }
    }
}

async fn serve(listener: TcpListener) {
    while let Ok((socket, _)) = listener.accept().await {
        // A proxy that leaves is no fault.
        tokio::spawn(async move { connection(socket).await.ok() });
    }
}

async fn connection(socket: TcpStream) -> anyhow::Result<()> {
    socket.set_nodelay(true)?;
    let mut connection = h2::server::handshake(socket).await?;
    while let Some(request) = connection.accept().await {
        let (request, respond) = request?;
        tokio::spawn(async move { answer(request, respond).await.ok() });
    }
    Ok(())
}

async fn answer(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> anyhow::Result<()> {
    let path = request.uri().path().to_owned();
    let mut body = request.into_body();
    while let Some(data) = body.data().await {
        body.flow_control().release_capacity(data?.len())?;
    }
    let response = Response::builder();
    match &path[..] {
        "/small" => {
            let response = response.header("content-length", SMALL_FILE);
            let mut send = respond.send_response(response.body(())?, false)?;
            send.send_data(Bytes::from_static(&[0x5a; SMALL_FILE]), true)?;
        }
        METHOD => {
            let response = response.header("content-type", "application/grpc");
            let mut send = respond.send_response(response.body(())?, false)?;
            send.send_data(message().into(), false)?;
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().map_err(|_| anyhow!("no value"))?);
            send.send_trailers(trailers)?;
        }
        _ => {
            let response = response.status(StatusCode::NOT_FOUND).body(())?;
            respond.send_response(response, true)?;
        }
    }
    Ok(())
}
