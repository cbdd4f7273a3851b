//! That a row is what its name says: one whose library does not seal would be nginx beside itself.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;

use anyhow::{Context as _, ensure};

use crate::context::Context;
use crate::cpu_time::family;
use crate::http::server::Server;
use crate::http::{SETTLE, SMALL_FILE, client, name};

const LIBRARY: &str = "libunderseal_preload.so";

/// From here on are the numbers that the library hides from its program, which opens far fewer files itself.
const HIDDEN: u32 = 1024;

/// That the processes of `server` have the library if they are to have it, and a hidden number for a
/// connection that seals.
pub(super) fn of_the_row(context: &Context, server: &Server) -> anyhow::Result<()> {
    let is_run = [
        name::NGINX_RUN,
        name::NGINX_PLAIN_RUN,
        name::NGINX_NEWER_RUN,
    ];
    let is_run = is_run.contains(&server.name());
    ensure!(
        maps(server, LIBRARY)? == is_run,
        "the library is not where it should be"
    );
    if let Some(libraries) = context.newer_openssl() {
        let is_newer = [name::NGINX_NEWER, name::NGINX_NEWER_RUN].contains(&server.name());
        let libraries = libraries.canonicalize().context("no newer OpenSSL")?;
        let library = libraries.join("libssl.so.3").display().to_string();
        ensure!(
            maps(server, &library)? == is_newer,
            "it is not this OpenSSL"
        );
    }
    if server.speaks_tls() {
        let mut open = client::open(context, server)?;
        client::fetch(&mut open, "/small", SMALL_FILE)?;
        ensure!(hides(server)? == is_run, "it is not the library that seals");
    }
    sleep(SETTLE);
    Ok(())
}

/// Whether the first process of `server` has a library of this name.
fn maps(server: &Server, library: &str) -> anyhow::Result<bool> {
    let maps = format!("/proc/{}/maps", server.pid());
    let text = fs::read_to_string(&maps).with_context(|| format!("cannot read {maps}"))?;
    Ok(text.contains(library))
}

fn hides(server: &Server) -> anyhow::Result<bool> {
    let mut numbers = Vec::new();
    for process in family(server.pid())? {
        let directory = PathBuf::from(format!("/proc/{process}/fd"));
        let entries = fs::read_dir(&directory).context("cannot list descriptors")?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        numbers.extend(names.filter_map(|name| name.parse::<u32>().ok()));
    }
    Ok(numbers.into_iter().any(|number| number >= HIDDEN))
}
