//! nginx, as a reverse proxy that tells the backend how it reads a request.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use underseal_testkit::require_program;

use super::proxy::Proxy;

pub(super) fn start() -> Proxy {
    Proxy::start("nginx", configuration, |directory, file| {
        let mut command = Command::new(require_program("nginx"));
        command.arg("-e").arg(directory.join("errors"));
        command.arg("-p").arg(directory).arg("-c").arg(file);
        command
    })
}

/// One process, so that killing it leaves nothing behind. What it normalised is decoded, and could
/// break the line of a field where it holds controls.
fn configuration(directory: &Path, address: SocketAddr, backend: SocketAddr) -> String {
    let directory = directory.display();
    format!(
        "daemon off;
master_process off;
pid {directory}/pid;
error_log {directory}/errors;
events {{ worker_connections 128; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    scgi_temp_path {directory}/scgi;
    uwsgi_temp_path {directory}/uwsgi;
    map $uri $seen_path {{ ~[\\x00-\\x1f\\x7f] (controls); default $uri; }}
    upstream backend {{ server {backend}; keepalive 4; }}
    server {{
        listen {address};
        location / {{
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header Host $http_host;
            proxy_set_header Seen-Path $seen_path;
            proxy_set_header Seen-Host $host;
        }}
    }}
}}
"
    )
}
