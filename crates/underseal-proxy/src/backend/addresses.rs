//! Which of a backend's addresses a connection is made to.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connect::Failures;

/// How long one address is waited for alone (RFC 8305 section 8: its Connection Attempt Delay).
const ALONE: Duration = Duration::from_millis(250);

/// Attempts that are under way.
struct Attempts<F> {
    list: Vec<(SocketAddr, Pin<Box<F>>)>,
    failures: Failures,
}

/// Connects to the first address that accepts: they are tried in their order, the next one as soon as one
/// has failed or has been silent for a while, and those that are silent are waited for all the same.
pub(super) async fn connect_any(sockets: &[SocketAddr]) -> io::Result<TcpStream> {
    connect_by(sockets, TcpStream::connect).await
}

async fn connect_by<T, F: Future<Output = io::Result<T>>>(
    sockets: &[SocketAddr],
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T> {
    let mut attempts = Attempts::default();
    let mut left = sockets.iter().copied();
    loop {
        if let Some(socket) = left.next() {
            attempts.list.push((socket, Box::pin(connect(socket))));
        }
        if attempts.list.is_empty() {
            return Err(attempts.failures.told());
        }
        let ended = poll_fn(|cx| attempts.poll(cx));
        let ended = match left.len() {
            0 => Some(ended.await),
            _ => timeout(ALONE, ended).await.ok(),
        };
        if let Some(Some(connected)) = ended {
            return Ok(connected);
        }
    }
}

impl<T, F: Future<Output = io::Result<T>>> Attempts<F> {
    /// The next one that ends: a connection, or none.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        for index in 0..self.list.len() {
            let (socket, attempt) = &mut self.list[index];
            let Poll::Ready(ended) = attempt.as_mut().poll(cx) else {
                continue;
            };
            let socket = *socket;
            self.list.remove(index);
            return Poll::Ready(match ended {
                Ok(connected) => Some(connected),
                Err(error) => {
                    self.failures.add(&socket, error);
                    None
                }
            });
        }
        Poll::Pending
    }
}

impl<F> Default for Attempts<F> {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            failures: Failures::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::net::TcpListener;

    use super::*;
    use crate::backend::Backends;
    use crate::backend::testing::{BlackHole, address, process};

    #[tokio::test(start_paused = true)]
    async fn the_next_address_is_tried_while_one_is_silent() {
        let sockets = [1, 2, 3, 4].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        // One is silent, one refuses, and the third takes longer than it is waited for alone.
        let connect = async |socket: SocketAddr| match socket.port() {
            1 => pending().await,
            2 => Err(io::ErrorKind::ConnectionRefused.into()),
            3 => {
                tokio::time::sleep(2 * ALONE).await;
                Ok(socket)
            }
            _ => pending().await,
        };
        // The clock goes on whenever there is nothing else to do.
        let connected = timeout(4 * ALONE, connect_by(&sockets, connect)).await;
        let connected = connected.expect("in time").expect("it accepts");
        assert_eq!(connected, sockets[2]);
    }

    #[tokio::test]
    async fn the_address_that_accepted_is_the_first_for_who_comes_next() {
        let (dead, listener) = (BlackHole::new(), TcpListener::bind("127.0.0.1:0"));
        // The kernel takes connections for it.
        let listener = listener.expect("a port");
        let live = listener.local_addr().expect("an address");
        let address = address(vec![dead.address, live]);
        let backends = Backends::new(&[address], None, None);
        let process = process(Duration::from_secs(60));
        let deadline = process.deadlines.add();
        let made = backends.connect(&process, &deadline, 0, None).await;
        let made = made.expect("a connection");
        assert_eq!(made.known.address, Some(live));
        let order = backends.targets[0].order(vec![dead.address, live]);
        assert_eq!(order, [live, dead.address]);
    }
}
