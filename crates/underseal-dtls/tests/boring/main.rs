//! Handshakes of DTLS 1.3 by the `boring` crate, taken over, with BoringSSL at the other end.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic, as tests do")]

mod differential;
mod early;
mod handover;
mod lost;
mod native;
mod peers;
mod relay;

use std::net::{Ipv4Addr, UdpSocket};
use std::thread;

use boring::ssl::{
    Ssl, SslContext, SslContextBuilder, SslFiletype, SslMethod, SslVerifyMode, SslVersion,
};
use underseal_dtls::Error;
use underseal_dtls::blocking::DtlsSocket;
use underseal_dtls::boring::keep_secrets;
use underseal_testkit::{Certificates, KeyType, PATIENCE, SERVER_NAME};

fn certificates() -> Certificates {
    Certificates::new(KeyType::Ecdsa)
}

fn context(version: SslVersion) -> SslContextBuilder {
    let mut context = SslContext::builder(SslMethod::dtls()).unwrap();
    context.set_min_proto_version(Some(version)).unwrap();
    context.set_max_proto_version(Some(version)).unwrap();
    context
}

fn client_context(certificates: &Certificates, version: SslVersion) -> SslContextBuilder {
    let mut context = context(version);
    context.set_ca_file(certificates.ca_file()).unwrap();
    context.set_verify(SslVerifyMode::PEER);
    context
}

fn server_context(certificates: &Certificates, version: SslVersion) -> SslContextBuilder {
    let mut context = context(version);
    let certificate = certificates.server_cert_file();
    context.set_certificate_chain_file(certificate).unwrap();
    let key = certificates.server_key_file();
    context.set_private_key_file(key, SslFiletype::PEM).unwrap();
    context
}

/// A handshake that keeps its secrets.
fn ssl(mut context: SslContextBuilder) -> Ssl {
    keep_secrets(&mut context);
    Ssl::new(&context.build()).unwrap()
}

/// A client's side, which verifies the server.
fn client(certificates: &Certificates) -> Ssl {
    let mut ssl = ssl(client_context(certificates, SslVersion::DTLS1_3));
    ssl.set_hostname(SERVER_NAME).unwrap();
    ssl.param_mut().set_host(SERVER_NAME).unwrap();
    ssl
}

fn server(certificates: &Certificates) -> Ssl {
    ssl(server_context(certificates, SslVersion::DTLS1_3))
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

/// A client and a server of ours, after their handshake.
fn pair(client: Ssl, server: Ssl) -> (DtlsSocket, DtlsSocket) {
    let (near, far) = sockets();
    let accepted = thread::spawn(move || DtlsSocket::accept_boring(server, far, PATIENCE));
    let client = DtlsSocket::connect_boring(client, near, PATIENCE).unwrap();
    (client, accepted.join().unwrap().unwrap())
}

fn recv(socket: &DtlsSocket) -> Result<String, Error> {
    let mut buffer = [0; 1 << 14];
    let len = socket.recv(&mut buffer)?;
    Ok(String::from_utf8(buffer[..len].to_vec()).unwrap())
}
