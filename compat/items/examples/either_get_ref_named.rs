//! `TlsStream::get_ref` as a `&rustls::CommonState`
//!
//! differs: rustls' own state is consumed when its keys are handed over; ours has the same methods under the same name

use tokio::net::TcpStream;
use tokio_rustls::TlsStream;
use tokio_rustls::rustls::CommonState;

pub fn item(stream: &TlsStream<TcpStream>) -> &CommonState {
    stream.get_ref().1
}

fn main() {}
