//! The TLS configuration of the server.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};

use super::certificate::Identities;
use crate::Error;

/// The provider of handshakes. The records that follow are underseal's own.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// TLS 1.2 and 1.3 with tickets that need no state on the server, so that any worker can resume
/// what another one began. Early data stays off: a GET replayed is harmless, its log line is not.
///
/// # Errors
/// [`Error::Tls`] when the provider cannot give random numbers.
pub fn config(
    identities: Arc<Identities>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<ServerConfig>, Error> {
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::Tls)?
        .with_no_client_auth()
        .with_cert_resolver(identities);
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(Error::Tls)?;
    Ok(Arc::new(config))
}
