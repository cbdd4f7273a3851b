//! The process at the other end: the same clients for every row.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use anyhow::Context as _;
use rustls::Stream;

use crate::cpu_time::raise_open_files;
use crate::credentials::{Credentials, Provider};
use crate::pairs::client_handshake;
use crate::rows::MESSAGE;

/// Opens `count` connections, sends one request on each, waits for its reply, and keeps the
/// sockets open until standard input ends.
///
/// # Errors
///
/// When a connection cannot be established.
pub fn run(directory: &Path, address: SocketAddr, tls: bool, count: usize) -> anyhow::Result<()> {
    raise_open_files(count as u64 + 100)?;
    let config = Credentials::read_below(directory)?.client(Provider::Ring)?;
    let mut sockets = Vec::with_capacity(count);
    for number in 0..count {
        let exchange = || {
            let mut tcp = TcpStream::connect(address)?;
            tcp.set_nodelay(true)?;
            if tls {
                let mut connection = client_handshake(&config, &mut tcp)?;
                ask(&mut Stream::new(&mut connection, &mut tcp))?;
            } else {
                ask(&mut tcp)?;
            }
            anyhow::Ok(tcp)
        };
        sockets.push(exchange().with_context(|| format!("connection {number}"))?);
    }
    std::io::stdin()
        .read_to_end(&mut Vec::new())
        .context("cannot wait for the end")?;
    Ok(())
}

fn ask(stream: &mut (impl Read + Write)) -> std::io::Result<()> {
    stream.write_all(&[0x5a; MESSAGE])?;
    stream.flush()?;
    stream.read_exact(&mut [0; MESSAGE])
}
