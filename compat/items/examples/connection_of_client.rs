//! of a client's: `is_early_data_accepted`, `ech_status`

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::EchStatus;

pub fn item(stream: &TlsStream<TcpStream>) -> bool {
    let (_, connection) = stream.get_ref();
    connection.is_early_data_accepted() || connection.ech_status() == EchStatus::Accepted
}

fn main() {}
