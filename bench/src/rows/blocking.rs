//! What every row with a blocking stream does with it.

use std::any::Any;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::{Hold, Link, MESSAGE, Row, Tuning};
use crate::aligned::Aligned;

/// An implementation whose streams are `std::io::{Read, Write}`.
pub trait BlockingRow: Send + Sync {
    /// Its stream as a server.
    type Server: Read + Write + 'static;
    /// Its stream as a client.
    type Client: Read + Write + 'static;

    /// What the tables call it.
    fn name(&self) -> &'static str;

    /// Whether there is a handshake before data.
    fn encrypts(&self) -> bool {
        true
    }

    /// Handshakes as the server.
    ///
    /// # Errors
    ///
    /// When the handshake fails.
    fn accept(&self, tcp: TcpStream, tuning: Tuning) -> anyhow::Result<Self::Server>;

    /// Handshakes as the client.
    ///
    /// # Errors
    ///
    /// When the handshake fails.
    fn connect(&self, tcp: TcpStream, tuning: Tuning) -> anyhow::Result<Self::Client>;
}

/// A [`Row`] of blocking streams.
#[derive(Debug)]
pub struct Blocking<R>(pub R);

impl<R: BlockingRow> Row for Blocking<R> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn encrypts(&self) -> bool {
        self.0.encrypts()
    }

    fn accept(&self, tcp: TcpStream, tuning: Tuning) -> anyhow::Result<Box<dyn Link>> {
        Ok(Box::new(BlockingLink {
            stream: self.0.accept(tcp, tuning)?,
            tuning,
        }))
    }

    fn connect(&self, tcp: TcpStream, tuning: Tuning) -> anyhow::Result<Box<dyn Link>> {
        Ok(Box::new(BlockingLink {
            stream: self.0.connect(tcp, tuning)?,
            tuning,
        }))
    }

    fn hold(&self, listener: TcpListener, count: usize, _: Hold) -> anyhow::Result<Box<dyn Any>> {
        let mut streams = Vec::with_capacity(count);
        let mut scratch = [0; MESSAGE];
        for _ in 0..count {
            let (tcp, _) = listener.accept()?;
            tcp.set_nodelay(true)?;
            let mut stream = self.0.accept(tcp, Tuning::default())?;
            reply_once(&mut stream, &mut scratch)?;
            streams.push(stream);
        }
        Ok(Box::new(streams))
    }
}

struct BlockingLink<S> {
    stream: S,
    tuning: Tuning,
}

impl<S: Read + Write> Link for BlockingLink<S> {
    fn send(&mut self, total: u64) -> io::Result<()> {
        let data = Aligned::filled(0x5a, self.tuning.write_size);
        let mut left = total;
        while left > 0 {
            let piece = &data[..piece(left, data.len())];
            self.stream.write_all(piece)?;
            left -= piece.len() as u64;
        }
        self.stream.flush()
    }

    fn receive(&mut self, total: u64) -> io::Result<()> {
        let mut buffer = Aligned::filled(0, self.tuning.read_buffer);
        let mut left = total;
        while left > 0 {
            let wanted = piece(left, buffer.len());
            match self.stream.read(&mut buffer[..wanted])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => left -= count as u64,
            }
        }
        Ok(())
    }

    fn request(&mut self, times: usize) -> io::Result<Vec<Duration>> {
        let mut latencies = Vec::with_capacity(times);
        let mut message = [0x5a; MESSAGE];
        for _ in 0..times {
            let began = Instant::now();
            self.stream.write_all(&message)?;
            self.stream.flush()?;
            self.stream.read_exact(&mut message)?;
            latencies.push(began.elapsed());
        }
        Ok(latencies)
    }

    fn reply(&mut self, times: usize) -> io::Result<()> {
        let mut message = [0; MESSAGE];
        (0..times).try_for_each(|_| reply_once(&mut self.stream, &mut message))
    }
}

fn reply_once(stream: &mut (impl Read + Write), message: &mut [u8]) -> io::Result<()> {
    stream.read_exact(message)?;
    stream.write_all(message)?;
    stream.flush()
}

/// How much of `left` to move at once, at most `most`.
pub(crate) fn piece(left: u64, most: usize) -> usize {
    usize::try_from(left).map_or(most, |left| left.min(most))
}
