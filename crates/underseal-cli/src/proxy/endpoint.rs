//! Where clients come in and where requests go, as the command line says it.

use std::path::PathBuf;
use std::str::FromStr;

use underseal_http::host::Named;

/// `[plain:]ADDR:PORT`, clients' side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listen {
    pub(crate) tls: bool,
    pub(crate) address: String,
}

/// `[tls:]HOST:PORT` or `unix:PATH`, backends' side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// By an address or a name.
    Host { tls: bool, host: String, port: u16 },
    /// By a socket in the file system, without TLS.
    Path(PathBuf),
}

impl Destination {
    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Self::Host { tls: true, .. })
    }

    /// As it is shown, and logged.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Host { host, port, .. } => with_port(host, *port),
            Self::Path(path) => format!("unix:{}", path.display()),
        }
    }
}

/// A host and its port, the host in brackets where it needs them.
pub(super) fn with_port(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

/// Which host backends are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// The client's.
    Keep,
    /// Their own.
    Backend,
    /// This one.
    Named(Named),
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "keep" => Ok(Self::Keep),
            "backend" => Ok(Self::Backend),
            _ => {
                let named = Named::new(text).map(Self::Named);
                named.ok_or_else(|| "expected keep, backend or HOST[:PORT]".to_owned())
            }
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (tls, address) = match text.strip_prefix("plain:") {
            Some(address) => (false, address),
            None => (true, text.strip_prefix("tls:").unwrap_or(text)),
        };
        split(address)?;
        let address = address.to_owned();
        Ok(Self { tls, address })
    }
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.starts_with('/') && path.len() <= MAX_PATH {
                true => Ok(Self::Path(path.into())),
                false => Err("expected unix:/PATH, of up to 107 bytes".to_owned()),
            };
        }
        refuse_url(text)?;
        let (tls, address) = match text.strip_prefix("tls:") {
            Some(address) => (true, address),
            None => (false, text.strip_prefix("plain:").unwrap_or(text)),
        };
        let (host, port) = split(address)?;
        if port == 0 {
            return Err("no backend has port 0".to_owned());
        }
        let host = host.to_owned();
        Ok(Self::Host { tls, host, port })
    }
}

/// # Errors
/// If a backend is given as a URL, with what to write in its place.
fn refuse_url(text: &str) -> Result<(), String> {
    let lower = text.to_ascii_lowercase();
    for (scheme, kind, port) in [("https://", "tls:", 443), ("http://", "", 80)] {
        let Some(rest) = lower.strip_prefix(scheme) else {
            continue;
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        // A user and a password are nothing to repeat.
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let has_port = split(authority).is_ok();
        let address = match has_port {
            true => authority.to_owned(),
            false => format!("{authority}:{port}"),
        };
        return Err(match split(&address) {
            Ok(_) => format!("a backend is no URL; write `{kind}{address}`"),
            Err(_) => format!("a backend is no URL; write `{kind}HOST:PORT`"),
        });
    }
    Ok(())
}

/// Longest path of a socket (unix(7)).
const MAX_PATH: usize = 107;

/// Host, without the brackets of an IPv6 address, and port.
fn split(address: &str) -> Result<(&str, u16), String> {
    const EXPECTED: &str = "expected HOST:PORT, such as 127.0.0.1:8080, [::1]:8080 or api.test:443";
    let (host, port) = address.rsplit_once(':').ok_or(EXPECTED)?;
    let in_brackets = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let host = in_brackets.unwrap_or(host);
    if host.is_empty() || (host.contains(':') && in_brackets.is_none()) {
        return Err(EXPECTED.to_owned());
    }
    let port = port.parse().map_err(|_| EXPECTED)?;
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_for_clients_unless_said_and_for_backends_if_said() {
        let listen: Listen = "127.0.0.1:8443".parse().expect("an address");
        assert!(listen.tls);
        let listen: Listen = "plain:[::1]:80".parse().expect("an address");
        assert_eq!((listen.tls, &*listen.address), (false, "[::1]:80"));
        let to: Destination = "localhost:80".parse().expect("an address");
        assert_eq!((to.is_tls(), &*to.name()), (false, "localhost:80"));
        let to: Destination = "tls:[::1]:443".parse().expect("an address");
        assert_eq!((to.is_tls(), &*to.name()), (true, "[::1]:443"));
        let to: Destination = "unix:/run/a b".parse().expect("a path");
        assert_eq!((to.is_tls(), &*to.name()), (false, "unix:/run/a b"));
    }

    #[test]
    fn a_url_is_refused_with_what_to_write_instead() {
        for (url, instead) in [
            ("https://api.test", "tls:api.test:443"),
            ("HTTPS://api.test:8443/v1", "tls:api.test:8443"),
            ("https://[::1]/", "tls:[::1]:443"),
            ("http://api.test/", "api.test:80"),
            ("https://", "tls:HOST:PORT"),
            ("https://user:secret@api.test/", "tls:api.test:443"),
            ("http://user:p@ss@api.test:81", "api.test:81"),
        ] {
            let refused = url.parse::<Destination>().expect_err(url);
            assert!(
                refused.ends_with(&format!("write `{instead}`")),
                "{refused}"
            );
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for bad in ["a b", "a:", ""] {
            assert!(bad.parse::<Host>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "x",
            ":80",
            "a:b",
            "::1:80",
            "http:a:80",
            "a:99999",
            "tls:",
            "unix:",
            "unix:relative",
            "tls:unix:/run/a",
        ] {
            assert!(bad.parse::<Destination>().is_err(), "{bad}");
        }
        assert!("a:0".parse::<Destination>().is_err());
    }
}
