//! The implementations that are measured: one file each, one row of every table.

use std::any::Any;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::credentials::{Credentials, Provider};

pub mod asynchronous;
pub mod blocking;
pub mod one_loop;
pub mod openssl;
pub mod plain;
pub mod rustls;
pub mod tokio_rustls;
pub mod underseal;
pub mod underseal_tokio;

/// Names of the rows that figures are computed from.
pub mod name {
    /// TCP without TLS.
    pub const PLAIN: &str = "plain TCP";
    /// TCP and the AEAD's work in one loop.
    pub const ONE_LOOP: &str = "plain TCP and the AEAD in one loop";
    /// `underseal::blocking`.
    pub const UNDERSEAL: &str = "underseal";
    /// `underseal::blocking` with the user engine in both directions.
    pub const USER_ENGINE: &str = "underseal, user engine";
    /// `underseal::blocking` with the kernel engine in both directions.
    pub const KERNEL_ENGINE: &str = "underseal, kernel engine";
    /// `underseal` under tokio.
    pub const UNDERSEAL_TOKIO: &str = "underseal (tokio)";
    /// rustls over ring.
    pub const RUSTLS_RING: &str = "rustls with ring";
    /// rustls over aws-lc-rs.
    pub const RUSTLS_AWS: &str = "rustls with aws-lc-rs";
    /// tokio-rustls over ring.
    pub const TOKIO_RUSTLS_RING: &str = "tokio-rustls with ring";
    /// tokio-rustls over aws-lc-rs.
    pub const TOKIO_RUSTLS_AWS: &str = "tokio-rustls with aws-lc-rs";
    /// The `openssl` crate.
    pub const OPENSSL: &str = "OpenSSL";
}

/// Bytes of one request, and of one reply.
pub const MESSAGE: usize = 1024;

/// How a connection is used: what an implementation may size its buffers by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tuning {
    /// Bytes in each write of the application; 0 when it does not send in bulk.
    pub write_size: usize,
    /// Bytes that the application asks for in each read; 0 when it does not receive in bulk.
    pub read_buffer: usize,
}

/// An implementation of TLS over TCP, or TCP alone.
pub trait Row: Send + Sync {
    /// What the tables call it.
    fn name(&self) -> &'static str;

    /// Whether there is a handshake before data.
    fn encrypts(&self) -> bool {
        true
    }

    /// Whether connections live in tasks, so that [`Hold::Task`] differs from [`Hold::Stream`].
    fn has_tasks(&self) -> bool {
        false
    }

    /// Handshakes as the server.
    ///
    /// # Errors
    ///
    /// When the handshake fails.
    fn accept(&self, tcp: TcpStream, tuning: Tuning) -> anyhow::Result<Box<dyn Link>>;

    /// Handshakes as the client.
    ///
    /// # Errors
    ///
    /// When the handshake fails.
    fn connect(&self, tcp: TcpStream, tuning: Tuning) -> anyhow::Result<Box<dyn Link>>;

    /// Accepts `count` connections, answers one request on each and keeps them all, idle, for as
    /// long as the returned value lives.
    ///
    /// # Errors
    ///
    /// When a handshake or an exchange fails.
    fn hold(&self, listener: TcpListener, count: usize, hold: Hold)
    -> anyhow::Result<Box<dyn Any>>;
}

/// How idle connections are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The streams lie in a list: what the implementation itself costs.
    Stream,
    /// Each has a task that waits for the next request, as in a server. Rows that block have no
    /// tasks and do the same as for [`Hold::Stream`].
    Task,
}

/// One side of an established connection. Every method is a whole loop, so that an asynchronous
/// row enters its runtime once and not for each write.
pub trait Link {
    /// Writes `total` bytes in writes of the tuned size, and flushes.
    ///
    /// # Errors
    ///
    /// When the connection breaks.
    fn send(&mut self, total: u64) -> io::Result<()>;

    /// Reads exactly `total` bytes, asking for the tuned size each time.
    ///
    /// # Errors
    ///
    /// When the connection breaks or ends early.
    fn receive(&mut self, total: u64) -> io::Result<()>;

    /// Sends `times` requests, each after the reply to the one before; returns how long each took.
    ///
    /// # Errors
    ///
    /// When the connection breaks.
    fn request(&mut self, times: usize) -> io::Result<Vec<Duration>>;

    /// Answers `times` requests.
    ///
    /// # Errors
    ///
    /// When the connection breaks.
    fn reply(&mut self, times: usize) -> io::Result<()>;
}

/// Every row, plain TCP first.
///
/// # Errors
///
/// When a configuration is refused.
pub fn all(credentials: &Credentials) -> anyhow::Result<Vec<Box<dyn Row>>> {
    use asynchronous::Asynchronous;
    use blocking::Blocking;
    Ok(vec![
        Box::new(Blocking(plain::Plain)),
        Box::new(Blocking(one_loop::OneLoop)),
        Box::new(Blocking(underseal::Underseal::new(credentials)?)),
        Box::new(Asynchronous(underseal_tokio::UndersealTokio::new(
            credentials,
            Provider::Ring,
        )?)),
        Box::new(Blocking(rustls::Rustls::new(credentials, Provider::Ring)?)),
        Box::new(Blocking(rustls::Rustls::new(
            credentials,
            Provider::AwsLcRs,
        )?)),
        Box::new(Asynchronous(tokio_rustls::TokioRustls::new(
            credentials,
            Provider::Ring,
        )?)),
        Box::new(Asynchronous(tokio_rustls::TokioRustls::new(
            credentials,
            Provider::AwsLcRs,
        )?)),
        Box::new(Blocking(openssl::OpenSsl::new(credentials)?)),
    ])
}
