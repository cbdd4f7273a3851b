//! Bytes that are no handshake, sent to a server: the answer is that of tokio-rustls, byte for
//! byte, and the error names the reason.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use underseal::rustls::ServerConfig;
use underseal::rustls::server::Acceptor;
use underseal::{Error, LazyConfigAcceptor, TlsAcceptor, blocking};
use underseal_testkit::{Certificates, KeyType, Suite};

use crate::bystander::Bystander;
use crate::subject::{on_tokio, sockets, to_tokio};

/// What a server is under which API.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Server {
    TokioRustls,
    Blocking,
    Tokio,
    Lazy,
}

/// Why the server gave up, and the bytes that it said on its way out.
struct Answer {
    kind: ErrorKind,
    text: String,
    typed: Option<Error>,
    bytes: Vec<u8>,
}

fn greet(server: Server, suite: Suite, greeting: &[u8]) -> Answer {
    let (ours, mut theirs) = sockets();
    let subject = thread::spawn(move || {
        let certificates = Certificates::new(KeyType::Ecdsa);
        let mut bystander = Bystander::new(&certificates, suite);
        let config = Arc::new(certificates.server_config(suite));
        let error = server.refuses(config, ours);
        bystander.is_untouched();
        error.expect("no handshake can come of this")
    });
    // The server may have answered and gone before it has all of it.
    let _ = theirs.write_all(greeting);
    let _ = theirs.shutdown(Shutdown::Write);
    let mut bytes = Vec::new();
    let _ = theirs.read_to_end(&mut bytes);
    let error = subject.join().expect("the server panicked");
    Answer {
        kind: error.kind(),
        text: error.to_string(),
        typed: Error::of(&error),
        bytes,
    }
}

impl Server {
    /// Makes the handshake, and says why it failed if it did.
    pub(crate) fn refuses(self, config: Arc<ServerConfig>, socket: TcpStream) -> Option<io::Error> {
        self.greets(config, socket).err()
    }

    /// Makes the handshake and, if that succeeds, reads what the client says and says it again.
    pub(crate) fn greets(self, config: Arc<ServerConfig>, socket: TcpStream) -> io::Result<()> {
        match self {
            Self::Blocking => {
                let mut stream = blocking::TlsAcceptor::from(config).accept(socket)?;
                let mut said = Vec::new();
                let read = stream.read_to_end(&mut said);
                stream.write_all(&said)?;
                stream.shutdown()?;
                read.map(drop)
            }
            Self::Tokio => on_tokio(async {
                echo(TlsAcceptor::from(config).accept(to_tokio(socket)).await?).await
            }),
            Self::TokioRustls => on_tokio(async {
                let acceptor = tokio_rustls::TlsAcceptor::from(config);
                echo(acceptor.accept(to_tokio(socket)).await?).await
            }),
            Self::Lazy => on_tokio(accept_lazily(socket, config)),
        }
    }
}

async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut said = Vec::new();
    let read = stream.read_to_end(&mut said).await;
    stream.write_all(&said).await?;
    stream.shutdown().await?;
    read.map(drop)
}

async fn accept_lazily(socket: TcpStream, config: Arc<ServerConfig>) -> io::Result<()> {
    let mut acceptor = LazyConfigAcceptor::new(Acceptor::default(), to_tokio(socket));
    let start = match (&mut acceptor).await {
        Ok(start) => start,
        Err(error) => {
            // It gives the socket back, so that closing it is its owner's business.
            let mut tcp = acceptor.take_io().unwrap();
            tcp.shutdown().await?;
            underseal::linger(&tcp, 1 << 20).await;
            return Err(error);
        }
    };
    echo(start.into_stream(config).await?).await
}

/// An unprotected fatal alert.
fn alert(description: u8) -> Vec<u8> {
    vec![21, 3, 3, 0, 2, 2, description]
}

fn is_refused(greeting: &[u8], expected: &[u8]) {
    for suite in Suite::EACH_VERSION {
        let theirs = greet(Server::TokioRustls, suite, greeting);
        for server in [Server::Blocking, Server::Tokio, Server::Lazy] {
            let ours = greet(server, suite, greeting);
            let what = format!("{server:?} {suite:?}: {}", ours.text);
            assert_eq!(ours.bytes, expected, "{what}");
            assert_eq!(ours.bytes, theirs.bytes, "{what}, as {}", theirs.text);
            assert_eq!(ours.kind, ErrorKind::InvalidData, "{what}");
            assert!(matches!(ours.typed, Some(Error::Handshake(_))), "{what}");
            assert!(
                ours.text.contains(&theirs.text),
                "{what}, not {}",
                theirs.text
            );
        }
    }
}

#[test]
fn plain_http_is_refused() {
    is_refused(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", &alert(50));
}

#[test]
fn garbage_is_refused() {
    is_refused(&[0xff; 300], &alert(50));
    is_refused(&[0; 64], &alert(50));
}

#[test]
fn an_ssl_2_hello_is_refused() {
    is_refused(
        &[
            0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10, 1, 0, 0x80, 3, 0, 0x80,
        ],
        &alert(50),
    );
}

#[test]
fn a_record_of_nothing_is_refused() {
    is_refused(&[22, 3, 1, 0, 0], &alert(50));
}

#[test]
fn an_oversized_record_is_refused() {
    is_refused(&[22, 3, 1, 0xff, 0xff, 1, 2, 3], &alert(50));
}

#[test]
fn a_record_of_another_protocol_is_refused() {
    is_refused(&[22, 9, 9, 0, 4, 1, 0, 0, 0], &alert(50));
}

#[test]
fn a_hello_that_is_no_hello_is_refused() {
    is_refused(&[22, 3, 1, 0, 5, 1, 0, 0, 1, 0], &alert(50));
}

#[test]
fn another_message_first_is_refused() {
    // Finished.
    is_refused(&[22, 3, 1, 0, 5, 20, 0, 0, 1, 0], &alert(10));
    // Application data.
    is_refused(&[23, 3, 3, 0, 2, 1, 2], &alert(10));
}

/// Bytes that could become a ClientHello and end before they do.
#[test]
fn a_greeting_that_ends_early_is_an_unexpected_end() {
    for greeting in [
        &[][..],
        &[22],
        &[22, 3, 1, 2, 0],
        &[22, 3, 1, 2, 0, 1, 0, 1, 0xfc],
    ] {
        for server in [Server::Blocking, Server::Tokio, Server::Lazy] {
            let answer = greet(server, Suite::Tls13Aes128, greeting);
            assert_eq!(
                answer.kind,
                ErrorKind::UnexpectedEof,
                "{server:?} {greeting:?}"
            );
            assert!(matches!(answer.typed, Some(Error::ClosedInHandshake)));
            assert_eq!(answer.bytes, b"", "nothing is said to nobody");
        }
    }
}

/// Fragments without end must not fill the memory: 64 KiB is the longest message.
#[test]
fn a_hello_without_end_is_refused() {
    let record = [&[22, 3, 1, 0x40, 0][..], &[0; 0x4000]].concat();
    let mut first = record.clone();
    first[5..9].copy_from_slice(&[1, 0xff, 0xff, 0xff]);
    let greeting = [first, record.repeat(20)].concat();
    for server in [Server::Blocking, Server::Tokio, Server::Lazy] {
        let answer = greet(server, Suite::Tls13Aes128, &greeting);
        assert_eq!(
            answer.kind,
            ErrorKind::InvalidData,
            "{server:?}: {}",
            answer.text
        );
    }
}
