//! Publishes a message, and goes on with the connection.

use std::sync::Arc;

use rumqttc::{AsyncClient, ConnectionError, MqttOptions, QoS, TlsConfiguration, Transport};
use rustls::ClientConfig;

pub async fn publish(config: Arc<ClientConfig>) -> Result<(), ConnectionError> {
    let mut options = MqttOptions::new("id", "localhost", 8883);
    options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(config)));
    let (client, mut events) = AsyncClient::new(options, 10);
    let published = client.publish("topic", QoS::AtLeastOnce, false, "payload");
    published.await.expect("the queue has room");
    loop {
        events.poll().await?;
    }
}

fn main() {}
