//! What the command line comes to where datagrams are passed.

use super::super::arguments::{MinTls, ProxyArgs};
use super::super::endpoint::Destination;
use crate::exit::{Exit, Failure};

/// # Errors
/// If an option is given that datagrams have no use for.
pub(super) fn check(args: &ProxyArgs) -> Result<(), Failure> {
    let useless = [
        (args.min_tls == MinTls::Tls13, "--min-tls 1.3"),
        (args.cert.len() > 1, "--cert"),
        (args.redirect_http.is_some(), "--redirect-http"),
        (args.to.iter().any(is_path), "--to unix:"),
        (args.accept_proxy, "--accept-proxy"),
        (args.send_proxy, "--send-proxy"),
    ];
    match useless.into_iter().find(|(given, _)| *given) {
        None => Ok(()),
        Some((_, option)) => {
            let message = format!("`{option}` is not for `--protocol dtls`");
            let hint = "DTLS 1.2 is spoken, with one certificate, and a datagram has no place for a header";
            Err(Failure::new(Exit::Usage, message, hint))
        }
    }
}

fn is_path(to: &Destination) -> bool {
    matches!(to, Destination::Path(_))
}

#[cfg(feature = "dtls")]
mod handshakes {
    use std::sync::Arc;

    use underseal_proxy::Dtls;
    use underseal_proxy::datagrams::{DtlsBackends, DtlsClients};
    use underseal_proxy::tls::Configured;

    use super::super::Setup;
    use crate::exit::Failure;

    impl Setup<'_> {
        /// What datagrams need, where they are passed. Their certificates are loaded again like others.
        ///
        /// # Errors
        /// What cannot be read or used.
        pub(in super::super) fn dtls(&mut self, is_dtls: bool) -> Result<Dtls, Failure> {
            let args = self.args;
            let given = args
                .cert
                .iter()
                .cloned()
                .zip(args.key.iter().cloned())
                .next();
            let mut dtls = Dtls {
                acceptor: None,
                connector: None,
                max_clients: args.max_connections as usize,
                local: self.address,
                reserve: self.reserve,
            };
            if is_dtls && args.listen.tls {
                let developed = self.developed.clone();
                let developed = developed.map(|paths| (paths.certificate, paths.key));
                let (certificate, key) = given.clone().or(developed).unwrap_or_default();
                let ca = args.client_ca.clone();
                let clients = DtlsClients {
                    certificate,
                    key,
                    ca: ca.map(|file| (file, args.client_auth.into())),
                };
                let clients = Configured::new("certificate of DTLS", clients)?;
                dtls.acceptor = Some(Arc::clone(clients.current()));
                self.reloads.push(clients);
            }
            if is_dtls && args.originates() {
                let backends = DtlsBackends {
                    pair: args.to_cert.clone().zip(args.to_key.clone()).or(given),
                    ca: args.to_ca.clone(),
                };
                let backends = Configured::new("backend CA of DTLS", backends)?;
                dtls.connector = Some(Arc::clone(backends.current()));
                self.reloads.push(backends);
            }
            Ok(dtls)
        }
    }
}
