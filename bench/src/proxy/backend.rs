//! The backend: nginx, which sends files with sendfile and keeps connections.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::context::Context;
use crate::http::server::{Server, free_address};
use crate::http::{SMALL_FILE, nginx};

/// Starts it on a directory of files.
///
/// # Errors
///
/// When it does not start.
pub fn start(context: &Context, root: &Path) -> anyhow::Result<Server> {
    let directory = context.directory.path().join("backend");
    fs::create_dir_all(&directory).context("cannot make a directory")?;
    let address = free_address()?;
    let http = format!(
        "access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000000;
    keepalive_timeout 3600s;
    open_file_cache max=100 inactive=3600s;
    open_file_cache_valid 3600s;
    server {{
        listen {address} backlog=4096;
        root {root};
    }}",
        root = root.display()
    );
    nginx::write(&directory, "1", &http)?;
    Server::start(
        "the backend",
        &mut nginx::command(&directory),
        address,
        false,
    )
    .with_context(|| nginx::errors(&directory))
}

/// A directory with the files that are asked for.
///
/// # Errors
///
/// When there is no room for them.
pub fn document_root(context: &Context) -> anyhow::Result<PathBuf> {
    let root = context.directory.path().join("root");
    let body = root.join(super::BODY.trim_start_matches('/'));
    if !body.exists() {
        fs::create_dir_all(&root).context("cannot make a directory")?;
        fs::write(root.join("small"), [0x5a; SMALL_FILE]).context("cannot write a file")?;
        let len = usize::try_from(context.scale.proxy_body_bytes)?;
        fs::write(body, vec![0x5a; len]).context("cannot write a file")?;
    }
    Ok(root)
}
