//! of a server's: `server_name`, `received_resumption_data`, `early_data`

use std::io::Read;

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

pub fn item(stream: &mut TlsStream<TcpStream>) -> Vec<u8> {
    let (_, connection) = stream.get_mut();
    let _: (Option<&str>, Option<&[u8]>) = (
        connection.server_name(),
        connection.received_resumption_data(),
    );
    let mut bytes = Vec::new();
    if let Some(mut early_data) = connection.early_data() {
        early_data.read_to_end(&mut bytes).unwrap();
    }
    bytes
}

fn main() {}
