use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// A listener whose queue is full: no connection is accepted, nor refused.
pub struct BlackHole {
    /// Where it is.
    pub address: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl BlackHole {
    /// One on a port of its own.
    ///
    /// # Panics
    /// When there is no port left.
    #[expect(clippy::new_without_default, reason = "it takes a port")]
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        // Linux takes a shorter queue for a socket that listens already.
        rustix::net::listen(&listener, 0).expect("listen");
        let address = listener.local_addr().expect("an address");
        let wait = Duration::from_millis(100);
        let queued = std::iter::from_fn(|| TcpStream::connect_timeout(&address, wait).ok());
        let queued = queued.take(8).collect();
        Self {
            address,
            _listener: listener,
            _queued: queued,
        }
    }
}
