//! A `Mux`, with its workers where they may be.

use std::net::TcpStream;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::anyhow;
use tokio::runtime::{Builder, Runtime};
use underseal::mux::{Framing, Worker};
use underseal::{Mux, TlsAcceptor};

use super::name;
use super::service::{Contender, LEN, Service, answer, parser};

struct MuxService {
    mux: Mux,
    runtime: Arc<Runtime>,
    threads: Vec<JoinHandle<()>>,
    acceptor: TlsAcceptor,
}

impl Service for MuxService {
    fn accept(&self, tcp: TcpStream) -> anyhow::Result<()> {
        let (mux, acceptor) = (self.mux.clone(), self.acceptor.clone());
        self.runtime.spawn(async move {
            let tcp = tokio::net::TcpStream::from_std(tcp)?;
            let stream = acceptor.accept(tcp).await?;
            // How it ended is seen by the client.
            mux.attach(stream)?;
            anyhow::Ok(())
        });
        Ok(())
    }

    fn stop(self: Box<Self>) -> anyhow::Result<()> {
        drop(self.mux);
        for thread in self.threads {
            thread.join().map_err(|_| anyhow!("a worker panicked"))?;
        }
        Ok(())
    }
}

fn mux() -> Mux {
    Mux::new(Framing::new(LEN, parser))
}

fn thread(mut worker: Worker) -> JoinHandle<()> {
    std::thread::spawn(move || {
        while let Some(message) = worker.recv_blocking() {
            let reply = answer(message.bytes());
            // A connection that ended is seen by the client.
            let _ = message.reply_blocking(&reply);
        }
    })
}

/// Idle workers drive the runtime of the sockets.
pub(super) struct Driving;

impl Contender for Driving {
    fn name(&self) -> &'static str {
        name::DRIVING
    }

    fn start(&self, threads: usize, acceptor: TlsAcceptor) -> anyhow::Result<Box<dyn Service>> {
        let runtime = Arc::new(Builder::new_current_thread().enable_all().build()?);
        let mux = mux();
        let threads = (0..threads).map(|_| thread(mux.driving_worker(&runtime)));
        Ok(Box::new(MuxService {
            threads: threads.collect(),
            mux,
            runtime,
            acceptor,
        }))
    }
}

/// Workers are tasks, on as many threads of tokio's.
pub(super) struct Tasks;

impl Contender for Tasks {
    fn name(&self) -> &'static str {
        name::TASKS
    }

    fn start(&self, threads: usize, acceptor: TlsAcceptor) -> anyhow::Result<Box<dyn Service>> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()?;
        let mux = mux();
        for _ in 0..threads {
            let mut worker = mux.worker();
            runtime.spawn(async move {
                while let Some(message) = worker.recv().await {
                    let reply = answer(message.bytes());
                    let _ = message.reply(&reply).await;
                }
            });
        }
        Ok(Box::new(MuxService {
            threads: Vec::new(),
            mux,
            runtime: Arc::new(runtime),
            acceptor,
        }))
    }
}

/// Workers park; one of the threads is the runtime's.
pub(super) struct Parked;

impl Contender for Parked {
    fn name(&self) -> &'static str {
        name::PARKED
    }

    fn start(&self, threads: usize, acceptor: TlsAcceptor) -> anyhow::Result<Box<dyn Service>> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let mux = mux();
        let threads = (1..threads.max(2)).map(|_| thread(mux.worker()));
        Ok(Box::new(MuxService {
            threads: threads.collect(),
            mux,
            runtime: Arc::new(runtime),
            acceptor,
        }))
    }
}
