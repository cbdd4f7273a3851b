//! A task per connection: on the thread that has the connection, or on whichever is free.

use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use anyhow::anyhow;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use underseal::TlsAcceptor;
use underseal_message::{Boundary, StreamParser};

use super::name;
use super::service::{Contender, LEN, Service, answer, parser};

/// Bytes of one read.
const READ: usize = 4096;

/// Serves one connection until it ends.
async fn serve(tcp: TcpStream, acceptor: TlsAcceptor) -> anyhow::Result<()> {
    let tcp = tokio::net::TcpStream::from_std(tcp)?;
    let mut stream = acceptor.accept(tcp).await?;
    let mut parser = StreamParser::new(parser(), LEN as u64);
    let (mut buffer, mut filled) = (vec![0; READ], 0);
    loop {
        match stream.read(&mut buffer[filled..]).await? {
            0 => return Ok(()),
            read => filled += read,
        }
        let mut start = 0;
        let mut looked = 0;
        while let Boundary::Ends(len) = parser.next(&buffer[start + looked..filled])? {
            let reply = answer(&buffer[start..start + looked + len]);
            stream.write_all(&reply).await?;
            stream.flush().await?;
            start += looked + len;
            looked = 0;
        }
        looked = filled - start;
        // The parser is given each byte once; requests come whole here, but for a full buffer.
        anyhow::ensure!(looked == 0, "a request in pieces");
        filled = 0;
    }
}

/// One thread, with a runtime of its own, for each group of connections.
pub(super) struct Pinned;

struct PinnedService {
    threads: Vec<(UnboundedSender<TcpStream>, JoinHandle<anyhow::Result<()>>)>,
    next: AtomicUsize,
}

impl Contender for Pinned {
    fn name(&self) -> &'static str {
        name::PINNED
    }

    fn start(&self, threads: usize, acceptor: TlsAcceptor) -> anyhow::Result<Box<dyn Service>> {
        let threads = (0..threads).map(|_| {
            let (sender, receiver) = unbounded_channel();
            let acceptor = acceptor.clone();
            (
                sender,
                std::thread::spawn(|| serve_group(receiver, acceptor)),
            )
        });
        Ok(Box::new(PinnedService {
            threads: threads.collect(),
            next: AtomicUsize::new(0),
        }))
    }
}

fn serve_group(
    mut connections: UnboundedReceiver<TcpStream>,
    acceptor: TlsAcceptor,
) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        while let Some(tcp) = connections.recv().await {
            // How it ended is seen by the client.
            tokio::spawn(serve(tcp, acceptor.clone()));
        }
    });
    Ok(())
}

impl Service for PinnedService {
    fn accept(&self, tcp: TcpStream) -> anyhow::Result<()> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.threads.len();
        self.threads[turn]
            .0
            .send(tcp)
            .map_err(|_| anyhow!("the thread ended"))
    }

    fn stop(self: Box<Self>) -> anyhow::Result<()> {
        for (connections, thread) in self.threads {
            drop(connections);
            thread.join().map_err(|_| anyhow!("a thread panicked"))??;
        }
        Ok(())
    }
}

/// Every thread may run every connection's task.
pub(super) struct Stealing;

struct StealingService {
    runtime: Mutex<Runtime>,
    acceptor: TlsAcceptor,
}

impl Contender for Stealing {
    fn name(&self) -> &'static str {
        name::STEALING
    }

    fn start(&self, threads: usize, acceptor: TlsAcceptor) -> anyhow::Result<Box<dyn Service>> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()?;
        let runtime = Mutex::new(runtime);
        Ok(Box::new(StealingService { runtime, acceptor }))
    }
}

impl Service for StealingService {
    fn accept(&self, tcp: TcpStream) -> anyhow::Result<()> {
        let runtime = self
            .runtime
            .lock()
            .map_err(|_| anyhow!("a thread panicked"))?;
        runtime.spawn(serve(tcp, self.acceptor.clone()));
        Ok(())
    }

    fn stop(self: Box<Self>) -> anyhow::Result<()> {
        Ok(())
    }
}
