//! The TLS streams connections are served on.

use tokio::net::TcpStream;

pub(crate) use underseal::TlsAcceptor;

/// An established connection.
pub(crate) type TlsStream = underseal::server::TlsStream<TcpStream>;
