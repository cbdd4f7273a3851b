//! Connected pairs over loopback TCP, and the two fixed peers that every row meets.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustls::{ClientConfig, ClientConnection};

use crate::aligned::Aligned;
use crate::cpu_time::thread_cpu;
use crate::credentials::server_name;

/// Plaintext bytes in a full TLS record.
pub const RECORD: usize = 16 * 1024;
/// What the fixed peers hand to the kernel, or take from it, in one call.
const PEER_BUFFER: usize = 256 * 1024;

/// Two ends of one TCP connection over 127.0.0.1, without Nagle's algorithm.
///
/// # Errors
///
/// When a socket cannot be had.
pub fn tcp_pair() -> anyhow::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen")?;
    let client = TcpStream::connect(listener.local_addr()?).context("cannot connect")?;
    let (server, _) = listener.accept().context("cannot accept")?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    Ok((client, server))
}

/// What one side of a transfer cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// CPU time of the thread.
    pub cpu: Duration,
    /// When it began.
    pub began: Instant,
    /// When it was done.
    pub ended: Instant,
}

impl Cost {
    /// Runs `work` on the calling thread and takes its cost.
    ///
    /// # Errors
    ///
    /// Those of `work`.
    pub fn of(work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Self> {
        let began = Instant::now();
        let cpu = thread_cpu();
        work()?;
        Ok(Self {
            cpu: thread_cpu() - cpu,
            began,
            ended: Instant::now(),
        })
    }
}

/// Handshakes as a client; from then on the caller owns the bytes on the wire.
///
/// # Errors
///
/// When the handshake fails.
pub fn client_handshake(
    config: &Arc<ClientConfig>,
    tcp: &mut TcpStream,
) -> anyhow::Result<ClientConnection> {
    let mut connection = ClientConnection::new(Arc::clone(config), server_name())?;
    while connection.is_handshaking() {
        connection
            .complete_io(tcp)
            .context("handshake of the fixed peer")?;
    }
    Ok(connection)
}

/// Reads and forgets everything up to the end of the stream; returns how many bytes came.
///
/// # Errors
///
/// When the connection breaks.
pub fn drain(tcp: &mut TcpStream) -> anyhow::Result<u64> {
    let mut buffer = Aligned::filled(0, PEER_BUFFER);
    let mut total = 0;
    loop {
        match tcp.read(&mut buffer).context("cannot drain")? {
            0 => return Ok(total),
            count => total += count as u64,
        }
    }
}

/// Sends bytes that were sealed beforehand and ends the stream, at the pace of plain TCP: no
/// receiver is ever kept waiting by a slow sender.
///
/// # Errors
///
/// When the connection breaks.
pub fn pour(tcp: &mut TcpStream, sealed: &[u8]) -> anyhow::Result<()> {
    for piece in sealed.chunks(PEER_BUFFER) {
        tcp.write_all(piece).context("cannot pour")?;
    }
    tcp.shutdown(Shutdown::Write)
        .context("cannot end the stream")
}

/// Seals `total` bytes of plaintext in full records into `sealed`.
///
/// # Errors
///
/// When rustls refuses to seal.
pub fn seal_ahead(
    connection: &mut ClientConnection,
    total: u64,
    sealed: &mut Vec<u8>,
) -> anyhow::Result<()> {
    sealed.clear();
    let plaintext = [0x5a; RECORD];
    let mut left = total;
    while left > 0 {
        let piece = &plaintext[..RECORD.min(usize::try_from(left).unwrap_or(RECORD))];
        connection.writer().write_all(piece)?;
        while connection.wants_write() {
            connection.write_tls(sealed)?;
        }
        left -= piece.len() as u64;
    }
    Ok(())
}
