//! Health checks: each backend is asked for a path, again and again, and one that does not answer well
//! is passed over until it does.
//!
//! One worker asks for all of them.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, ready};
use std::time::Duration;

use http::StatusCode;
use http::uri::Scheme;
use tokio::task::spawn_local;
use underseal_http::http2::{self, Field};
use underseal_http::proxy_protocol;
use underseal_http::{Framing, Outgoing, Passage, ReadOptions, Refusal, Scratch, Version};

use super::Unreachable;
use crate::exchange::{Allowed, Fault};
use crate::parts::Received;
use crate::process::Process;
use crate::service::Service;
use crate::upstream::{Event, Sends, Upstream};
use crate::worker::Worker;
use underseal_server::deadline::{Phase, Stop};

/// How long after an answer a backend is asked again, and how long is waited for one.
const INTERVAL: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(5);

/// What backends are asked for, and which of them do not answer well.
#[derive(Debug)]
pub struct HealthCheck {
    path: Box<str>,
    /// By backend.
    failing: Box<[AtomicBool]>,
}

impl HealthCheck {
    /// Asks this many backends for `path`: an answer of 2xx or 3xx is a good one.
    ///
    /// # Errors
    /// If no request can be for that.
    pub fn new(path: &str, backends: usize) -> Result<Self, Refusal> {
        written(path, "a.test", Version::Http2)?;
        Ok(Self {
            path: path.into(),
            failing: (0..backends).map(|_| AtomicBool::new(false)).collect(),
        })
    }

    pub(super) fn is_failing(&self, target: usize) -> bool {
        self.failing[target].load(Ordering::Relaxed)
    }

    /// Notes how a backend answered, and says so where that is news.
    fn note(&self, name: &str, target: usize, answer: Result<StatusCode, Fault>) {
        if let Err(Fault::Unreachable(Unreachable::Lacking)) = answer {
            // The backend was not asked.
            return;
        }
        let is_well = answer.is_ok_and(|status| status.is_success() || status.is_redirection());
        let was_failing = self.failing[target].swap(!is_well, Ordering::Relaxed);
        match (was_failing, is_well) {
            (false, false) => {
                let answer = answer.map_or_else(|fault| fault.to_string(), |said| said.to_string());
                tracing::warn!("backend {name} fails its health check: {answer}");
            }
            (true, true) => tracing::info!("backend {name} passes its health check again"),
            _ => {}
        }
    }
}

/// Has tasks ask a service's backends until the worker ends.
pub(crate) fn keep_checking(worker: &Rc<Worker>, service: &Rc<Service>) {
    let Some(check) = &service.settings.health_check else {
        return;
    };
    for target in 0..check.failing.len() {
        let ends = (Rc::clone(worker), Rc::clone(service));
        spawn_local(check_one(ends, target));
    }
}

async fn check_one((worker, service): (Rc<Worker>, Rc<Service>), target: usize) {
    let Some(check) = &service.settings.health_check else {
        return;
    };
    let name = service.backends.name_of(target);
    while !worker.process.deadlines.closing() {
        let answer = {
            // A shutdown does not wait for it.
            let deadline = worker.process.deadlines.add();
            deadline.enter(Phase::Idle, PATIENCE);
            let mut asked = None;
            let asking = ask((&worker.process, &service), check, target, &mut asked);
            let answer = deadline.until(pin!(asking)).await;
            match answer {
                Ok(answer) => answer,
                Err(Stop::TimedOut) => {
                    // Else the next check would be on the same connection, dead as it may be.
                    asked.iter().for_each(Upstream::distrust);
                    Err(Fault::BackendTimeout)
                }
                Err(Stop::Closing | Stop::Ended) => return,
            }
        };
        check.note(name, target, answer);
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Asks a backend once; the request is left in `asked`.
async fn ask(
    (process, service): (&Process, &Service),
    check: &HealthCheck,
    target: usize,
    asked: &mut Option<Upstream>,
) -> Result<StatusCode, Fault> {
    let mut header = Vec::new();
    if service.settings.send_proxy {
        // It speaks for nobody.
        proxy_protocol::write(None, &mut header);
    }
    let header = service.settings.send_proxy.then_some(&*header);
    let version = service.settings.to_protocol;
    let host = service.backends.host_of(target);
    let outgoing = written(&check.path, host, version).map_err(Fault::Refused)?;
    let reached = service
        .upstreams
        .reach_only((process, service), (target, header));
    let reached = reached.await.map_err(Fault::Unreachable)?;
    let head = (Allowed::own(&outgoing, target), &Scheme::HTTP);
    let begun = Upstream::begin(process, reached, head, Sends::Nothing);
    let upstream = asked.insert(begun.map_err(|lost| lost.fault)?);
    poll_fn(|cx| {
        // It has no body, so that nothing about it can be wrong.
        let _ = upstream.poll_upload(cx, &mut None::<Received>);
        loop {
            match ready!(upstream.poll_head(cx)) {
                Ok(Event::Interim(_)) => {}
                Ok(Event::Final(head)) => return Poll::Ready(Ok(head.status())),
                Err(lost) => return Poll::Ready(Err(lost.fault)),
            }
        }
    })
    .await
}

/// A request for `path`.
fn written(path: &str, authority: &str, version: Version) -> Result<Outgoing, Refusal> {
    let fields: [Field<'_>; 5] = [
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":path", path.as_bytes()),
        (b":authority", authority.as_bytes()),
        (b"user-agent", b"underseal-health-check"),
    ];
    let mut scratch = Scratch::default();
    let request = http2::read(&fields, &ReadOptions::default(), &mut scratch)?;
    let mut outgoing = Outgoing::default();
    outgoing.write(&request, &Passage::new(version, Framing::Empty));
    Ok(outgoing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_fails_until_it_answers_well() {
        let check = HealthCheck::new("/healthz?deep", 2).expect("a path");
        for (answer, fails) in [
            (Ok(StatusCode::OK), false),
            (Err(Fault::Unreachable(Unreachable::Lacking)), false),
            (Ok(StatusCode::SERVICE_UNAVAILABLE), true),
            (Ok(StatusCode::FOUND), false),
            (Err(Fault::Unreachable(Unreachable::Refused)), true),
            (Err(Fault::Unreachable(Unreachable::Lacking)), true),
        ] {
            check.note("b", 1, answer);
            assert_eq!(check.is_failing(1), fails, "{answer:?}");
            assert!(!check.is_failing(0));
        }
        for path in ["healthz", "", "/a b", "/a#b"] {
            HealthCheck::new(path, 1).expect_err("no path");
        }
    }
}
