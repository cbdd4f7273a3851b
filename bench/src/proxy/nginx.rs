//! Debian's nginx as a reverse proxy, with a configuration made for the run.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, bail};

use super::{Contender, Setup, name, rules};
use crate::http::nginx;
use crate::http::server::{Server, free_address};

/// Workers, the access log, lines of `upstream`, and lines beside `proxy_pass`.
pub(super) const CONTENDERS: &[Contender] = &[
    with("as shipped", &["auto", "off", "", ""]),
    with("upstream keepalive", &["1", "off", KEEPALIVE, REUSE]).with_http2(),
    with(
        "upstream keepalive, not buffered",
        &["1", "off", KEEPALIVE, UNBUFFERED],
    ),
    with(
        "upstream keepalive, large buffers",
        &["1", "off", KEEPALIVE, LARGE],
    ),
    with(
        "upstream keepalive, access log",
        &[
            "1",
            "DIRECTORY/access.log combined buffer=64k",
            KEEPALIVE,
            REUSE,
        ],
    ),
];

const KEEPALIVE: &str = "keepalive 128; keepalive_requests 100000000;";
const REUSE: &str = "proxy_http_version 1.1; proxy_set_header Connection \"\";";
const UNBUFFERED: &str = "proxy_http_version 1.1; proxy_set_header Connection \"\";
    proxy_buffering off; proxy_buffer_size 256k; proxy_buffers 8 256k;
    proxy_busy_buffers_size 512k;";
const LARGE: &str = "proxy_http_version 1.1; proxy_set_header Connection \"\";
    proxy_buffer_size 64k; proxy_buffers 16 256k; proxy_busy_buffers_size 1m;
    proxy_max_temp_file_size 0;";

const fn with(setting: &'static str, lines: &'static [&'static str]) -> Contender {
    Contender {
        row: name::NGINX,
        setting,
        start,
        lines,
        with_http2: false,
    }
}

fn start(setup: &Setup<'_>, contender: &Contender) -> anyhow::Result<Server> {
    let address = free_address()?;
    let directory = setup.directory;
    let [workers, log, upstream, location] = contender.lines else {
        bail!("a contender has workers, a log, and lines of two blocks");
    };
    let log = log.replace("DIRECTORY", &directory.display().to_string());
    let ends = Ends {
        address,
        backend: setup.backend,
        from_http2: setup.ends.from_http2,
        credentials: setup.context.directory.path(),
    };
    let http = http(&ends, &log, [upstream, location], &locations(setup.ends));
    nginx::write(directory, workers, &http)?;
    Server::start(contender.row, &mut nginx::command(directory), address, true)
        .with_context(|| nginx::errors(directory))
}

/// What a proxy is between.
pub(crate) struct Ends<'a> {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Whom it asks.
    pub(crate) backend: SocketAddr,
    /// Whether clients may speak HTTP/2.
    pub(crate) from_http2: bool,
    /// Where its certificate is.
    pub(crate) credentials: &'a Path,
}

/// The `http` block of the settings at which a large body costs least, without a log.
pub(crate) fn large_buffers(ends: &Ends<'_>) -> String {
    http(
        ends,
        "off",
        [KEEPALIVE, LARGE],
        &locations(super::Ends::PLAIN),
    )
}

fn http(ends: &Ends<'_>, log: &str, [upstream, location]: [&str; 2], locations: &str) -> String {
    format!(
        "access_log {log};
    keepalive_requests 100000000;
    keepalive_timeout 3600s;
    upstream files {{ server {backend}; {upstream} }}
    {location}
    server {{
        listen {address} ssl{http2} backlog=4096;
        {tls}
        {locations}
    }}",
        backend = ends.backend,
        address = ends.address,
        http2 = if ends.from_http2 { " http2" } else { "" },
        tls = nginx::tls(ends.credentials),
    )
}

/// The rules as locations: the most exact decides.
fn locations(does: super::Ends) -> String {
    const PASS: &str = "proxy_pass http://files;";
    if does.to_http2 {
        return "location / { grpc_pass grpc://files; }".to_owned();
    }
    if !does.with_rules {
        return format!("location / {{ {PASS} }}");
    }
    let mut text = String::from(
        "location / { return 403; }
        location = /admin { return 403; }
        location /admin/ { return 403; }
",
    );
    for prefix in rules::prefixes() {
        let _ = writeln!(text, "        location {prefix} {{ {PASS} }}");
    }
    for path in rules::FILES {
        let _ = writeln!(text, "        location = {path} {{ {PASS} }}");
    }
    text
}
