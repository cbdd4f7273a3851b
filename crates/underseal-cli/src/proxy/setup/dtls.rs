//! What the command line comes to where datagrams are passed.

use underseal::Offloads;
use underseal_proxy::MinTls;

use super::super::arguments::ProxyArgs;
use super::super::endpoint::Destination;
use crate::exit::{Exit, Failure};

/// # Errors
/// If an option is given that datagrams have no use for.
pub(super) fn check(args: &ProxyArgs) -> Result<(), Failure> {
    let useless = [
        (args.min_tls == Some(MinTls::Tls13), "--min-tls 1.3"),
        (args.offload != Offloads::default(), "--offload"),
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
            let hint = "DTLS 1.2 is spoken, with one certificate and no kernel engine, and a datagram has no place for a header";
            Err(Failure::new(Exit::Usage, message, hint))
        }
    }
}

fn is_path(to: &Destination) -> bool {
    matches!(to, Destination::Path(_))
}

#[cfg(feature = "dtls")]
mod handshakes {
    use std::path::PathBuf;
    use std::sync::Arc;

    use underseal_proxy::datagrams::{DtlsAcceptor, DtlsBackends, DtlsClients, DtlsConnector};
    use underseal_proxy::tls::Configured;

    use super::super::super::arguments::Protocol;
    use super::super::Setup;
    use crate::exit::Failure;
    use underseal_server::current::Current;

    type Acceptor = Arc<Current<DtlsAcceptor>>;
    type Connector = Arc<Current<DtlsConnector>>;

    impl Setup<'_> {
        fn given_pair(&self) -> Option<(PathBuf, PathBuf)> {
            let pair = self.args.cert.iter().zip(&self.args.key).next();
            pair.map(|(certificate, key)| (certificate.clone(), key.clone()))
        }

        /// What accepts the handshakes of clients that send datagrams. Its certificate is loaded again like
        /// others.
        ///
        /// # Errors
        /// What cannot be read or used.
        pub(in super::super) fn dtls_acceptor(&mut self) -> Result<Option<Acceptor>, Failure> {
            let args = self.args;
            if args.protocol != Protocol::Dtls || !args.listen.tls {
                return Ok(None);
            }
            let developed = self.developed.clone();
            let developed = developed.map(|paths| (paths.certificate, paths.key));
            let given = self.given_pair().or(developed);
            let (certificate, key) = given.unwrap_or_default();
            let ca = args.client_ca.clone();
            let clients = DtlsClients {
                certificate,
                key,
                ca: ca.map(|file| (file, args.client_auth)),
            };
            let clients = Configured::new("certificate of DTLS", clients)?;
            self.reloads.push(Arc::clone(&clients) as _);
            Ok(Some(Arc::clone(clients.current())))
        }

        /// What makes handshakes with backends, if one of them has DTLS.
        ///
        /// # Errors
        /// What cannot be read or used.
        pub(in super::super) fn dtls_connector(&mut self) -> Result<Option<Connector>, Failure> {
            let args = self.args;
            if args.protocol != Protocol::Dtls || !args.originates() {
                return Ok(None);
            }
            let own = args.to_cert.clone().zip(args.to_key.clone());
            let backends = DtlsBackends {
                pair: own.or_else(|| self.given_pair()),
                ca: args.to_ca.clone(),
            };
            let backends = Configured::new("backend CA of DTLS", backends)?;
            self.reloads.push(Arc::clone(&backends) as _);
            Ok(Some(Arc::clone(backends.current())))
        }
    }
}
