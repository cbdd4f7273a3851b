//! Longer trains of datagrams behind quinn: fewer calls of the system for the same packets.
//!
//! ```
//! # async fn listen(config: quinn::ServerConfig) -> std::io::Result<()> {
//! use std::sync::Arc;
//!
//! use quinn::{Endpoint, EndpointConfig, TokioRuntime};
//! use underseal_quic::trains::Trains;
//!
//! let socket = std::net::UdpSocket::bind("[::]:4433")?;
//! let runtime = Arc::new(Trains::over(TokioRuntime));
//! let endpoint = Endpoint::new(EndpointConfig::default(), Some(config), socket, runtime)?;
//! # drop(endpoint);
//! # Ok(())
//! # }
//! ```
//!
//! quinn asks its socket to send ten datagrams at a time, whatever the socket can take. [`Trains`] is a
//! runtime of quinn's whose sockets hold such a train until the next one joins it: the kernel is given
//! as many datagrams as one call of UDP segmentation offload may have, and a receiver finds them together.
//!
//! - What is shorter than quinn's trains ends what a connection had to send, and leaves at once, with
//!   what was held before it. Otherwise a train waits for its connection's next turn, and no longer: if
//!   that adds nothing, it leaves. No clock is involved.
//! - Each packet has been sealed when it comes here. Nothing in plaintext is held.
//! - A socket without segmentation offload sends as quinn's does.

use std::future::Future;
use std::io;
use std::net::UdpSocket;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use quinn::{AsyncTimer, AsyncUdpSocket, Runtime};

mod sender;
mod socket;
mod train;

use self::sender::Sender;
use self::socket::Socket;

/// A runtime of quinn's, with sockets that send longer trains.
#[derive(Debug)]
pub struct Trains {
    runtime: Arc<dyn Runtime>,
}

impl Trains {
    /// Timers, tasks and the sockets themselves stay those of `runtime`.
    pub fn over(runtime: impl Runtime) -> Self {
        let runtime = Arc::new(runtime);
        Self { runtime }
    }
}

impl Runtime for Trains {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        self.runtime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.runtime.spawn(future);
    }

    /// Spawns a task, too, which ends with the socket.
    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let socket = Arc::new(Socket::over(self.runtime.wrap_udp_socket(socket)?));
        self.spawn(Box::pin(Sender::of(&socket)));
        Ok(socket)
    }

    fn now(&self) -> Instant {
        self.runtime.now()
    }
}
