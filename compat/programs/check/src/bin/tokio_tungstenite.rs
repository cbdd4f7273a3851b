//! Opens a WebSocket.

use std::sync::Arc;

use rustls::ClientConfig;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::{Connector, connect_async_tls_with_config};

pub async fn open(config: Arc<ClientConfig>) -> Result<(), Error> {
    let connector = Some(Connector::Rustls(config));
    let (_socket, response) =
        connect_async_tls_with_config("wss://localhost/", None, false, connector).await?;
    println!("{}", response.status());
    Ok(())
}

fn main() {}
