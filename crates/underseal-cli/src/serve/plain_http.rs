//! The log line of clients that speak plain HTTP on the HTTPS port.

use std::net::SocketAddr;
use std::time::Instant;

use tokio::net::TcpStream;

use super::log::{Outcome, Session};
use super::worker::Worker;
use underseal_server::plain_http::{self, WHY};
use underseal_server::watch::Watch;

/// Answers such a client and logs it.
pub(crate) async fn answer(worker: &Worker, watch: &Watch, tcp: TcpStream, remote: SocketAddr) {
    let started = Instant::now();
    let log = |method: Option<&str>, path: Option<&str>| {
        tracing::info!("{remote}: {WHY}");
        let session = Session {
            remote,
            tls: None,
            suite: None,
            sni: None,
            alpn: None,
        };
        let outcome = Outcome {
            status: 400,
            bytes: 0,
            duration: started.elapsed(),
            error: Some(WHY),
        };
        worker.log_line(&session, method, path, &outcome);
    };
    plain_http::answer(watch, tcp, log).await;
}
