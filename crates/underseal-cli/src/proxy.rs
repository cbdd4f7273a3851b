//! `underseal proxy`: TLS or DTLS towards clients, towards backends, or both, and a policy on each request.
//!
//! What it does is `underseal-proxy`'s; here the command line is read ([`arguments`], [`endpoint`])
//! and everything is set up ([`setup`]) before the workers start.

mod arguments;
mod endpoint;
mod setup;
mod sockets;

use std::fmt::Write as _;
use std::sync::Arc;

use tokio::sync::Semaphore;
use underseal_proxy::{Metrics, Service, Worker, keep_resolving};
use underseal_server::access_log::Sink;
use underseal_server::admin::{self, Admin};
use underseal_server::control::{self, Reloadable};
use underseal_server::descriptors::Reserve;
use underseal_server::listener;
use underseal_server::live::{Registry, socket};
use underseal_server::worker::Bounds;

pub(crate) use self::arguments::{Protocol, ProxyArgs};
use self::setup::Setup;
use self::sockets::Sockets;
use crate::exit::{Failure, say};
use crate::{diagnostics, offload};

/// Serves until a signal ends it.
///
/// # Errors
/// What kept the proxy from starting, each with its exit code.
pub(crate) fn run(args: &ProxyArgs) -> Result<(), Failure> {
    diagnostics::install(args.log.as_deref())?;
    let offloads = offload::chosen(args.offload)?;
    let reserve = Reserve::set_up();
    let log = Sink::open(&args.access_log)?;
    let count = listener::count(args.workers);
    let (sockets, address) = Sockets::bind(args, count)?;
    let metrics = Metrics::new(count);
    let mut setup = Setup::new(args, (address, reserve), offloads, Arc::clone(&metrics));
    let (settings, service) = setup.settings(Arc::clone(&log))?;
    if let Err(error) = keep_resolving(&service.backends) {
        tracing::warn!("names of backends are not looked up again: {error}");
    }
    let admin = args
        .admin
        .as_deref()
        .map(|address| listener::bind(address, 1));
    let admin = admin
        .transpose()
        .map_err(|error| Failure::of_listener("--admin", error))?;
    let registry = Arc::new(Registry::new("proxy", count));
    let bounds = Bounds {
        reserve,
        connections: Some(Arc::new(Semaphore::new(args.max_connections as usize))),
    };
    let tables: Vec<_> = registry.tables().cloned().collect();
    let make = move |index: usize| {
        let service = Service::new(Arc::clone(&service));
        Worker::new(settings.clone(), service, index, Arc::clone(&tables[index]))
    };
    let redirected = sockets.redirected();
    let workers = sockets.serve(&bounds, make)?;
    let mut banner = setup.banner(count);
    if let Some(from) = redirected {
        let _ = writeln!(banner, "redirect     http://{from}/");
    }
    if let Some((_, address)) = &admin {
        let _ = writeln!(banner, "admin        http://{address}/metrics");
    }
    let reloadable = Reloadable {
        files: setup.reloads,
        log,
        observer: observer(Arc::clone(&metrics)),
    };
    let orders = workers.orders.subscribe();
    control::run(workers, &reloadable, args.grace, || {
        socket::answer_for(registry);
        for listener in admin.into_iter().flat_map(|(listeners, _)| listeners) {
            let admin = Admin {
                metrics: Arc::clone(&metrics) as _,
                orders: orders.clone(),
            };
            if let Err(error) = admin::spawn(listener, admin) {
                tracing::error!("no admin port: {error}");
            }
        }
        banner.push_str("ready\n");
        say(&banner);
    })?;
    Ok(())
}

/// Counts reloads.
fn observer(metrics: Arc<Metrics>) -> Box<dyn Fn(&'static str, bool)> {
    Box::new(move |what, done| {
        let reload = match done {
            true => underseal_proxy::Reload::Done,
            false => underseal_proxy::Reload::Failed,
        };
        metrics.reloaded(what, reload);
    })
}
