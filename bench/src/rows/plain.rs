//! TCP without TLS: the floor, and one half of the row *limit*.

use std::net::TcpStream;

use super::blocking::BlockingRow;
use super::{Tuning, name};

/// Plain TCP.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl BlockingRow for Plain {
    type Server = TcpStream;
    type Client = TcpStream;

    fn name(&self) -> &'static str {
        name::PLAIN
    }

    fn encrypts(&self) -> bool {
        false
    }

    fn accept(&self, tcp: TcpStream, _: Tuning) -> anyhow::Result<TcpStream> {
        Ok(tcp)
    }

    fn connect(&self, tcp: TcpStream, _: Tuning) -> anyhow::Result<TcpStream> {
        Ok(tcp)
    }
}
