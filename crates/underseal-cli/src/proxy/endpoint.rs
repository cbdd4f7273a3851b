//! Where clients come in and where requests go, as the command line says it.

use std::str::FromStr;

/// `[plain:]ADDR:PORT`, clients' side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listen {
    pub(crate) tls: bool,
    pub(crate) address: String,
}

/// `[tls:]HOST:PORT`, backends' side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
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
        let (tls, address) = match text.strip_prefix("tls:") {
            Some(address) => (true, address),
            None => (false, text.strip_prefix("plain:").unwrap_or(text)),
        };
        let (host, port) = split(address)?;
        if port == 0 {
            return Err("no backend has port 0".to_owned());
        }
        let host = host.to_owned();
        Ok(Self { tls, host, port })
    }
}

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
        assert_eq!((to.tls, &*to.host, to.port), (false, "localhost", 80));
        let to: Destination = "tls:[::1]:443".parse().expect("an address");
        assert_eq!((to.tls, &*to.host, to.port), (true, "::1", 443));
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
        ] {
            assert!(bad.parse::<Destination>().is_err(), "{bad}");
        }
        assert!("a:0".parse::<Destination>().is_err());
    }
}
