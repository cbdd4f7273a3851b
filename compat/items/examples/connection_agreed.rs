//! of either connection: `alpn_protocol`, `peer_certificates`, `protocol_version`, `negotiated_cipher_suite`, `negotiated_key_exchange_group`, `handshake_kind`, `is_handshaking`

use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{HandshakeKind, ProtocolVersion};
use tokio_rustls::server::TlsStream;

pub fn item(stream: &TlsStream<TcpStream>) -> bool {
    let (_, connection) = stream.get_ref();
    let _: Option<&[CertificateDer<'static>]> = connection.peer_certificates();
    let suite = connection.negotiated_cipher_suite();
    connection.alpn_protocol() == Some(b"h2")
        && connection.protocol_version() == Some(ProtocolVersion::TLSv1_3)
        && suite.is_some_and(|suite| suite.tls13().is_some())
        && connection.negotiated_key_exchange_group().is_some()
        && connection.handshake_kind() == Some(HandshakeKind::Full)
        && !connection.is_handshaking()
}

fn main() {}
