//! Key updates in each direction, while bytes are on their way.

use crate::endpoints::{SUITES, Side, connect};
use crate::transfers::{echo, payload};

#[tokio::test]
async fn either_side_may_update_its_keys() {
    let payload = payload();
    for &(client, server) in Side::PAIRS {
        for suite in 0..SUITES {
            let connected = connect(client, server, suite).await;
            echo(&connected, &payload).await;
            connected.client.force_key_update();
            echo(&connected, &payload).await;
            connected.server.force_key_update();
            echo(&connected, &payload).await;
        }
    }
}

#[tokio::test]
async fn keys_may_be_updated_in_the_middle_of_a_transfer() {
    let payload = payload();
    for &(client, server) in Side::PAIRS {
        let connected = connect(client, server, 0).await;
        let (from_client, from_server) = (connected.client.clone(), connected.server.clone());
        let updating = async move {
            for turn in 0..20 {
                tokio::task::yield_now().await;
                match turn % 2 {
                    0 => from_client.force_key_update(),
                    _ => from_server.force_key_update(),
                }
                // Until a packet under the new keys was acknowledged.
                let (mut send, _) = from_client.open_bi().await.unwrap();
                send.finish().unwrap();
                let _ = send.stopped().await;
            }
        };
        tokio::join!(echo(&connected, &payload), updating);
    }
}
