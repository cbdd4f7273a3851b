//! The service that is measured: what it does with a request, and who serves it.

use std::hint::black_box;
use std::net::TcpStream;

use underseal::TlsAcceptor;
use underseal_message::{LengthPrefixed, Width};

use super::{tasks, workers};

/// Bytes of a request, and of a reply.
pub const LEN: usize = 256;

/// A way to serve connections.
pub trait Contender {
    /// The row.
    fn name(&self) -> &'static str;

    /// Starts `threads` threads.
    ///
    /// # Errors
    ///
    /// When the system has none left.
    fn start(&self, threads: usize, acceptor: TlsAcceptor) -> anyhow::Result<Box<dyn Service>>;
}

/// A service that runs.
pub trait Service {
    /// Serves a connection, handshake first.
    ///
    /// # Errors
    ///
    /// When the service has ended.
    fn accept(&self, tcp: TcpStream) -> anyhow::Result<()>;

    /// Waits for its threads. All clients are gone by then.
    ///
    /// # Errors
    ///
    /// When a thread panicked.
    fn stop(self: Box<Self>) -> anyhow::Result<()>;
}

/// Every row.
pub fn contenders() -> Vec<Box<dyn Contender>> {
    vec![
        Box::new(tasks::Pinned),
        Box::new(workers::Driving),
        Box::new(workers::Tasks),
        Box::new(workers::Parked),
        Box::new(tasks::Stealing),
    ]
}

/// Four bytes of length, then the rest.
pub fn parser() -> LengthPrefixed {
    LengthPrefixed::new(Width::U32)
}

/// A request that costs `rounds` turns of a loop.
pub fn request(number: u64, rounds: u32) -> [u8; LEN] {
    let mut request = reply(number);
    request[12..16].copy_from_slice(&rounds.to_be_bytes());
    request
}

/// Does what a request asks for, and makes the reply: both contenders do nothing else.
pub fn answer(request: &[u8]) -> [u8; LEN] {
    let rounds = u32::from_be_bytes(request[12..16].try_into().expect("four bytes"));
    work(rounds);
    reply(number(request))
}

/// Which request this is, or is the reply to.
pub fn number(message: &[u8]) -> u64 {
    u64::from_be_bytes(message[4..12].try_into().expect("eight bytes"))
}

fn reply(number: u64) -> [u8; LEN] {
    let mut reply = [0; LEN];
    reply[..4].copy_from_slice(&(LEN as u32 - 4).to_be_bytes());
    reply[4..12].copy_from_slice(&number.to_be_bytes());
    reply
}

/// Turns a loop whose turns depend on each other: some nanoseconds each, in any build.
pub fn work(rounds: u32) {
    let mut value = black_box(1_u64);
    for _ in 0..rounds {
        value = value.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ 0x2545;
    }
    black_box(value);
}
