//! TLS over blocking streams, `std::io::Read` and `Write`.
//!
//! The streams also work over non-blocking ones: `WouldBlock` then means that nothing was read or
//! taken, and the call is to be repeated when the stream below is ready.

use std::fs::File;
use std::io::{self, BufRead, IoSlice, Read, Write};
use std::ops::Range;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use underseal_record::{Backend, ContentType, Limits, Padding};

use crate::engine::{Connection, KeyUpdateRequest};
use crate::file;
use crate::handshake::{
    ClientHandshake, Handshake, ServerHandshake, prepare_client, prepare_server,
};
use crate::parts::Parts;
use crate::transport::Std;
use crate::{ClientConnection, Error, ServerConnection};

/// An established TLS connection over a blocking stream.
///
/// The rules are those of the tokio streams: what a write took is sealed and sent before it
/// returns; [`shutdown`](Self::shutdown) sends close_notify; dropping a stream sends nothing; zero
/// bytes read mean close_notify, and a TCP stream that ends without one is an error of kind
/// `UnexpectedEof`.
pub struct TlsStream<S, Session> {
    io: S,
    session: Session,
    connection: Box<Connection>,
}

/// Accepts TLS connections over blocking streams.
#[derive(Clone)]
pub struct TlsAcceptor {
    prepared: Arc<ServerConfig>,
}

impl From<Arc<ServerConfig>> for TlsAcceptor {
    fn from(config: Arc<ServerConfig>) -> Self {
        Self {
            prepared: prepare_server(&config),
        }
    }
}

impl TlsAcceptor {
    /// Makes the handshake of a client that connected.
    ///
    /// # Errors
    ///
    /// [`Error::Handshake`] after the alert was sent; an error of the stream below. A non-blocking
    /// stream is of no use here: the handshake ends at the first `WouldBlock`.
    pub fn accept<S: Read + Write>(&self, io: S) -> io::Result<TlsStream<S, ServerConnection>> {
        complete(
            io,
            ServerHandshake::new(Arc::clone(&self.prepared), Vec::new())?,
        )
    }
}

/// Makes TLS connections over blocking streams.
#[derive(Clone)]
pub struct TlsConnector {
    prepared: Arc<ClientConfig>,
}

impl From<Arc<ClientConfig>> for TlsConnector {
    fn from(config: Arc<ClientConfig>) -> Self {
        Self {
            prepared: prepare_client(&config),
        }
    }
}

impl TlsConnector {
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
            ClientHandshake::new(Arc::clone(&self.prepared), domain, None, data)?,
        )
    }
}

fn complete<S: Read + Write, H: Handshake>(
    mut io: S,
    mut handshake: H,
) -> io::Result<TlsStream<S, H::Session>> {
    handshake.drive(&mut Std(&mut io))?;
    let established = handshake.finish()?;
    let mut stream = TlsStream {
        io,
        session: established.session,
        connection: Box::new(established.connection),
    };
    stream.write_all(&established.unsent)?;
    Ok(stream)
}

impl<S, Session> TlsStream<S, Session> {
    /// The stream below and what the handshake agreed on.
    pub fn get_ref(&self) -> (&S, &Session) {
        (&self.io, &self.session)
    }

    /// The stream below and what the handshake agreed on. Reading from or writing to the stream
    /// below breaks the connection.
    pub fn get_mut(&mut self) -> (&mut S, &mut Session) {
        (&mut self.io, &mut self.session)
    }

    /// Ends TLS without a word to the peer, and gives back what is left.
    pub fn into_inner(self) -> (S, Session) {
        (self.io, self.session)
    }

    /// Sealed bytes that the stream below has not taken yet; `flush` sends them.
    pub fn pending_bytes(&self) -> usize {
        self.connection.tx.pending_len()
    }

    /// How records are padded from now on (TLS 1.3; none by default).
    pub fn set_padding(&mut self, padding: Padding) {
        self.connection.set_padding(padding);
    }

    /// Lowers the number of records that one key may seal, and with it when the automatic key
    /// update comes.
    pub fn lower_limits(&mut self, limits: Limits) {
        self.connection.lower_limits(limits);
    }

    /// Which AEAD library seals and opens.
    pub fn backend(&self) -> Backend {
        self.connection.backend()
    }

    /// Takes the stream apart; see [`Parts`].
    ///
    /// # Errors
    ///
    /// If the connection has failed: its keys protect nothing any more.
    pub fn into_parts(self) -> Result<Parts<S, Session>, Error> {
        Parts::take(self.io, self.session, *self.connection)
    }

    /// Builds a stream from parts.
    ///
    /// # Errors
    ///
    /// If the keys of the two directions do not fit together.
    pub fn from_parts(parts: Parts<S, Session>) -> Result<Self, Error> {
        let (io, session, connection) = parts.put_together()?;
        Ok(Self {
            io,
            session,
            connection: Box::new(connection),
        })
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
        self.connection.close(&mut Std(&mut self.io))?;
        self.io.flush()
    }

    /// Sends the bytes of `range` of `file`, and returns how many they were: fewer than asked if
    /// the file is shorter. The file is read by position into a buffer of the
    /// thread, and sealed from there.
    ///
    /// # Errors
    ///
    /// Of the file or of the stream below; what was sent before is lost count of.
    pub fn send_file(&mut self, file: &File, range: Range<u64>) -> io::Result<u64> {
        let mut at = range.start;
        while at < range.end {
            let transport = &mut Std(&mut self.io);
            match file::send_batch_blocking(&mut self.connection, transport, file, at..range.end)? {
                file::Batch::Sent(n) => at += n,
                _ => break,
            }
        }
        self.flush()?;
        Ok(at - range.start)
    }

    /// Starts a key update, as the tokio streams' `key_update` does.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] under TLS 1.2.
    pub fn key_update(&mut self, request: KeyUpdateRequest) -> io::Result<()> {
        self.connection.key_update(request)?;
        self.flush()
    }

    /// Sends `payload` in records of another type, as the tokio streams' `send_record` does.
    ///
    /// # Errors
    ///
    /// Of the stream below; [`Error::Record`] for a type that may not be sent.
    pub fn send_record(&mut self, content_type: ContentType, payload: &[u8]) -> io::Result<()> {
        let mut rest = payload;
        while !rest.is_empty() {
            let transport = &mut Std(&mut self.io);
            let slices = &mut [IoSlice::new(rest)];
            let n = self
                .connection
                .write_typed(transport, content_type, slices)?;
            rest = &rest[n..];
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
        self.connection.read_record(&mut Std(&mut self.io), out)
    }
}

impl<S: Read + Write, Session> Read for TlsStream<S, Session> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.connection.read(&mut Std(&mut self.io), buf)
    }
}

impl<S: Read + Write, Session> BufRead for TlsStream<S, Session> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.connection.fill_buf(&mut Std(&mut self.io))
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
        self.connection.write_slices(&mut Std(&mut self.io), bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.connection.flush(&mut Std(&mut self.io))?;
        self.io.flush()
    }
}

impl<S: std::fmt::Debug, Session: std::fmt::Debug> std::fmt::Debug for TlsStream<S, Session> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsStream")
            .field("io", &self.io)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
