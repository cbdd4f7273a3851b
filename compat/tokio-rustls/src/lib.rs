#![doc = include_str!("../README.md")]

pub mod client {
    //! As `tokio_rustls::client`.
    pub use underseal::client::{
        Connect, FallibleConnect, TlsConnector, TlsConnectorWithAlpn, TlsStream,
    };
}

pub mod server {
    //! As `tokio_rustls::server`.
    pub use underseal::server::{
        Accept, FallibleAccept, LazyConfigAcceptor, StartHandshake, TlsAcceptor, TlsStream,
    };
}

pub use client::{Connect, FallibleConnect, TlsConnector, TlsConnectorWithAlpn};
pub use server::{Accept, FallibleAccept, LazyConfigAcceptor, StartHandshake, TlsAcceptor};
pub use underseal::{TlsStream, rustls};
