//! rustls over a blocking socket, used as its manual says for bulk data.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

use super::blocking::BlockingRow;
use super::{Tuning, name};
use crate::credentials::{Credentials, Provider, server_name};
use crate::pairs::RECORD;

/// rustls with one of its providers.
#[derive(Debug)]
pub struct Rustls {
    name: &'static str,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Rustls {
    /// rustls over `provider`.
    ///
    /// # Errors
    ///
    /// When rustls refuses the certificate.
    pub fn new(credentials: &Credentials, provider: Provider) -> anyhow::Result<Self> {
        Ok(Self {
            name: match provider {
                Provider::Ring => name::RUSTLS_RING,
                Provider::AwsLcRs => name::RUSTLS_AWS,
            },
            server: credentials.server(provider)?,
            client: credentials.client(provider)?,
        })
    }
}

impl BlockingRow for Rustls {
    type Server = RustlsStream;
    type Client = RustlsStream;

    fn name(&self) -> &'static str {
        self.name
    }

    fn accept(&self, tcp: TcpStream, tuning: Tuning) -> anyhow::Result<RustlsStream> {
        let connection = ServerConnection::new(Arc::clone(&self.server))?;
        RustlsStream::establish(connection.into(), tcp, tuning)
    }

    fn connect(&self, tcp: TcpStream, tuning: Tuning) -> anyhow::Result<RustlsStream> {
        let connection = ClientConnection::new(Arc::clone(&self.client), server_name())?;
        RustlsStream::establish(connection.into(), tcp, tuning)
    }
}

/// A rustls connection and its socket, driven as `rustls::Stream` drives it.
///
/// Two things differ, both in favour of rustls: the send buffer has no limit, so that one write of
/// the application is one `writev`, and ciphertext is read from the socket through a buffer as
/// large as the application's own, where `rustls::Stream` takes at most 18 KiB per call.
#[derive(Debug)]
pub struct RustlsStream {
    connection: Connection,
    tcp: BufReader<TcpStream>,
}

impl RustlsStream {
    fn establish(connection: Connection, tcp: TcpStream, tuning: Tuning) -> anyhow::Result<Self> {
        // A buffer of one record would only add a copy: rustls reads as much by itself.
        let capacity = if tuning.read_buffer > RECORD {
            tuning.read_buffer
        } else {
            0
        };
        let mut stream = Self {
            connection,
            tcp: BufReader::with_capacity(capacity, tcp),
        };
        stream.connection.set_buffer_limit(None);
        while stream.connection.is_handshaking() {
            stream.flush()?;
            if stream.connection.is_handshaking() {
                stream.fill()?;
            }
        }
        stream.flush()?;
        Ok(stream)
    }

    /// Takes ciphertext from the socket; false at its end.
    fn fill(&mut self) -> io::Result<bool> {
        let count = self.connection.read_tls(&mut self.tcp)?;
        self.connection
            .process_new_packets()
            .map_err(io::Error::other)?;
        Ok(count > 0)
    }
}

impl Read for RustlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.connection.wants_read() {
            if !self.fill()? {
                break;
            }
        }
        self.connection.reader().read(buffer)
    }
}

impl Write for RustlsStream {
    fn write(&mut self, plaintext: &[u8]) -> io::Result<usize> {
        let count = self.connection.writer().write(plaintext)?;
        self.flush()?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(self.tcp.get_mut())?;
        }
        Ok(())
    }
}
