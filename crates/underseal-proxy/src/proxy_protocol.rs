//! The header of the PROXY protocol, received before a connection's first byte.

use std::fmt;
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use underseal_http::proxy_protocol::{Header, Malformed, Parsed, parse};

/// Bytes of a header with IPv6 addresses and nothing behind them.
const USUAL: usize = 52;

/// Why no header was received.
#[derive(Debug)]
pub(crate) enum ReceiveError {
    /// The stream failed, or ended before the header did.
    Io(io::Error),
    Malformed(Malformed),
}

impl fmt::Display for ReceiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("closed within the PROXY protocol header")
            }
            Self::Io(error) => error.fmt(f),
            Self::Malformed(malformed) => malformed.fmt(f),
        }
    }
}

/// Reads a header from the beginning of `stream`, and not a byte of what follows it. It has no
/// deadline of its own. After a cancellation the stream is of no more use.
///
/// # Errors
/// As [`ReceiveError`] says.
pub(crate) async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Result<Header, ReceiveError> {
    let mut bytes = Vec::with_capacity(USUAL);
    loop {
        let wanted = match parse(&bytes).map_err(ReceiveError::Malformed)? {
            Parsed::Header(header) => return Ok(header),
            Parsed::Incomplete { wanted } => wanted,
        };
        let missing = (wanted - bytes.len()) as u64;
        let read = (&mut *stream).take(missing).read_buf(&mut bytes).await;
        if read.map_err(ReceiveError::Io)? == 0 {
            return Err(ReceiveError::Io(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use underseal_http::proxy_protocol::{Addresses, write};

    use super::*;

    fn addresses() -> Option<Addresses> {
        Some(Addresses {
            source: "192.0.2.1:56324".parse().expect("address"),
            destination: "198.51.100.7:443".parse().expect("address"),
        })
    }

    fn header() -> Vec<u8> {
        let mut bytes = Vec::new();
        write(addresses(), &mut bytes);
        bytes
    }

    #[tokio::test]
    async fn receiving_leaves_the_connection_its_bytes() {
        let mut bytes = Vec::new();
        write(addresses(), &mut bytes);
        bytes.extend_from_slice(b"hello");
        let mut stream = &bytes[..];
        let received = receive(&mut stream).await.expect("a header");
        assert_eq!(received.addresses, addresses());
        assert_eq!(stream, b"hello");
        let mut stream = &b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\nhello"[..];
        let received = receive(&mut stream).await.expect("a header");
        assert_eq!(received.addresses, addresses());
        assert_eq!(stream, b"hello");
    }

    #[tokio::test]
    async fn a_stream_that_ends_early_or_holds_no_header_is_an_error() {
        let bytes = header();
        let ended = receive(&mut &bytes[..27]).await.expect_err("ended");
        assert_eq!(ended.to_string(), "closed within the PROXY protocol header");
        let text = receive(&mut &b"PROXY UNKNOWNS\r\n"[..])
            .await
            .expect_err("text");
        assert!(matches!(text, ReceiveError::Malformed(Malformed::Text)));
    }
}
