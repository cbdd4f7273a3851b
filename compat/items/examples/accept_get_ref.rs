//! `Accept::{get_ref, get_mut}`

use tokio::net::TcpStream;
use tokio_rustls::Accept;

pub fn item(accept: &mut Accept<TcpStream>) -> Option<&mut TcpStream> {
    let _: Option<&TcpStream> = accept.get_ref();
    accept.get_mut()
}

fn main() {}
