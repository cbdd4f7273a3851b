//! What a server pays for a connection that lives for one request: its handshake, full or resumed,
//! is most of it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::sleep;

use anyhow::{Context as _, ensure};
use rustls::{ClientConfig, HandshakeKind, Stream};

use super::server::Server;
use super::{SETTLE, SMALL_FILE};
use crate::context::Context;
use crate::cpu_time::ProcessCpu;
use crate::credentials::Provider;
use crate::handshakes::SETTINGS;
use crate::pairs::client_handshake;
use crate::run::Samples;

const REQUEST: &[u8] = b"GET /small HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Measures connections to one server.
///
/// # Errors
///
/// When a handshake is not of the kind that it should be, or the file does not come.
pub(crate) fn measure(
    context: &Context,
    server: &Server,
    (measure, round): (&str, u32),
    samples: &mut Samples,
) -> anyhow::Result<()> {
    for (setting, resumes) in SETTINGS {
        let client = match resumes {
            true => context.credentials.resuming_client(Provider::Ring)?,
            false => context.credentials.client(Provider::Ring)?,
        };
        // The first of those that resume does not.
        visit(&client, server.address(), HandshakeKind::Full)?;
        let kind = match resumes {
            true => HandshakeKind::Resumed,
            false => HandshakeKind::Full,
        };
        sleep(SETTLE);
        let before = ProcessCpu::of(server.pid())?;
        for _ in 0..context.scale.handshakes {
            visit(&client, server.address(), kind)?;
        }
        sleep(SETTLE);
        let cpu = ProcessCpu::of(server.pid())?.since(&before);
        let each = cpu.as_secs_f64() * 1e6 / context.scale.handshakes as f64;
        samples.add(
            (measure, server.name(), setting, round),
            &[("server_cpu_us", each)],
        );
    }
    Ok(())
}

/// One connection, one request.
fn visit(
    config: &Arc<ClientConfig>,
    address: SocketAddr,
    expected: HandshakeKind,
) -> anyhow::Result<()> {
    let mut tcp = TcpStream::connect(address)?;
    tcp.set_nodelay(true)?;
    let mut connection = client_handshake(config, &mut tcp)?;
    let mut stream = Stream::new(&mut connection, &mut tcp);
    stream.write_all(REQUEST)?;
    let mut reply = Vec::new();
    match stream.read_to_end(&mut reply) {
        // Not every server says goodbye; the body says whether all is there.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
        read => drop(read.context("no reply")?),
    }
    let body = reply.len().saturating_sub(SMALL_FILE);
    let is_whole = reply[body..] == [0x5a; SMALL_FILE];
    ensure!(is_whole, "the file did not come: {} bytes", reply.len());
    let kind = connection.handshake_kind();
    ensure!(
        kind == Some(expected),
        "a handshake is {kind:?}, not {expected:?}"
    );
    Ok(())
}
