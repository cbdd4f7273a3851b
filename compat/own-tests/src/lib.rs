//! Nothing: the tests are tokio-rustls' own.
