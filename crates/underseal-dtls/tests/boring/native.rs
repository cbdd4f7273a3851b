//! BoringSSL's own records, at the other end of ours.

use std::io::{self, Read, Write};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use boring::ssl::{Error, ErrorCode, Ssl, SslStream};
use underseal_sys::boring::{handle_timeout, key_update};
use underseal_testkit::PATIENCE;

/// A connected socket: each call is a datagram.
struct Datagrams(UdpSocket);

impl Read for Datagrams {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buffer)
    }
}

impl Write for Datagrams {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.0.send(datagram)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An association that is BoringSSL's.
pub(crate) struct Native(SslStream<Datagrams>);

impl Native {
    pub(crate) fn connect(ssl: Ssl, socket: UdpSocket) -> Self {
        let mut native = Self::over(ssl, socket);
        native.patiently(SslStream::connect);
        native
    }

    pub(crate) fn accept(ssl: Ssl, socket: UdpSocket) -> Self {
        let mut native = Self::over(ssl, socket);
        native.patiently(SslStream::accept);
        native
    }

    fn over(mut ssl: Ssl, socket: UdpSocket) -> Self {
        ssl.set_mtu(1200).unwrap();
        let tick = Duration::from_millis(20);
        socket.set_read_timeout(Some(tick)).unwrap();
        Self(SslStream::new(ssl, Datagrams(socket)).unwrap())
    }

    /// Tries until something came of it, and does what is due meanwhile.
    fn patiently<T>(
        &mut self,
        mut attempt: impl FnMut(&mut SslStream<Datagrams>) -> Result<T, Error>,
    ) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match attempt(&mut self.0) {
                Ok(done) => return done,
                Err(error) if waits(&error) && Instant::now() < deadline => {
                    handle_timeout(self.0.ssl_mut());
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.patiently(|stream| stream.ssl_write(text.as_bytes()));
    }

    pub(crate) fn recv(&mut self) -> String {
        let mut buffer = [0; 1 << 14];
        let len = self.patiently(|stream| stream.ssl_read(&mut buffer));
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    }

    /// Schedules a KeyUpdate, which is sent with what follows.
    pub(crate) fn update_keys(&mut self, request: bool) {
        assert!(key_update(self.0.ssl_mut(), request));
    }

    /// Reads until the peer has closed.
    pub(crate) fn is_closed_by_peer(&mut self) -> bool {
        self.patiently(|stream| match stream.ssl_read(&mut [0; 100]) {
            Err(error) if error.code() == ErrorCode::ZERO_RETURN => Ok(true),
            Err(error) => Err(error),
            Ok(_) => Ok(false),
        })
    }

    pub(crate) fn close(&mut self) {
        self.0.shutdown().unwrap();
    }
}

fn waits(error: &Error) -> bool {
    let would_block = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
    error.would_block() || error.io_error().is_some_and(would_block)
}
