//! of either connection: `dangerous_extract_secrets`
//!
//! differs: the keys are the stream's, and `into_parts` gives them with what else a record needs

use tokio::net::TcpStream;
use tokio_rustls::rustls::{Error, ExtractedSecrets};
use tokio_rustls::server::TlsStream;

pub fn item(stream: TlsStream<TcpStream>) -> Result<ExtractedSecrets, Error> {
    stream.into_inner().1.dangerous_extract_secrets()
}

fn main() {}
