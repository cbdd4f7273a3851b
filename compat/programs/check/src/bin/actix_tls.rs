//! Accepts TLS connections.

use std::io;

use actix_rt::net::TcpStream;
use actix_service::{Service, ServiceFactory};
use actix_tls::accept::rustls_0_23::{Acceptor, TlsStream};
use rustls::ServerConfig;

pub async fn serve(config: ServerConfig, client: TcpStream) -> io::Result<()> {
    let acceptor = Acceptor::new(config);
    let service = ServiceFactory::<TcpStream>::new_service(&acceptor, ()).await;
    let service = service.map_err(|()| io::ErrorKind::Other)?;
    let stream: TlsStream<TcpStream> = service.call(client).await.map_err(io::Error::other)?;
    let (_, session) = stream.get_ref();
    println!("{:?}", session.alpn_protocol());
    Ok(())
}

fn main() {}
