//! Handshakes of the `openssl` crate, taken over, with DTLS peers that others wrote.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic, as tests do")]

mod early;
mod gnutls;
mod handover;
mod junk;
mod last_flight;
mod listener;
mod mbedtls;
mod openssl_programs;
mod relay;
mod tasks;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use openssl::ssl::{Ssl, SslConnector, SslContext, SslContextBuilder, SslFiletype, SslMethod};
use underseal_dtls::Error;
use underseal_dtls::blocking::DtlsSocket;
use underseal_testkit::{Certificates, KeyType, PATIENCE, SERVER_NAME};

/// Cipher suites with each AEAD.
const SUITES: [&str; 3] = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
];

fn certificates() -> Certificates {
    Certificates::new(KeyType::Ecdsa)
}

/// A client's side, which verifies the server.
fn client(certificates: &Certificates, suite: &str) -> Ssl {
    let mut builder = SslConnector::builder(SslMethod::dtls_client()).unwrap();
    builder.set_ca_file(certificates.ca_file()).unwrap();
    builder.set_cipher_list(suite).unwrap();
    let configuration = builder.build().configure().unwrap();
    configuration.into_ssl(SERVER_NAME).unwrap()
}

fn server_context(certificates: &Certificates) -> SslContextBuilder {
    let mut builder = SslContext::builder(SslMethod::dtls_server()).unwrap();
    let certificate = certificates.server_cert_file();
    builder.set_certificate_chain_file(certificate).unwrap();
    let key = certificates.server_key_file();
    builder.set_private_key_file(key, SslFiletype::PEM).unwrap();
    builder
}

fn server(certificates: &Certificates) -> Ssl {
    Ssl::new(&server_context(certificates).build()).unwrap()
}

/// A socket that hears only `address`.
fn socket_to(address: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Waits for a client, and connects the socket to it: its first datagram stays to be read.
fn await_client(socket: UdpSocket) -> UdpSocket {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let (_, client) = socket.peek_from(&mut [0; 1]).unwrap();
    socket.connect(client).unwrap();
    socket
}

/// Two sockets that only hear each other.
fn sockets() -> (UdpSocket, UdpSocket) {
    let [near, far] = [(); 2].map(|()| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    near.connect(far.local_addr().unwrap()).unwrap();
    far.connect(near.local_addr().unwrap()).unwrap();
    for socket in [&near, &far] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    (near, far)
}

/// Tries until a program that was started has opened its port.
fn patiently<T>(attempt: impl Fn() -> Result<T, Error>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Ok(done) => return done,
            Err(error) if Instant::now() > deadline => panic!("{error}"),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// A client and a server of ours, after their handshake.
fn pair(suite: &str) -> (DtlsSocket, DtlsSocket) {
    let (near, far) = sockets();
    let certificates = certificates();
    let ssl = server(&certificates);
    let accepted = thread::spawn(move || DtlsSocket::accept(ssl, far, PATIENCE));
    let client = DtlsSocket::connect(client(&certificates, suite), near, PATIENCE).unwrap();
    (client, accepted.join().unwrap().unwrap())
}

fn recv(socket: &DtlsSocket) -> Result<String, Error> {
    let mut buffer = [0; 1 << 14];
    let len = socket.recv(&mut buffer)?;
    Ok(String::from_utf8(buffer[..len].to_vec()).unwrap())
}
