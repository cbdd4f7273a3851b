//! OpenSSL through the `openssl` crate.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;

use anyhow::Context as _;
use openssl::pkey::PKey;
use openssl::ssl::{Ssl, SslContext, SslContextBuilder, SslMethod, SslMode, SslStream, SslVersion};
use openssl::x509::X509;

use super::blocking::BlockingRow;
use super::{Tuning, name};
use crate::credentials::Credentials;
use crate::pairs::RECORD;

/// The system's OpenSSL.
#[derive(Debug)]
pub struct OpenSsl {
    /// For streams that move bulk.
    bulk: SslContext,
    /// For streams that mostly wait: record buffers are given back in between.
    idle: SslContext,
}

impl OpenSsl {
    /// OpenSSL with the run's only suite.
    ///
    /// # Errors
    ///
    /// When OpenSSL refuses the certificate or the key.
    pub fn new(credentials: &Credentials) -> anyhow::Result<Self> {
        let mut idle = context(credentials)?;
        idle.set_mode(SslMode::RELEASE_BUFFERS);
        Ok(Self {
            bulk: context(credentials)?.build(),
            idle: idle.build(),
        })
    }

    fn stream(&self, tcp: TcpStream, tuning: Tuning) -> anyhow::Result<SslStream<Wire>> {
        let idle = tuning.read_buffer == 0 && tuning.write_size == 0;
        let ssl = Ssl::new(if idle { &self.idle } else { &self.bulk })?;
        Ok(SslStream::new(ssl, Wire::new(tcp, tuning))?)
    }
}

fn context(credentials: &Credentials) -> anyhow::Result<SslContextBuilder> {
    let mut context = SslContext::builder(SslMethod::tls())?;
    context.set_min_proto_version(Some(SslVersion::TLS1_3))?;
    context.set_ciphersuites(credentials.suite.name())?;
    let certificate = X509::from_pem(credentials.certificate_pem.as_bytes())?;
    let key = PKey::private_key_from_pem(credentials.key_pem.as_bytes())?;
    context.set_certificate(&certificate)?;
    context.set_private_key(&key)?;
    Ok(context)
}

impl BlockingRow for OpenSsl {
    type Server = OpenSslStream;
    type Client = OpenSslStream;

    fn name(&self) -> &'static str {
        name::OPENSSL
    }

    fn accept(&self, tcp: TcpStream, tuning: Tuning) -> anyhow::Result<OpenSslStream> {
        let mut stream = self.stream(tcp, tuning)?;
        stream.accept().context("OpenSSL cannot accept")?;
        Ok(OpenSslStream(stream))
    }

    fn connect(&self, tcp: TcpStream, tuning: Tuning) -> anyhow::Result<OpenSslStream> {
        let mut stream = self.stream(tcp, tuning)?;
        stream.connect().context("OpenSSL cannot connect")?;
        Ok(OpenSslStream(stream))
    }
}

/// An OpenSSL stream that hands each write of the application to the kernel in one call.
#[derive(Debug)]
pub struct OpenSslStream(SslStream<Wire>);

impl Read for OpenSslStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for OpenSslStream {
    fn write(&mut self, plaintext: &[u8]) -> io::Result<usize> {
        let count = self.0.write(plaintext)?;
        self.0.flush()?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The socket, behind buffers where they pay: by itself OpenSSL makes one system call per record
/// to send it, and two to receive it.
#[derive(Debug)]
struct Wire {
    tcp: BufReader<TcpStream>,
    /// Records of the write that is under way, up to the capacity.
    pending: Vec<u8>,
}

impl Wire {
    /// Room for a record's header, type byte and tag, with some to spare.
    const OVERHEAD: usize = 64;

    fn new(tcp: TcpStream, tuning: Tuning) -> Self {
        let records = tuning.write_size.min(256 * 1024).div_ceil(RECORD);
        let pending = if records > 1 {
            records * (RECORD + Self::OVERHEAD)
        } else {
            0
        };
        Self {
            tcp: BufReader::with_capacity(tuning.read_buffer, tcp),
            pending: Vec::with_capacity(pending),
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tcp.read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, ciphertext: &[u8]) -> io::Result<usize> {
        if self.pending.len() + ciphertext.len() > self.pending.capacity() {
            self.flush()?;
        }
        if ciphertext.len() > self.pending.capacity() {
            return self.tcp.get_mut().write(ciphertext);
        }
        self.pending.extend_from_slice(ciphertext);
        Ok(ciphertext.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.get_mut().write_all(&self.pending)?;
        self.pending.clear();
        Ok(())
    }
}
