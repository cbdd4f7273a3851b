//! The log lines of clients that speak plain HTTP, on the HTTPS port or on one of their own.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use tokio::net::TcpStream;

use super::log::{Asked, Outcome};
use super::worker::Worker;
use underseal_http::http1::Glimpse;
use underseal_server::access_log::line;
use underseal_server::deadline::Deadline;
use underseal_server::plain_http::{self, WHY};
use underseal_server::redirect::{self, Answered};

/// Answers such a client and logs it.
pub(crate) async fn answer(
    worker: &Worker,
    deadline: &Deadline,
    tcp: TcpStream,
    remote: SocketAddr,
) {
    let started = Instant::now();
    let log = |seen: &Glimpse<'_>, answered: Answered| {
        tracing::info!("{remote}: {WHY}");
        log(worker, (remote, started), (seen, answered));
    };
    plain_http::answer(deadline, tcp, log).await;
}

/// Leads such a client to TLS and logs it.
pub(crate) async fn redirect(worker: Rc<Worker>, tcp: TcpStream, remote: SocketAddr) {
    let deadline = worker.deadlines.add();
    let started = Instant::now();
    let log = |seen: &Glimpse<'_>, answered: Answered| {
        log(&worker, (remote, started), (seen, answered));
    };
    let date = || worker.clock.with_now(|date, _| date.to_owned());
    let patience = (&deadline, worker.timeouts.header);
    redirect::answer(patience, tcp, worker.port, date, log).await;
}

fn log(
    worker: &Worker,
    (remote, started): (SocketAddr, Instant),
    (seen, answered): (&Glimpse<'_>, Answered),
) {
    let asked = Asked {
        seen: *seen,
        user_agent: None,
    };
    let answer = line::Outcome {
        status: answered.status,
        bytes_in: 0,
        bytes_out: answered.length,
        duration: started.elapsed(),
    };
    let error = answered.error;
    worker.log_line(remote, &asked, &Outcome { answer, error });
}
