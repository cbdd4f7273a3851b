//! underseal against the other TLS implementations of a Debian machine, in both roles, through both
//! of its APIs, for each version and suite.
//!
//! A case is a function of an [`api::Api`] and a `Suite`; the `cases!` macro makes the tests of its
//! table. A program that is missing fails its tests.

#![cfg(feature = "tokio")]

mod api;
mod case;
mod curl;
mod exporters;
mod gnutls_client;
mod gnutls_server;
mod openssl_client;
mod openssl_server;
mod python_client;
mod python_server;
