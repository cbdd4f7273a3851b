//! `underseal serve`: a directory over HTTPS.
//!
//! The main thread sets everything up, starts the workers, and then only waits for signals and
//! watches the certificate files ([`control`]). Each [`worker`] is given connections of its own and
//! runs one task per [`connection`]; a request goes through [`inbox`] and [`request`] to
//! [`answer`], which opens the file in the [`site`], and its answer through [`transfer`] to the
//! TLS stream.

mod answer;
mod banner;
mod conditions;
mod connection;
mod encoding;
mod entity;
mod inbox;
mod inline;
mod listing;
mod log;
mod mime;
mod multipart;
mod open_files;
mod path;
mod plain_http;
mod range;
mod request;
mod response;
mod shell;
mod site;
mod stream;
mod transfer;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;

use self::banner::Banner;
use self::path::DotNames;
use self::site::Site;
use self::worker::{Shared, Timeouts, Worker};
use crate::cli::ServeArgs;
use crate::exit::{Failure, say};
use crate::{development, diagnostics, offload};
use underseal_server::access_log::Sink;
use underseal_server::certificate::{Identity, Paths};
use underseal_server::control::{self, Reloadable};
use underseal_server::descriptors::Reserve;
use underseal_server::live::{Registry, socket};
use underseal_server::worker::Bounds;
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
    let (paths, development) = match (&args.cert, &args.key) {
        (Some(certificate), Some(key)) => {
            let (certificate, key) = (certificate.clone(), key.clone());
            (Paths { certificate, key }, false)
        }
        _ => (development::certificate(address)?, true),
    };
    let provider = tls::provider();
    let identity = Arc::new(Identity::load(paths.clone(), Arc::clone(&provider))?);
    let shared = Shared {
        site,
        tls: tls::config(Arc::clone(&identity), provider)?,
        offloads,
        log: Arc::clone(&log),
        timeouts: timeouts(args),
    };
    let registry = Arc::new(Registry::new("serve", count));
    let bounds = Bounds {
        reserve,
        connections: None,
    };
    let tables: Vec<_> = registry.tables().cloned().collect();
    let make = move |index: usize| Worker::new(shared.clone(), Arc::clone(&tables[index]));
    let workers = workers::start(listeners, &bounds, make)?;
    let banner = Banner {
        dir: &args
            .dir
            .canonicalize()
            .unwrap_or_else(|_| PathBuf::from(&args.dir)),
        address,
        workers: count,
        fingerprint: identity.fingerprint(),
        certificate: paths.certificate,
        development,
    };
    let reloadable = Reloadable {
        files: vec![identity],
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
