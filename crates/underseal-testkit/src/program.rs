//! The foreign programs tests talk to.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

/// Where each program comes from on Debian.
const PACKAGES: &[(&str, &str)] = &[
    ("cc", "gcc"),
    ("curl", "curl"),
    ("gnutls-cli", "gnutls-bin"),
    ("gnutls-serv", "gnutls-bin"),
    ("gtlsclient", "ngtcp2-client"),
    ("gtlsserver", "ngtcp2-server"),
    ("h2load", "nghttp2-client"),
    ("haproxy", "haproxy"),
    ("nghttp", "nghttp2-client"),
    ("nginx", "nginx"),
    ("openssl", "openssl"),
    ("python3", "python3"),
    ("redis-server", "redis-server"),
];

/// Returns where `name` is.
///
/// # Panics
/// When it is nowhere on the search path: the test then fails, with the line that installs it.
#[must_use]
pub fn require_program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|directory| directory.join(name))
        .find(|file| file.is_file());
    found.unwrap_or_else(|| {
        let package = PACKAGES.iter().find(|(program, _)| *program == name);
        let package = package.map_or(name, |(_, package)| package);
        panic!("this test needs `{name}`; install it with `apt-get install --yes {package}`")
    })
}

/// A TCP port on 127.0.0.1 that was free a moment ago, for programs that cannot choose one
/// themselves. Whoever starts such a program must be ready to start it again.
///
/// # Panics
/// When there is no free port.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener
        .local_addr()
        .expect("the port of a bound socket")
        .port()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_here_is_found() {
        assert!(require_program("sh").is_absolute());
    }

    #[test]
    #[should_panic(expected = "apt-get install --yes no-such-program-here")]
    fn a_missing_program_fails_with_the_line_that_installs_it() {
        let _ = require_program("no-such-program-here");
    }
}
