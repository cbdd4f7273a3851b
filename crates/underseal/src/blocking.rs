//! TLS over blocking streams, `std::io::Read` and `Write`.
//!
//! The streams also work over non-blocking ones: `WouldBlock` then means that nothing was read or
//! taken, and the call is to be repeated when the stream below is ready.

use std::borrow::BorrowMut;
use std::fs::File;
use std::io::{self, BufRead, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::net::sockopt::Timeout;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use underseal_record::ContentType;
use underseal_sys::stream::{std_tcp_socket, std_tcp_stream};

use crate::engine::{KeyUpdateRequest, Spliced};
use crate::established::{Established, Way, sealed};
use crate::file;
use crate::handover::hand_over;
use crate::handshake::{
    ClientHandshake, Handshake, ServerHandshake, prepare_client, prepare_server, tells_peer,
};
use crate::lingering::{Linger, linger_blocking};
use crate::offload::Offloads;
use crate::transport::Std;
use crate::{ClientConnection, Error, ServerConnection};

/// An established TLS connection over a blocking stream.
///
/// The rules are those of the tokio streams: what a write took is sealed and sent before it
/// returns; [`shutdown`](Self::shutdown) sends close_notify; dropping a stream sends nothing; zero
/// bytes read mean close_notify, and a TCP stream that ends without one is an error of kind
/// `UnexpectedEof`.
///
/// # Time limits
///
/// They are those of the socket ([`TcpStream::set_read_timeout`], [`TcpStream::set_write_timeout`]):
/// a call that waits for longer fails with `WouldBlock` if nothing was taken, and can be repeated.
///
/// - Where this process seals or opens, each read and write of the stream below has the whole time:
///   a peer that reads or sends a little now and then has a call last for longer.
/// - Where the kernel does, one time holds for all that a call waits for. A splice spends it on
///   its pipe, too, whoever seals or opens.
/// - A `send_file` goes on for as long as something is taken within the time. In the kernel, which
///   waits for 64 KiB of a file at a time, and for each record of that in TCP, several such times may
///   pass before it says that nothing was: with all of TCP's memory used up (`net.ipv4.tcp_mem`), or
///   a peer that reads next to nothing.
pub type TlsStream<S, Session> = Established<S, Session, Blocking>;

/// A connection whose calls wait.
#[derive(Debug, Default)]
pub struct Blocking(());

impl sealed::Sealed for Blocking {}

impl Way for Blocking {
    fn socket_of<IO>(io: &IO) -> Option<BorrowedFd<'_>> {
        std_tcp_socket(io)
    }
}

/// Accepts TLS connections over blocking streams.
#[derive(Clone)]
pub struct TlsAcceptor {
    prepared: Arc<ServerConfig>,
    offloads: Offloads,
}

impl From<Arc<ServerConfig>> for TlsAcceptor {
    fn from(config: Arc<ServerConfig>) -> Self {
        Self {
            prepared: prepare_server(&config),
            offloads: Offloads::default(),
        }
    }
}

impl TlsAcceptor {
    /// Chooses where this acceptor's connections are sealed and opened: [`crate::Offload::Auto`] for both
    /// directions by default. [`Offloads::from_environment`] lets the program's user choose.
    #[must_use]
    pub fn offload(mut self, offloads: impl Into<Offloads>) -> Self {
        self.offloads = offloads.into();
        self
    }

    /// Makes the handshake of a client that connected.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Handshake`] after the alert was sent; an error of the stream below. A non-blocking
    /// stream is of no use here: the handshake ends at the first `WouldBlock`.
    ///
    /// A `TcpStream` that is given by value is closed when the peer has closed, or after the limits of
    /// [`Linger`]: the alert would be lost if it were reset.
    pub fn accept<S: Read + Write>(&self, io: S) -> io::Result<TlsStream<S, ServerConnection>> {
        complete(
            io,
            ServerHandshake::new(Arc::clone(&self.prepared), Vec::new())
                .map_err(Error::before_handshake)?,
            self.offloads,
        )
    }
}

/// Makes TLS connections over blocking streams.
#[derive(Clone)]
pub struct TlsConnector {
    prepared: Arc<ClientConfig>,
    offloads: Offloads,
}

impl From<Arc<ClientConfig>> for TlsConnector {
    fn from(config: Arc<ClientConfig>) -> Self {
        Self {
            prepared: prepare_client(&config),
            offloads: Offloads::default(),
        }
    }
}

impl TlsConnector {
    /// Chooses where this connector's connections are sealed and opened: [`crate::Offload::Auto`] for both
    /// directions by default. [`Offloads::from_environment`] lets the program's user choose.
    #[must_use]
    pub fn offload(mut self, offloads: impl Into<Offloads>) -> Self {
        self.offloads = offloads.into();
        self
    }

    /// Makes the handshake with the server called `domain`.
    ///
    /// # Errors
    ///
    /// As [`TlsAcceptor::accept`].
    pub fn connect<S: Read + Write>(
        &self,
        domain: ServerName<'static>,
        io: S,
    ) -> io::Result<TlsStream<S, ClientConnection>> {
        self.connect_early(domain, io, Vec::new())
    }

    /// As `connect`, with 0-RTT data: what it means, and its danger, are those of the tokio
    /// connector's `connect_early`.
    ///
    /// # Errors
    ///
    /// As [`TlsAcceptor::accept`].
    pub fn connect_early<S: Read + Write>(
        &self,
        domain: ServerName<'static>,
        io: S,
        data: Vec<u8>,
    ) -> io::Result<TlsStream<S, ClientConnection>> {
        complete(
            io,
            ClientHandshake::new(Arc::clone(&self.prepared), domain, None, data)
                .map_err(Error::before_handshake)?,
            self.offloads,
        )
    }
}

fn complete<S: Read + Write, H: Handshake>(
    mut io: S,
    mut handshake: H,
    offloads: Offloads,
) -> io::Result<TlsStream<S, H::Session>> {
    if let Err(error) = handshake.drive(&mut Std::new(&mut io)) {
        if let Some(tcp) = std_tcp_stream(&io).filter(|_| tells_peer(&error)) {
            // One that fails has nothing to read.
            let _ = tcp.shutdown(Shutdown::Write);
            linger_blocking(tcp.as_fd(), None, Linger::default());
        }
        return Err(error);
    }
    let mut established = hand_over(Box::new(handshake))?;
    established
        .connection
        .offload(std_tcp_socket(&io), offloads)?;
    let mut stream = TlsStream::new(io, established.session, established.connection);
    stream.write_all(&established.unsent)?;
    stream.flush()?;
    Ok(stream)
}

/// What was taken, unless sending failed. A stream that is full fails only who has nothing taken:
/// whoever repeated the call for it would send the same again.
fn unless_taken<N: Default + PartialEq>(sent: io::Result<()>, taken: N) -> io::Result<N> {
    match sent {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock || taken == N::default() => {
            Err(error)
        }
        _ => Ok(taken),
    }
}

impl<S: Read + Write, Session> TlsStream<S, Session> {
    /// Sends close_notify; reading goes on. The stream below stays open: shut it down for writing
    /// if the peer waits for its end.
    ///
    /// # Errors
    ///
    /// Of the stream below.
    pub fn shutdown(&mut self) -> io::Result<()> {
        self.connection.close(&mut Std::new(&mut self.io))
    }

    /// Sends the bytes of `range` of `file`, and returns how many were taken: fewer than asked if
    /// the file is shorter. The file is read by position into a buffer of the
    /// thread, and sealed from there.
    ///
    /// A range that is lent (`&mut range`) starts behind the bytes that were taken, whatever came
    /// of the call: call again with it, and nothing is sent twice.
    ///
    /// Where the kernel seals it is given 4 MiB at a time: as much it may take of a file whose peer has
    /// left, before that is an error. What a [time limit](TlsStream#time-limits) then means is the
    /// kernel's.
    ///
    /// # Errors
    ///
    /// Of the file or of the stream below. `WouldBlock` if the stream below does not wait and
    /// nothing was taken; if it stopped taking in the middle, what was taken is returned, and
    /// [`flush`](Write::flush) sends what of it is pending.
    #[doc(alias = "sendfile")]
    pub fn send_file(
        &mut self,
        file: &File,
        mut range: impl BorrowMut<Range<u64>>,
    ) -> io::Result<u64> {
        let range = range.borrow_mut();
        let start = range.start;
        let sent = self.send_range(file, range);
        unless_taken(sent, range.start - start)
    }

    fn send_range(&mut self, file: &File, range: &mut Range<u64>) -> io::Result<()> {
        while range.start < range.end {
            let transport = &mut Std::new(&mut self.io);
            let rest = range.clone();
            match file::send_batch_blocking(&mut self.connection, transport, file, rest)? {
                file::Batch::Sent(n) => range.start += n,
                _ => break,
            }
        }
        self.flush()
    }

    /// As `write`, but the last record stays open, as the tokio streams' `write_more` has it.
    ///
    /// # Errors
    ///
    /// As writing.
    #[doc(alias = "MSG_MORE")]
    pub fn write_more(&mut self, buf: &[u8]) -> io::Result<usize> {
        let transport = &mut Std::new(&mut self.io);
        self.connection
            .write_slices(transport, &[IoSlice::new(buf)], true)
    }

    /// Copies what the next read will give, without taking it: at least a byte, zero at the end.
    ///
    /// # Errors
    ///
    /// As reading.
    #[doc(alias = "MSG_PEEK")]
    pub fn peek(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.connection.peek(&mut Std::new(&mut self.io), out)
    }

    /// Moves received data into `pipe`, as the tokio streams' `splice_to` does. A pipe that waits is
    /// waited for while it is full.
    ///
    /// # Errors
    ///
    /// Those of reading; `WouldBlock` if the pipe is full and does not wait, or the
    /// [time](TlsStream#time-limits) for it is over; `EINVAL` if it is none.
    #[doc(alias = "splice")]
    pub fn splice_to(&mut self, pipe: impl AsFd, len: usize) -> io::Result<usize> {
        let pipe = pipe.as_fd();
        let transport = &mut Std::new(&mut self.io);
        loop {
            match self.connection.splice_to(transport, pipe, len)? {
                Spliced::Moved(n) => return Ok(n),
                Spliced::PipeNotReady => transport.wait_for_pipe(pipe, Timeout::Recv)?,
            }
        }
    }

    /// Sends bytes out of `pipe`, as the tokio streams' `splice_from` does. A pipe that waits is
    /// waited for while it is empty.
    ///
    /// # Errors
    ///
    /// Those of writing; `WouldBlock` if the pipe is empty and does not wait, or the
    /// [time](TlsStream#time-limits) for it is over; `EINVAL` if it is none.
    #[doc(alias = "splice")]
    pub fn splice_from(&mut self, pipe: impl AsFd, len: usize) -> io::Result<usize> {
        let pipe = pipe.as_fd();
        let transport = &mut Std::new(&mut self.io);
        loop {
            match self.connection.splice_from(transport, pipe, len)? {
                Spliced::Moved(n) => return Ok(n),
                Spliced::PipeNotReady => transport.wait_for_pipe(pipe, Timeout::Send)?,
            }
        }
    }

    /// Starts a key update, as the tokio streams' `key_update` does.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unsupported`] under TLS 1.2; of the stream below, but not `WouldBlock`:
    /// what a stream that does not wait has not taken is sent by the next call that sends.
    pub fn key_update(&mut self, request: KeyUpdateRequest) -> io::Result<()> {
        self.connection
            .key_update(&mut Std::new(&mut self.io), request)
    }

    /// Sends `payload` in records of another type, as the tokio streams' `send_record` does, and
    /// returns how many bytes were taken. A payload that is lent (`&mut payload`) begins behind
    /// them, whatever came of the call.
    ///
    /// # Errors
    ///
    /// Of the stream below, `WouldBlock` as from [`send_file`](Self::send_file);
    /// [`crate::Error::Record`] for a type that may not be sent.
    pub fn send_record<'p>(
        &mut self,
        content_type: ContentType,
        mut payload: impl BorrowMut<&'p [u8]>,
    ) -> io::Result<usize> {
        let payload = payload.borrow_mut();
        let len = payload.len();
        let sent = self.send_payload(content_type, payload);
        unless_taken(sent, len - payload.len())
    }

    fn send_payload(&mut self, content_type: ContentType, rest: &mut &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            let transport = &mut Std::new(&mut self.io);
            let slices = &mut [IoSlice::new(rest)];
            let n = self
                .connection
                .write_typed(transport, content_type, slices)?;
            *rest = &rest[n..];
        }
        self.flush()
    }

    /// Reads (a part of) one record of any type that TLS itself does not use, as the tokio
    /// streams' `read_record` does.
    ///
    /// # Errors
    ///
    /// As reading.
    pub fn read_record(&mut self, out: &mut [u8]) -> io::Result<Option<(ContentType, usize)>> {
        self.connection
            .read_record(&mut Std::new(&mut self.io), out)
    }
}

impl<Session> TlsStream<TcpStream, Session> {
    /// Sends close_notify and the end of the stream below, then reads and throws away until the
    /// peer closes too, within `limits`: what was sent last would be lost if the connection were
    /// reset because the peer had sent more than was read.
    ///
    /// # Errors
    ///
    /// Of the stream below.
    pub fn lingering_close(mut self, limits: Linger) -> io::Result<()> {
        self.shutdown()?;
        self.io.shutdown(Shutdown::Write)?;
        linger_blocking(self.io.as_fd(), Some(&mut self.connection), limits);
        Ok(())
    }
}

impl<S: Read + Write, Session> Read for TlsStream<S, Session> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.connection.read(&mut Std::new(&mut self.io), buf)
    }
}

impl<S: Read + Write, Session> BufRead for TlsStream<S, Session> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.connection.fill_buf(&mut Std::new(&mut self.io))
    }

    fn consume(&mut self, n: usize) {
        self.connection.consume(n);
    }
}

impl<S: Read + Write, Session> Write for TlsStream<S, Session> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.connection
            .write_slices(&mut Std::new(&mut self.io), bufs, false)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.connection.flush(&mut Std::new(&mut self.io))
    }
}
