//! Serves HTTPS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use axum_server::tls_rustls::RustlsConfig;
use rustls::ServerConfig;

pub async fn serve(address: SocketAddr, config: Arc<ServerConfig>) -> io::Result<()> {
    let app = Router::new().route("/", get(|| async { "hello" }));
    axum_server::bind_rustls(address, RustlsConfig::from_config(config))
        .serve(app.into_make_service())
        .await
}

fn main() {}
