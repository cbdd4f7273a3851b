//! CPU of a server for a connection that lives for a handshake and one byte.
//!
//! Both sides of a ratio have the same provider, and handshakes come one after the other, so that
//! what is compared is the work of one and not how well two overlap.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::scope;

use anyhow::{Context as _, anyhow, bail};
use rustls::{ClientConfig, HandshakeKind, Stream};

use crate::context::Context;
use crate::cpu_time::pin_to;
use crate::credentials::{Credentials, Provider};
use crate::pairs::{Cost, client_handshake};
use crate::rows::asynchronous::Asynchronous;
use crate::rows::tokio_rustls::TokioRustls;
use crate::rows::underseal_tokio::UndersealTokio;
use crate::run::Samples;

/// Names of the rows, as pairs with the same provider.
pub mod name {
    use crate::rows::name::{TOKIO_RUSTLS_AWS, TOKIO_RUSTLS_RING};

    /// underseal, whose handshakes are made with ring.
    pub const UNDERSEAL_RING: &str = "underseal (tokio) with ring";
    /// underseal, whose handshakes are made with aws-lc-rs.
    pub const UNDERSEAL_AWS: &str = "underseal (tokio) with aws-lc-rs";
    /// underseal and its peer, by provider.
    pub const PAIRS: [(&str, &str); 2] = [
        (UNDERSEAL_RING, TOKIO_RUSTLS_RING),
        (UNDERSEAL_AWS, TOKIO_RUSTLS_AWS),
    ];
}

/// The settings, and whether the client resumes.
pub const SETTINGS: [(&str, bool); 2] = [("full", false), ("resumed", true)];

/// Greets so many connections, and says what they cost.
type Greet = Box<dyn Fn(TcpListener, usize) -> anyhow::Result<Cost> + Send + Sync>;

/// Measures handshakes.
///
/// # Errors
///
/// When one fails, or is not of the kind that it should be.
pub fn measure(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    for (name, greet) in context.in_turn(rows(&context.credentials)?, round) {
        if !context.wants(name) {
            continue;
        }
        for (setting, resumes) in SETTINGS {
            let cost = greeted(context, &greet, resumes).with_context(|| name.to_owned())?;
            let each = cost.cpu.as_secs_f64() * 1e6 / context.scale.handshakes as f64;
            samples.add(
                ("handshake", name, setting, round),
                &[("server_cpu_us", each)],
            );
        }
    }
    Ok(())
}

fn rows(credentials: &Credentials) -> anyhow::Result<Vec<(&'static str, Greet)>> {
    let mut rows: Vec<(&'static str, Greet)> = Vec::new();
    let providers = [Provider::Ring, Provider::AwsLcRs];
    for ((own, peer), provider) in name::PAIRS.into_iter().zip(providers) {
        let row = Asynchronous(UndersealTokio::new(credentials, provider)?);
        rows.push((own, Box::new(move |listener, n| row.greet(listener, n))));
        let row = Asynchronous(TokioRustls::new(credentials, provider)?);
        rows.push((peer, Box::new(move |listener, n| row.greet(listener, n))));
    }
    Ok(rows)
}

/// Lets the fixed client come as often as the scale says, from the other core.
fn greeted(context: &Context, greet: &Greet, resumes: bool) -> anyhow::Result<Cost> {
    let client = match resumes {
        true => context.credentials.resuming_client(Provider::Ring)?,
        false => context.credentials.client(Provider::Ring)?,
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen")?;
    let address = listener.local_addr()?;
    let (count, cores) = (context.scale.handshakes, context.cores);
    scope(|scope| {
        let server =
            scope.spawn(move || pin_to(cores.measured).and_then(|()| greet(listener, count)));
        let client = scope.spawn(move || {
            pin_to(cores.peer).and_then(|()| visit(&client, resumes, address, count))
        });
        let client = client.join().map_err(|_| anyhow!("the client panicked"))?;
        let server = server.join().map_err(|_| anyhow!("the server panicked"))?;
        client.and(server)
    })
}

/// Makes `count` connections, one after the other, and reads each to its end, tickets included.
fn visit(
    config: &Arc<ClientConfig>,
    resumes: bool,
    address: SocketAddr,
    count: usize,
) -> anyhow::Result<()> {
    for index in 0..count {
        let mut tcp = TcpStream::connect(address)?;
        tcp.set_nodelay(true)?;
        let mut connection = client_handshake(config, &mut tcp)?;
        let mut greeting = Vec::new();
        std::io::Read::read_to_end(&mut Stream::new(&mut connection, &mut tcp), &mut greeting)?;
        let expected = match resumes && index > 0 {
            true => HandshakeKind::Resumed,
            false => HandshakeKind::Full,
        };
        if connection.handshake_kind() != Some(expected) {
            bail!("handshake {index} is not {expected:?}");
        }
    }
    Ok(())
}
