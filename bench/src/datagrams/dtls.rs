//! DTLS 1.2 over loopback: datagrams of 1400 bytes, one way and back. Both ends are on one thread, which
//! sends a train and then receives it: so nothing is lost, nobody is woken, and what is counted is what both
//! ends cost.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail, ensure};
use openssl::pkey::PKey;
use openssl::ssl::{Ssl, SslContext, SslContextBuilder, SslMethod, SslStream, SslVerifyMode};
use openssl::x509::X509;
use underseal_dtls::Batch;
use underseal_dtls::blocking::DtlsSocket;

use crate::context::Context;
use crate::cpu_time::{clock_cost, pin_to, thread_cpu};
use crate::credentials::Credentials;
use crate::run::Samples;

/// Names of the measures.
pub const ONE_WAY: &str = "DTLS one way";
/// The other.
pub const ECHO: &str = "DTLS echo";

/// Names of the rows.
pub mod name {
    /// The `openssl` crate, over a socket of std.
    pub const OPENSSL: &str = "openssl crate";
    /// Ours, a call for each datagram.
    pub const SINGLE: &str = "DtlsSocket, one by one";
    /// Ours, trains.
    pub const TRAINS: &str = "DtlsSocket, trains";
    /// All of them.
    pub const ALL: [&str; 3] = [OPENSSL, SINGLE, TRAINS];
}

/// Bytes of a payload: what one datagram carries over most paths.
const PAYLOAD: usize = 1400;
/// Datagrams that are under way at once: they fit a socket's receive buffer as it is.
const TRAIN: usize = 32;
/// Most datagrams of one sample.
const MOST: usize = 200_000;
/// The suite of every row.
const SUITE: &str = "ECDHE-ECDSA-AES128-GCM-SHA256";
/// How long a handshake may take, and a datagram that was sent.
const PATIENCE: Duration = Duration::from_secs(10);

/// Measures both.
///
/// # Errors
///
/// When a handshake fails, or a datagram does not come.
pub fn measure(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    let worker = || -> anyhow::Result<()> {
        pin_to(context.cores.measured)?;
        let clock = clock_cost();
        let datagrams = (context.scale.stream_bytes as usize / PAYLOAD).clamp(TRAIN, MOST);
        for row in context.in_turn(name::ALL.to_vec(), round) {
            if !context.wants(row) {
                continue;
            }
            let mut pair = pair(row, &context.credentials).context(row)?;
            let took = one_way(pair.as_mut(), datagrams.div_ceil(TRAIN), clock).context(row)?;
            samples.add((ONE_WAY, row, "", round), &took.values());
            if row != name::TRAINS {
                let took = echo(pair.as_mut(), datagrams / 2, clock).context(row)?;
                samples.add((ECHO, row, "", round), &took.values());
            }
        }
        Ok(())
    };
    // On a thread of its own, so that the pin ends with the measure.
    std::thread::scope(|scope| scope.spawn(worker).join())
        .unwrap_or_else(|_| bail!("the measure panicked"))
}

/// What sending and receiving `datagrams` took.
struct Took {
    datagrams: usize,
    send: Duration,
    receive: Duration,
    time: Duration,
}

impl Took {
    fn values(&self) -> [(&'static str, f64); 5] {
        let (datagrams, cpu) = (self.datagrams as f64, self.send + self.receive);
        let us = |took: Duration| took.as_secs_f64() * 1e6 / datagrams;
        [
            ("packets_per_cpu_s", datagrams / cpu.as_secs_f64()),
            ("cpu_us", us(cpu)),
            ("send_cpu_us", us(self.send)),
            ("receive_cpu_us", us(self.receive)),
            ("packets_per_s", datagrams / self.time.as_secs_f64()),
        ]
    }
}

/// Two ends of an association. The server's is told by `true`.
trait Ends {
    /// Sends `payloads`, all of them.
    fn send(&mut self, server: bool, payloads: &[Vec<u8>]) -> anyhow::Result<()>;

    /// Receives as many payloads as were sent, and at least one. How many those are, and whether all of
    /// them have [`PAYLOAD`] bytes.
    fn receive(&mut self, server: bool) -> anyhow::Result<usize>;
}

fn one_way(pair: &mut dyn Ends, trains: usize, clock: Duration) -> anyhow::Result<Took> {
    let train = vec![vec![0x5a; PAYLOAD]; TRAIN];
    let (mut send, mut receive, mut began) = (Duration::ZERO, Duration::ZERO, Instant::now());
    // The first train faults pages in and fills caches; it does not count.
    for turn in 0..=trains {
        if turn == 1 {
            (send, receive, began) = (Duration::ZERO, Duration::ZERO, Instant::now());
        }
        let start = thread_cpu();
        pair.send(false, &train)?;
        let sent = thread_cpu();
        let mut received = 0;
        while received < TRAIN {
            received += pair.receive(true)?;
        }
        let done = thread_cpu();
        send += (sent - start).saturating_sub(clock);
        receive += (done - sent).saturating_sub(clock);
    }
    Ok(Took {
        datagrams: trains * TRAIN,
        send,
        receive,
        time: began.elapsed(),
    })
}

/// A datagram is both: there and back.
fn echo(pair: &mut dyn Ends, turns: usize, clock: Duration) -> anyhow::Result<Took> {
    let payload = [vec![0x5a; PAYLOAD]];
    let (mut send, mut receive) = (Duration::ZERO, Duration::ZERO);
    let began = Instant::now();
    for _ in 0..turns {
        for server in [false, true] {
            let start = thread_cpu();
            pair.send(server, &payload)?;
            let sent = thread_cpu();
            ensure!(pair.receive(!server)? == 1, "another datagram came");
            let done = thread_cpu();
            send += (sent - start).saturating_sub(clock);
            receive += (done - sent).saturating_sub(clock);
        }
    }
    Ok(Took {
        datagrams: turns,
        send,
        receive,
        time: began.elapsed(),
    })
}

fn pair(row: &str, credentials: &Credentials) -> anyhow::Result<Box<dyn Ends>> {
    let (client, server) = sockets()?;
    let (client_ssl, server_ssl) = handshakes(credentials)?;
    if row == name::OPENSSL {
        let ends = both(
            move || {
                let mut stream = SslStream::new(server_ssl, Datagrams(server))?;
                stream.accept().context("OpenSSL cannot accept")?;
                Ok(stream)
            },
            move || {
                let mut stream = SslStream::new(client_ssl, Datagrams(client))?;
                stream.connect().context("OpenSSL cannot connect")?;
                Ok(stream)
            },
        )?;
        return Ok(Box::new(OpenSsl(ends)));
    }
    let [server, client] = both(
        move || Ok(DtlsSocket::accept(server_ssl, server, PATIENCE)?),
        move || Ok(DtlsSocket::connect(client_ssl, client, PATIENCE)?),
    )?;
    if row == name::TRAINS {
        server.set_gro(true)?;
        let batch = Batch::new();
        return Ok(Box::new(Trains {
            ends: [server, client],
            batch,
        }));
    }
    Ok(Box::new(Singles([server, client])))
}

/// Both sides of a handshake, the server's first.
fn both<T: Send>(
    accept: impl FnOnce() -> anyhow::Result<T> + Send,
    connect: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<[T; 2]> {
    std::thread::scope(|scope| {
        let accepted = scope.spawn(accept);
        let connected = connect();
        let accepted = accepted.join();
        let accepted = accepted.unwrap_or_else(|_| Err(anyhow!("a thread panicked")));
        Ok([accepted?, connected?])
    })
}

/// Two sockets that only hear each other.
fn sockets() -> anyhow::Result<(UdpSocket, UdpSocket)> {
    let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
    let (near, far) = (bind()?, bind()?);
    near.connect(far.local_addr()?)?;
    far.connect(near.local_addr()?)?;
    for socket in [&near, &far] {
        socket.set_read_timeout(Some(PATIENCE))?;
    }
    Ok((near, far))
}

/// The client's, and the server's.
fn handshakes(credentials: &Credentials) -> anyhow::Result<(Ssl, Ssl)> {
    let mut server = context(SslMethod::dtls_server())?;
    let certificate = X509::from_pem(credentials.certificate_pem.as_bytes())?;
    server.set_certificate(&certificate)?;
    let key = PKey::private_key_from_pem(credentials.key_pem.as_bytes())?;
    server.set_private_key(&key)?;
    let mut client = context(SslMethod::dtls_client())?;
    client.set_verify(SslVerifyMode::PEER);
    client.cert_store_mut().add_cert(certificate)?;
    let ssl = |context: SslContextBuilder| -> anyhow::Result<Ssl> {
        let mut ssl = Ssl::new(&context.build())?;
        ssl.set_mtu(1500)?;
        Ok(ssl)
    };
    Ok((ssl(client)?, ssl(server)?))
}

fn context(method: SslMethod) -> anyhow::Result<SslContextBuilder> {
    let mut context = SslContext::builder(method)?;
    context.set_cipher_list(SUITE)?;
    Ok(context)
}

/// A connected socket as OpenSSL uses one: each call is a datagram.
#[derive(Debug)]
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

/// The end of two that is the server's, or the client's.
fn of<T>(ends: &mut [T; 2], server: bool) -> &mut T {
    &mut ends[usize::from(!server)]
}

/// How many datagrams of `len` bytes one is: none of another length is any.
fn counted(len: usize) -> anyhow::Result<usize> {
    ensure!(len == PAYLOAD, "{len} bytes came");
    Ok(1)
}

struct OpenSsl([SslStream<Datagrams>; 2]);

impl Ends for OpenSsl {
    fn send(&mut self, server: bool, payloads: &[Vec<u8>]) -> anyhow::Result<()> {
        for payload in payloads {
            counted(of(&mut self.0, server).ssl_write(payload)?)?;
        }
        Ok(())
    }

    fn receive(&mut self, server: bool) -> anyhow::Result<usize> {
        let mut buffer = [0; 2048];
        counted(of(&mut self.0, server).ssl_read(&mut buffer)?)
    }
}

struct Singles([DtlsSocket; 2]);

impl Ends for Singles {
    fn send(&mut self, server: bool, payloads: &[Vec<u8>]) -> anyhow::Result<()> {
        for payload in payloads {
            counted(of(&mut self.0, server).send(payload)?)?;
        }
        Ok(())
    }

    fn receive(&mut self, server: bool) -> anyhow::Result<usize> {
        let mut buffer = [0; 2048];
        counted(of(&mut self.0, server).recv(&mut buffer)?)
    }
}

struct Trains {
    ends: [DtlsSocket; 2],
    batch: Batch,
}

impl Ends for Trains {
    fn send(&mut self, server: bool, payloads: &[Vec<u8>]) -> anyhow::Result<()> {
        let sent = of(&mut self.ends, server).send_batch(payloads)?;
        ensure!(sent == payloads.len(), "{sent} were sent");
        Ok(())
    }

    fn receive(&mut self, server: bool) -> anyhow::Result<usize> {
        let count = of(&mut self.ends, server).recv_batch(&mut self.batch)?;
        for payload in self.batch.iter() {
            counted(payload.len())?;
        }
        Ok(count)
    }
}
