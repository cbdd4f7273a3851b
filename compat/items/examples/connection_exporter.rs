//! of either connection: `export_keying_material`

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::Error;

pub fn item(stream: &TlsStream<TcpStream>) -> Result<[u8; 32], Error> {
    let (_, connection) = stream.get_ref();
    connection.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", None)
}

fn main() {}
