//! Publishes a message.

use async_nats::rustls::ClientConfig;
use async_nats::{ConnectError, ConnectOptions, PublishError};

#[derive(Debug)]
pub enum Failure {
    Connect(ConnectError),
    Publish(PublishError),
}

pub async fn publish(config: ClientConfig) -> Result<(), Failure> {
    let options = ConnectOptions::new()
        .require_tls(true)
        .tls_client_config(config);
    let client = options.connect("tls://localhost:4222").await;
    let client = client.map_err(Failure::Connect)?;
    let published = client.publish("subject", "payload".into()).await;
    published.map_err(Failure::Publish)
}

fn main() {}
