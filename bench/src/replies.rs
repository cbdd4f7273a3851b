//! Many small replies at once, as a web framework sends them: axum over HTTP/2, 64 requests for
//! 1 KiB in flight on one connection.
//!
//! The server is the same for every row but for its TLS; the client is tokio-rustls for all.

use std::net::TcpStream;

use anyhow::Context as _;
use h2::client::SendRequest;
use http::Request;
use tokio::task::JoinSet;

use crate::context::Context;
use crate::credentials::{Credentials, Provider, server_name};
use crate::pairs::Cost;
use crate::rows::asynchronous::Asynchronous;
use crate::rows::tokio_rustls::TokioRustls;
use crate::rows::underseal_tokio::UndersealTokio;
use crate::rows::{MESSAGE, name};
use crate::run::Samples;
use crate::streams::{Meeting, transfer};

/// Requests that wait for their reply at any time.
const IN_FLIGHT: usize = 64;

/// What every request gets.
static REPLY: [u8; MESSAGE] = [0x5a; MESSAGE];

/// Serves a connection, and says what it cost.
type Serve = Box<dyn Fn(TcpStream, &Meeting) -> anyhow::Result<Cost> + Send>;

/// Measures replies.
///
/// # Errors
///
/// When a row fails, or a reply is not whole.
pub fn measure(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    for (name, serve) in context.in_turn(rows(&context.credentials)?, round) {
        if !context.wants(name) {
            continue;
        }
        let (server, client) = transfer(context, serve, |tcp, ready| ask(context, tcp, ready))
            .with_context(|| name.to_owned())?;
        let each = |cost: Cost| cost.cpu.as_secs_f64() * 1e6 / context.scale.replies as f64;
        samples.add(
            ("replies", name, "", round),
            &[
                ("server_cpu_us", each(server)),
                ("client_cpu_us", each(client)),
            ],
        );
    }
    Ok(())
}

fn rows(credentials: &Credentials) -> anyhow::Result<Vec<(&'static str, Serve)>> {
    let underseal = Asynchronous(UndersealTokio::new(credentials, Provider::Ring)?);
    let ring = Asynchronous(TokioRustls::new(credentials, Provider::Ring)?);
    let aws = Asynchronous(TokioRustls::new(credentials, Provider::AwsLcRs)?);
    Ok(vec![
        (
            name::UNDERSEAL_TOKIO,
            Box::new(move |tcp, ready| underseal.serve_http2(tcp, &REPLY, ready)),
        ),
        (
            name::TOKIO_RUSTLS_RING,
            Box::new(move |tcp, ready| ring.serve_http2(tcp, &REPLY, ready)),
        ),
        (
            name::TOKIO_RUSTLS_AWS,
            Box::new(move |tcp, ready| aws.serve_http2(tcp, &REPLY, ready)),
        ),
    ])
}

/// The fixed client.
fn ask(context: &Context, tcp: TcpStream, ready: &Meeting) -> anyhow::Result<Cost> {
    let config = context.credentials.client(Provider::Ring)?;
    tcp.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let stream = runtime.block_on(async {
        let connector = tokio_rustls::TlsConnector::from(config);
        let tcp = tokio::net::TcpStream::from_std(tcp)?;
        connector.connect(server_name(), tcp).await
    })?;
    ready.wait()?;
    Cost::of(|| {
        runtime.block_on(async {
            let (send, connection) = h2::client::handshake(stream).await?;
            let connection = tokio::spawn(connection);
            ask_all(send, context.scale.replies).await?;
            // All replies are there. Either side may close first now, and how says nothing.
            drop(connection.await?);
            Ok(())
        })
    })
}

async fn ask_all(send: SendRequest<bytes::Bytes>, count: usize) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    for index in 0..IN_FLIGHT {
        let own = count / IN_FLIGHT + usize::from(index < count % IN_FLIGHT);
        tasks.spawn(ask_in_turn(send.clone(), own));
    }
    drop(send);
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

async fn ask_in_turn(send: SendRequest<bytes::Bytes>, count: usize) -> anyhow::Result<()> {
    let mut send = send.ready().await?;
    for _ in 0..count {
        let request = Request::get("https://localhost/").body(())?;
        let (response, _) = send.send_request(request, true)?;
        let mut body = response.await?.into_body();
        let mut len = 0;
        while let Some(data) = body.data().await {
            let data = data?;
            len += data.len();
            body.flow_control().release_capacity(data.len())?;
        }
        anyhow::ensure!(len == MESSAGE, "a reply of {len} bytes");
        send = send.ready().await?;
    }
    Ok(())
}
