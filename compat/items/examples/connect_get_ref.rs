//! `Connect::{get_ref, get_mut}`

use tokio::net::TcpStream;
use tokio_rustls::Connect;

pub fn item(connect: &mut Connect<TcpStream>) -> Option<&mut TcpStream> {
    let _: Option<&TcpStream> = connect.get_ref();
    connect.get_mut()
}

fn main() {}
