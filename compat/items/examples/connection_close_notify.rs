//! of either connection: `send_close_notify`, `wants_read`, `wants_write`

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

pub fn item(stream: &mut TlsStream<TcpStream>) -> bool {
    let (_, connection) = stream.get_mut();
    connection.send_close_notify();
    connection.wants_read() || connection.wants_write()
}

fn main() {}
