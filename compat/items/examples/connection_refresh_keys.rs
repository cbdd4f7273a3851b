//! of either connection: `refresh_traffic_keys`

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::Error;

pub fn item(stream: &mut TlsStream<TcpStream>) -> Result<(), Error> {
    stream.get_mut().1.refresh_traffic_keys()
}

fn main() {}
