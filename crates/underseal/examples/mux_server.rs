//! A service that answers lines over TLS with as many threads as the machine has cores, whatever
//! its connections send.
//!
//! ```sh
//! cargo run --example mux_server -- cert.pem key.pem 127.0.0.1:8443
//! openssl s_client -quiet -connect 127.0.0.1:8443
//! ```

use std::error::Error;
use std::sync::Arc;
use std::thread;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use underseal::mux::{Framing, Worker};
use underseal::{Mux, TlsAcceptor, rustls};
use underseal_message::Delimiter;

/// Each thread takes messages of any connection, one at a time.
fn serve(mut worker: Worker) {
    while let Some(message) = worker.recv_blocking() {
        let reply = message.bytes().to_ascii_uppercase();
        if let Err(error) = message.reply_blocking(&reply) {
            eprintln!("no reply: {error}");
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(cert), Some(key), Some(address)) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("usage: mux_server CERT KEY ADDRESS".into());
    };
    let chain = CertificateDer::pem_file_iter(cert)?.collect::<Result<_, _>>()?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));

    let mux = Mux::builder(Framing::new(4096, || Delimiter::new(b"\n")))
        .on_close(|id, why| println!("connection {id}: {why}"))
        .build();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let runtime = Arc::new(runtime);
    let listener = runtime.block_on(TcpListener::bind(address))?;
    println!("listening on {}", listener.local_addr()?);
    let cores = thread::available_parallelism()?.get();
    let threads: Vec<_> = (0..cores)
        .map(|_| mux.driving_worker(&runtime))
        .map(|worker| thread::spawn(|| serve(worker)))
        .collect();
    runtime.spawn(accept(listener, acceptor, mux));
    for thread in threads {
        thread.join().map_err(|_| "a worker panicked")?;
    }
    Ok(())
}

/// Runs on the workers' threads, between messages.
async fn accept(listener: TcpListener, acceptor: TlsAcceptor, mux: Mux) {
    while let Ok((socket, peer)) = listener.accept().await {
        let (acceptor, mux) = (acceptor.clone(), mux.clone());
        tokio::spawn(async move {
            match acceptor.accept(socket).await {
                Ok(stream) => drop(mux.attach(stream)),
                Err(error) => eprintln!("{peer}: {error}"),
            }
        });
    }
}
