//! A file server over QUIC with quinn: a client opens a stream, sends a name, and gets the file.
//!
//!     cargo run --release -p underseal-quic --features quinn --example quinn_file_server -- DIRECTORY [ADDRESS]
//!
//! It makes itself a certificate, and prints where it listens.

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use quinn::{Connection, Endpoint, RecvStream, SendStream, ServerConfig};
use rustls::pki_types::PrivatePkcs8KeyDer;
// The one line: quinn's own is `quinn::crypto::rustls::QuicServerConfig`.
use underseal_quic::quinn::QuicServerConfig;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Most bytes of a name.
const MAX_NAME: usize = 4096;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().ok_or("which directory?")?);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let address: SocketAddr = address.parse()?;

    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())?;
    tls.alpn_protocols = vec![b"file".to_vec()];
    let config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    let endpoint = Endpoint::server(config, address)?;
    println!("listening on {}", endpoint.local_addr()?);
    while let Some(incoming) = endpoint.accept().await {
        let directory = directory.clone();
        tokio::spawn(async move {
            if let Ok(connection) = incoming.await {
                serve(connection, directory).await;
            }
        });
    }
    Ok(())
}

async fn serve(connection: Connection, directory: PathBuf) {
    while let Ok((send, receive)) = connection.accept_bi().await {
        let directory = directory.clone();
        tokio::spawn(async move {
            if let Err(error) = answer(send, receive, &directory).await {
                eprintln!("{error}");
            }
        });
    }
}

async fn answer(mut send: SendStream, mut receive: RecvStream, directory: &Path) -> Result<()> {
    let name = String::from_utf8(receive.read_to_end(MAX_NAME).await?)?;
    // Nothing above the directory: a name is made of plain parts.
    let is_plain = |part| matches!(part, Component::Normal(_));
    if !Path::new(&name).components().all(is_plain) {
        return Err(format!("{name}: not a plain name").into());
    }
    let mut file = tokio::fs::File::open(directory.join(name)).await?;
    tokio::io::copy(&mut file, &mut send).await?;
    send.finish()?;
    Ok(())
}
