//! `underseal serve`: a directory over HTTPS.
//!
//! The main thread sets everything up, starts the workers, and then only waits for signals and
//! watches the certificate files ([`control`]). Each [`worker`] accepts connections of its own and
//! runs one task per [`connection`]; a request goes through [`inbox`] and [`request`] to
//! [`answer`], which opens the file in the [`site`], and its answer through [`transfer`] to the
//! TLS stream.

mod access_log;
mod answer;
mod banner;
mod buffers;
mod certificate;
mod clock;
mod conditions;
mod connection;
mod control;
mod descriptors;
mod development;
mod encoding;
mod entity;
mod inbox;
mod inline;
mod listener;
mod listing;
mod mime;
mod multipart;
mod open_files;
mod path;
mod plain_http;
mod range;
mod request;
mod response;
mod site;
mod stream;
mod tls;
mod transfer;
mod watch;
mod worker;

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use tokio::sync::mpsc;
use underseal::record::{Algorithm, ProtocolVersion};
use underseal::{Direction, Offload, Offloads};

use self::access_log::Sink;
use self::banner::Banner;
use self::certificate::{Identity, Paths};
use self::control::{Reloadable, Workers};
use self::descriptors::Reserve;
use self::path::DotNames;
use self::site::Site;
use self::worker::{Order, Shared, Timeouts};
use crate::cli::ServeArgs;
use crate::diagnostics;
use crate::exit::{Exit, Failure, say};
use crate::live::{Registry, socket};

/// Serves until a signal ends it.
///
/// # Errors
/// What kept the server from starting, each with its exit code.
pub(crate) fn run(args: &ServeArgs) -> Result<(), Failure> {
    diagnostics::install(args.log.as_deref())?;
    check_offload(args.offload)?;
    let reserve = Reserve::set_up();
    let dot_names = if args.hidden {
        DotNames::Serve
    } else {
        DotNames::Conceal
    };
    let site = Arc::new(Site::open(&args.dir, dot_names)?);
    let log = Sink::open(&args.access_log)?;
    let count = args.workers.map_or_else(cpus, usize::from);
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
        offloads: args.offload,
        log: Arc::clone(&log),
        timeouts: timeouts(args),
        reserve,
    };
    let registry = Arc::new(Registry::new("serve", count));
    let workers = start(listeners, &shared, &registry).map_err(|error| {
        let message = format!("cannot start the workers: {error}");
        Failure::new(Exit::Failure, message, "try fewer `--workers`")
    })?;
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
    let reloadable = Reloadable { identity, log };
    control::run(workers, &reloadable, args.grace, || {
        socket::answer_for(registry);
        say(&banner.to_string());
    })
}

/// A kernel that was asked for and is not to be had would fail every handshake: it fails the start.
fn check_offload(offloads: Offloads) -> Result<(), Failure> {
    let offloads = offloads.or_environment();
    for (direction, offload) in [(Direction::Tx, offloads.tx), (Direction::Rx, offloads.rx)] {
        let tried = offload.engine(direction, ProtocolVersion::Tls13, Algorithm::Aes128Gcm);
        if let (Offload::Kernel, Err(refusal)) = (offload, tried) {
            let message = format!("the kernel engine cannot be had for {direction}: {refusal}");
            let hint = "`underseal doctor` says what is missing; `--offload auto` does without";
            return Err(Failure::new(Exit::Failure, message, hint));
        }
    }
    Ok(())
}

fn timeouts(args: &ServeArgs) -> Timeouts {
    Timeouts {
        header: args.header_timeout,
        idle: args.idle_timeout,
        send: args.send_timeout,
    }
}

fn cpus() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn start(listeners: Vec<TcpListener>, shared: &Shared, registry: &Registry) -> io::Result<Workers> {
    let (orders, order) = tokio::sync::watch::channel(Order::Serve);
    let (failed, ended) = mpsc::channel(1);
    for (index, (listener, table)) in listeners.into_iter().zip(registry.tables()).enumerate() {
        worker::spawn(
            index,
            listener,
            shared.clone(),
            Arc::clone(table),
            order.clone(),
            failed.clone(),
        )?;
    }
    Ok(Workers { orders, ended })
}
