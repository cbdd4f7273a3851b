//! What every row with a tokio stream does with it.

use std::any::Any;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::task::ready;
use std::time::{Duration, Instant};

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use super::blocking::piece;
use super::{Hold, Link, MESSAGE, Row, Tuning};
use crate::aligned::Aligned;
use crate::pairs::Cost;
use crate::streams::Meeting;

/// An implementation whose streams are tokio's `AsyncRead` and `AsyncWrite`.
pub trait AsyncRow: Clone + Send + Sync + 'static {
    /// Its stream.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// What the tables call it.
    fn name(&self) -> &'static str;

    /// Handshakes as the server.
    fn accept(
        &self,
        tcp: tokio::net::TcpStream,
        tuning: Tuning,
    ) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Handshakes as the client.
    fn connect(
        &self,
        tcp: tokio::net::TcpStream,
        tuning: Tuning,
    ) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// A [`Row`] of tokio streams, each on a runtime of the thread that uses it.
#[derive(Debug)]
pub struct Asynchronous<R>(pub R);

impl<R: AsyncRow> Row for Asynchronous<R> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn has_tasks(&self) -> bool {
        true
    }

    fn accept(&self, tcp: TcpStream, tuning: Tuning) -> anyhow::Result<Box<dyn Link>> {
        let runtime = runtime()?;
        let stream = runtime.block_on(async { self.0.accept(adopt(tcp)?, tuning).await })?;
        Ok(Box::new(AsyncLink {
            stream,
            runtime,
            tuning,
        }))
    }

    fn connect(&self, tcp: TcpStream, tuning: Tuning) -> anyhow::Result<Box<dyn Link>> {
        let runtime = runtime()?;
        let stream = runtime.block_on(async { self.0.connect(adopt(tcp)?, tuning).await })?;
        Ok(Box::new(AsyncLink {
            stream,
            runtime,
            tuning,
        }))
    }

    fn hold(
        &self,
        listener: TcpListener,
        count: usize,
        hold: Hold,
    ) -> anyhow::Result<Box<dyn Any>> {
        let runtime = runtime()?;
        listener.set_nonblocking(true)?;
        let held: Box<dyn Any> = match hold {
            Hold::Stream => Box::new(runtime.block_on(hold_streams(&self.0, listener, count))?),
            Hold::Task => Box::new(runtime.block_on(hold_tasks(&self.0, listener, count))?),
        };
        Ok(Box::new((held, runtime)))
    }
}

impl<R: AsyncRow> Asynchronous<R> {
    /// Accepts `count` connections, one after the other; each gets a byte and is closed. Returns
    /// what all of them cost.
    ///
    /// # Errors
    ///
    /// When a handshake fails.
    pub fn greet(&self, listener: TcpListener, count: usize) -> anyhow::Result<Cost> {
        let runtime = runtime()?;
        listener.set_nonblocking(true)?;
        Cost::of(|| {
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                for _ in 0..count {
                    let (tcp, _) = listener.accept().await?;
                    tcp.set_nodelay(true)?;
                    let mut stream = self.0.accept(tcp, Tuning::default()).await?;
                    stream.write_all(&[0x5a]).await?;
                    stream.shutdown().await?;
                }
                Ok(())
            })
        })
    }

    /// Serves one connection of HTTP/2 with axum: each request is answered by `reply`. Returns what
    /// that cost after the handshake. The client counts its replies; it may be gone before the last
    /// frame of the connection is written.
    ///
    /// # Errors
    ///
    /// When the handshake fails, or the connection breaks otherwise than by the client's leaving.
    pub(crate) fn serve_http2(
        &self,
        tcp: TcpStream,
        reply: &'static [u8],
        ready: &Meeting,
    ) -> anyhow::Result<Cost> {
        let runtime = runtime()?;
        let stream =
            runtime.block_on(async { self.0.accept(adopt(tcp)?, Tuning::default()).await })?;
        let router = axum::Router::new().fallback(move || async move { reply });
        ready.wait()?;
        Cost::of(|| {
            let served = http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
            match runtime.block_on(served) {
                Err(error) if !has_left(&error) => Err(error.into()),
                _ => Ok(()),
            }
        })
    }
}

/// Whether `error` says no more than that the other side has closed its socket.
fn has_left(error: &hyper::Error) -> bool {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|source| {
            matches!(
                source.kind(),
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
            )
        })
}

async fn hold_streams<R: AsyncRow>(
    row: &R,
    listener: TcpListener,
    count: usize,
) -> io::Result<Vec<R::Stream>> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        let mut stream = row.accept(tcp, Tuning::default()).await?;
        reply_once(&mut stream).await?;
        streams.push(stream);
    }
    Ok(streams)
}

/// The connections live in their tasks, which stop being polled when this returns.
async fn hold_tasks<R: AsyncRow>(row: &R, listener: TcpListener, count: usize) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let answered = Arc::new(Semaphore::new(0));
    for _ in 0..count {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        let (row, answered) = (row.clone(), Arc::clone(&answered));
        tokio::spawn(async move {
            // Boxed, so that the room which the handshake takes is given back with it, and not
            // kept in the task for life.
            let mut stream = Box::pin(row.accept(tcp, Tuning::default())).await?;
            loop {
                reply_once(&mut stream).await?;
                answered.add_permits(1);
            }
            #[expect(unreachable_code, reason = "gives the block its type")]
            io::Result::Ok(())
        });
    }
    let wanted = u32::try_from(count).map_err(io::Error::other)?;
    answered
        .acquire_many(wanted)
        .await
        .map(drop)
        .map_err(io::Error::other)
}

/// Reads a message and sends it back, through a buffer of the thread: a task that waits for its
/// next request owns no buffer, for any row.
pub(crate) async fn reply_once<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
) -> io::Result<()> {
    thread_local!(static SCRATCH: RefCell<[u8; MESSAGE]> = const { RefCell::new([0; MESSAGE]) });
    let mut got = 0;
    while got < MESSAGE {
        got += poll_fn(|context| {
            SCRATCH.with_borrow_mut(|scratch| {
                let mut buffer = ReadBuf::new(&mut scratch[got..]);
                ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
                match buffer.filled().len() {
                    0 => Err(io::ErrorKind::UnexpectedEof.into()).into(),
                    count => Ok::<_, io::Error>(count).into(),
                }
            })
        })
        .await?;
    }
    let mut put = 0;
    while put < MESSAGE {
        put += poll_fn(|context| {
            SCRATCH
                .with_borrow(|scratch| Pin::new(&mut *stream).poll_write(context, &scratch[put..]))
        })
        .await?;
    }
    stream.flush().await
}

struct AsyncLink<S> {
    stream: S,
    runtime: Runtime,
    tuning: Tuning,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link for AsyncLink<S> {
    fn send(&mut self, total: u64) -> io::Result<()> {
        let data = Aligned::filled(0x5a, self.tuning.write_size);
        self.runtime.block_on(async {
            let mut left = total;
            while left > 0 {
                let piece = &data[..piece(left, data.len())];
                self.stream.write_all(piece).await?;
                left -= piece.len() as u64;
            }
            self.stream.flush().await
        })
    }

    fn receive(&mut self, total: u64) -> io::Result<()> {
        let mut buffer = Aligned::filled(0, self.tuning.read_buffer);
        self.runtime.block_on(async {
            let mut left = total;
            while left > 0 {
                let wanted = piece(left, buffer.len());
                match self.stream.read(&mut buffer[..wanted]).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    count => left -= count as u64,
                }
            }
            Ok(())
        })
    }

    fn request(&mut self, times: usize) -> io::Result<Vec<Duration>> {
        self.runtime.block_on(async {
            let mut latencies = Vec::with_capacity(times);
            let mut message = [0x5a; MESSAGE];
            for _ in 0..times {
                let began = Instant::now();
                self.stream.write_all(&message).await?;
                self.stream.flush().await?;
                self.stream.read_exact(&mut message).await?;
                latencies.push(began.elapsed());
            }
            Ok(latencies)
        })
    }

    fn reply(&mut self, times: usize) -> io::Result<()> {
        self.runtime.block_on(async {
            for _ in 0..times {
                reply_once(&mut self.stream).await?;
            }
            Ok(())
        })
    }
}

fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
}

fn adopt(tcp: TcpStream) -> io::Result<tokio::net::TcpStream> {
    tcp.set_nonblocking(true)?;
    tokio::net::TcpStream::from_std(tcp)
}
