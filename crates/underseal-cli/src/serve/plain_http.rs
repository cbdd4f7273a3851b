//! The log lines of clients that speak plain HTTP, on the HTTPS port or on one of their own.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use tokio::net::TcpStream;

use super::log::{Outcome, Session};
use super::worker::Worker;
use underseal_http::http1::Glimpse;
use underseal_server::plain_http::{self, WHY};
use underseal_server::redirect::{self, Answered};
use underseal_server::watch::Watch;

/// Answers such a client and logs it.
pub(crate) async fn answer(worker: &Worker, watch: &Watch, tcp: TcpStream, remote: SocketAddr) {
    let started = Instant::now();
    let log = |method: Option<&str>, path: Option<&str>| {
        tracing::info!("{remote}: {WHY}");
        let session = session(remote);
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

/// Leads such a client to TLS and logs it.
pub(crate) async fn redirect(worker: Rc<Worker>, tcp: TcpStream, remote: SocketAddr) {
    let watch = worker.watches.add();
    let started = Instant::now();
    let log = |seen: &Glimpse<'_>, answered: Answered| {
        let [method, path] =
            [seen.method, seen.target].map(|text| text.map(String::from_utf8_lossy));
        let outcome = Outcome {
            status: answered.status.unwrap_or_default(),
            bytes: answered.length,
            duration: started.elapsed(),
            error: answered.error,
        };
        worker.log_line(
            &session(remote),
            method.as_deref(),
            path.as_deref(),
            &outcome,
        );
    };
    let date = || worker.clock.with_now(|date, _| date.to_owned());
    let patience = (&watch, worker.timeouts.header);
    redirect::answer(patience, tcp, worker.port, date, log).await;
}

fn session(remote: SocketAddr) -> Session {
    Session {
        remote,
        tls: None,
        suite: None,
        sni: None,
        alpn: None,
    }
}
