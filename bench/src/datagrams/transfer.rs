//! A transfer of quinn's over loopback: one stream, one thread on each side.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{ScopedJoinHandle, scope};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Endpoint, EndpointConfig, Runtime, ServerConfig, TokioRuntime};
use rustls::crypto::CryptoProvider;
use underseal_quic::quinn as ours;
use underseal_quic::trains::Trains;

use crate::context::Context;
use crate::cpu_time::{pin_to, thread_cpu};
use crate::credentials::Provider;
use crate::run::Samples;

/// The measure.
pub const MEASURE: &str = "quinn transfer";

/// Names of the rows: whose keys protect the packets.
pub mod name {
    /// rustls' provider with ring.
    pub const RING: &str = "quinn, ring";
    /// rustls' default provider.
    pub const AWS_LC_RS: &str = "quinn, aws-lc-rs";
    /// rustls' default provider, with our packets.
    pub const UNDERSEAL: &str = "quinn, underseal-quic";
    /// rustls' default provider, with our packets behind quinn's own interface.
    pub const SESSIONS: &str = "quinn, underseal-quic's sessions";
    /// The same in longer trains.
    pub const TRAINS: &str = "quinn, underseal-quic's sessions in trains";
    /// All of them.
    pub const ALL: [&str; 5] = [RING, AWS_LC_RS, UNDERSEAL, SESSIONS, TRAINS];
}

/// Bytes of one write and of one read.
const CHUNK: usize = 64 << 10;

/// Measures one transfer with each provider.
///
/// # Errors
///
/// When a connection fails.
pub fn measure(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    for row in context.in_turn(name::ALL.to_vec(), round) {
        if !context.wants(row) {
            continue;
        }
        let took = transfer(context, row).with_context(|| row.to_owned())?;
        let gigabytes = context.scale.stream_bytes as f64 / 1e9;
        let per_gb = |took: Duration| took.as_secs_f64() / gigabytes;
        let values = [
            ("cpu_s_per_gb", per_gb(took.sender + took.receiver)),
            ("sender_cpu_s_per_gb", per_gb(took.sender)),
            ("receiver_cpu_s_per_gb", per_gb(took.receiver)),
            ("gb_per_s", gigabytes / took.time.as_secs_f64()),
        ];
        samples.add((MEASURE, row, "", round), &values);
    }
    Ok(())
}

/// CPU time of both sides from the first byte to the last, and how long that was.
struct Took {
    sender: Duration,
    receiver: Duration,
    time: Duration,
}

fn provider(row: &str) -> CryptoProvider {
    match row {
        name::RING => Provider::Ring.default_provider(),
        name::AWS_LC_RS | name::SESSIONS | name::TRAINS => Provider::AwsLcRs.default_provider(),
        _ => underseal_quic::provider(Provider::AwsLcRs.default_provider()),
    }
}

fn server_config(context: &Context, row: &str) -> anyhow::Result<ServerConfig> {
    let tls = context.credentials.server_with(provider(row))?;
    Ok(match row {
        name::SESSIONS | name::TRAINS => {
            ServerConfig::with_crypto(Arc::new(ours::QuicServerConfig::try_from(tls)?))
        }
        _ => ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?)),
    })
}

fn client_config(context: &Context, row: &str) -> anyhow::Result<ClientConfig> {
    let tls = context.credentials.client_with(provider(row))?;
    Ok(match row {
        name::SESSIONS | name::TRAINS => {
            ClientConfig::new(Arc::new(ours::QuicClientConfig::try_from(tls)?))
        }
        _ => ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?)),
    })
}

fn endpoint(row: &str, listens: Option<ServerConfig>) -> anyhow::Result<Endpoint> {
    let runtime: Arc<dyn Runtime> = match row {
        name::TRAINS => Arc::new(Trains::over(TokioRuntime)),
        _ => Arc::new(TokioRuntime),
    };
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let endpoint = Endpoint::new(EndpointConfig::default(), listens, socket, runtime);
    Ok(endpoint?)
}

fn transfer(context: &Context, row: &str) -> anyhow::Result<Took> {
    let server = server_config(context, row)?;
    let client = client_config(context, row)?;
    let (bytes, cores) = (context.scale.stream_bytes, context.cores);
    let (listens, address) = channel();
    let (done, is_done) = channel();
    scope(|scope| {
        let receiver = scope.spawn(move || {
            pin_to(cores.peer)?;
            on_this_thread(receive(row, server, bytes, listens, is_done))
        });
        let sender = scope.spawn(move || {
            pin_to(cores.measured)?;
            on_this_thread(send(row, client, bytes, address, done))
        });
        let sent = joined(sender);
        let receiver = joined(receiver)?;
        let (sender, time) = sent?;
        Ok(Took {
            sender,
            receiver,
            time,
        })
    })
}

fn joined<T>(thread: ScopedJoinHandle<'_, anyhow::Result<T>>) -> anyhow::Result<T> {
    let joined = thread.join();
    joined.unwrap_or_else(|_| Err(anyhow!("a thread panicked")))
}

/// quinn's own tasks run on this thread, too, so that its CPU time is that of the side.
fn on_this_thread<T>(side: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build()?.block_on(side)
}

async fn receive(
    row: &str,
    config: ServerConfig,
    bytes: u64,
    listens: Sender<SocketAddr>,
    is_done: Receiver<()>,
) -> anyhow::Result<Duration> {
    let endpoint = endpoint(row, Some(config))?;
    listens.send(endpoint.local_addr()?)?;
    let incoming = endpoint.accept().await.context("no connection")?;
    let connection = incoming.await?;
    let mut stream = connection.accept_uni().await?;
    let (mut buffer, mut received) = (vec![0; CHUNK], 0);
    let mut began = None;
    while let Some(count) = stream.read(&mut buffer).await? {
        began.get_or_insert_with(thread_cpu);
        received += count as u64;
    }
    let took = thread_cpu() - began.context("no byte came")?;
    ensure!(received == bytes, "{received} bytes came, not {bytes}");
    // The last acknowledgements go out meanwhile.
    connection.closed().await;
    is_done.recv().context("the sender failed")?;
    Ok(took)
}

async fn send(
    row: &str,
    config: ClientConfig,
    bytes: u64,
    address: Receiver<SocketAddr>,
    done: Sender<()>,
) -> anyhow::Result<(Duration, Duration)> {
    let address = address.recv().context("the receiver failed")?;
    let mut endpoint = endpoint(row, None)?;
    endpoint.set_default_client_config(config);
    let connection = endpoint.connect(address, "localhost")?.await?;
    let mut stream = connection.open_uni().await?;
    let (chunk, mut left) = (vec![0x5a; CHUNK], bytes);
    let (cpu, began) = (thread_cpu(), Instant::now());
    while left > 0 {
        let count = left.min(CHUNK as u64) as usize;
        stream.write_all(&chunk[..count]).await?;
        left -= count as u64;
    }
    stream.finish()?;
    stream.stopped().await?;
    let took = (thread_cpu() - cpu, began.elapsed());
    connection.close(0_u32.into(), b"");
    endpoint.wait_idle().await;
    done.send(())?;
    Ok(took)
}
