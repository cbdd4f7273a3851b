//! `underseal serve`: a directory over HTTPS.
//!
//! The main thread sets everything up, starts the workers, and then only waits for signals and
//! watches the certificate files ([`control`]). Each [`worker`] is given connections of its own and
//! runs one task per [`connection`]; [`underseal_http::origin`] reads a request for [`answer`], which opens
//! the file in the [`site`], and its answer goes through [`transfer`] to the TLS stream.

mod answer;
mod banner;
mod connection;
mod entity;
mod inline;
mod listing;
mod log;
mod mime;
mod open_files;
mod plain_http;
mod response;
mod shell;
mod site;
mod stream;
mod transfer;
mod worker;

use std::iter;
use std::path::PathBuf;
use std::sync::Arc;

use self::banner::Banner;
use self::site::Site;
use self::worker::{Shared, Timeouts, Worker};
use crate::cli::ServeArgs;
use crate::exit::{Failure, say};
use crate::{certificates, development, diagnostics, offload};
use underseal_http::origin::path::DotNames;
use underseal_server::access_log::Sink;
use underseal_server::certificate::{Identities, Identity};
use underseal_server::control::{self, Reloadable};
use underseal_server::descriptors::Reserve;
use underseal_server::live::{Registry, socket};
use underseal_server::worker::{Bounds, Sockets};
use underseal_server::{listener, tls, worker as workers};

/// Serves until a signal ends it.
///
/// # Errors
/// What kept the server from starting, each with its exit code.
pub(crate) fn run(args: &ServeArgs) -> Result<(), Failure> {
    diagnostics::install(args.log.as_deref())?;
    let offloads = offload::chosen(args.offload)?;
    let reserve = Reserve::set_up();
    let dot_names = if args.hidden {
        DotNames::Serve
    } else {
        DotNames::Conceal
    };
    let site = Arc::new(Site::open(&args.dir, dot_names)?);
    let log = Sink::open(&args.access_log)?;
    let count = listener::count(args.workers);
    let (listeners, address) = listener::bind(&args.listen, count)?;
    let redirect = args.redirect_http.as_deref();
    let redirect = redirect
        .map(|from| listener::bind(from, count))
        .transpose()
        .map_err(|error| Failure::of_listener("--redirect-http", error))?;
    let redirected = redirect.as_ref().map(|(_, from)| *from);
    let given = certificates::pairs(&args.cert, &args.key)?;
    let development = given.is_empty();
    let (first, others) = match given.split_first() {
        Some((first, others)) => (first.clone(), others.to_vec()),
        None => (development::certificate(address)?, Vec::new()),
    };
    let certificates = iter::once(&first).chain(&others);
    let certificates: Vec<_> = certificates
        .map(|paths| paths.certificate.clone())
        .collect();
    let provider = tls::provider();
    let load = |paths| Identity::load(paths, Arc::clone(&provider)).map(Arc::new);
    let others = others.into_iter().map(load).collect::<Result<_, _>>()?;
    let identities = Identities::new(load(first)?, others);
    let shared = Shared {
        site,
        tls: tls::config(Arc::clone(&identities), Arc::clone(&provider))?,
        offloads,
        log: Arc::clone(&log),
        timeouts: timeouts(args),
        port: address.port(),
    };
    let registry = Arc::new(Registry::new("serve", count));
    let bounds = Bounds {
        reserve,
        connections: None,
    };
    let tables: Vec<_> = registry.tables().cloned().collect();
    let make = move |index: usize| Worker::new(shared.clone(), Arc::clone(&tables[index]));
    let redirects = redirect.into_iter().flat_map(|(listeners, _)| listeners);
    let sockets = Sockets::pair(listeners, redirects);
    let workers = workers::start(sockets, &bounds, make)?;
    let banner = Banner {
        dir: &args
            .dir
            .canonicalize()
            .unwrap_or_else(|_| PathBuf::from(&args.dir)),
        address,
        redirected,
        workers: count,
        certificates: identities
            .iter()
            .map(|identity| identity.fingerprint())
            .zip(certificates)
            .collect(),
        development,
    };
    let reloadable = Reloadable {
        files: identities
            .iter()
            .map(|identity| Arc::clone(identity) as _)
            .collect(),
        log,
        observer: Box::new(|_, _| ()),
    };
    control::run(workers, &reloadable, args.grace, || {
        socket::answer_for(registry);
        say(&banner.to_string());
    })?;
    Ok(())
}

fn timeouts(args: &ServeArgs) -> Timeouts {
    Timeouts {
        header: args.header_timeout,
        idle: args.idle_timeout,
        send: args.send_timeout,
    }
}
