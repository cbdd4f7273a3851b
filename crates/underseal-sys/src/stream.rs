//! The TCP socket inside of a generic stream.
//!
//! A function over `S: Read + Write` cannot ask whether `S` is a TCP socket: that would need
//! specialisation. What specialisation would do is done here by comparing types.

use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

/// The socket of a `std::net::TcpStream`, or of a reference to one. `None` for other types: a
/// wrapper may do to the bytes what it likes, and must not be gone past.
pub fn std_tcp_socket<S>(stream: &S) -> Option<BorrowedFd<'_>> {
    if let Some(stream) = cast::<S, TcpStream>(stream) {
        return Some(stream.as_fd());
    }
    if typeid::of::<S>() == typeid::of::<&TcpStream>() {
        // SAFETY: `S` is `&TcpStream` of some lifetime. The lifetime that is made up here ends
        // with this expression: what is returned borrows from `stream`.
        let inner: &&TcpStream = unsafe { &*std::ptr::from_ref(stream).cast() };
        return Some(inner.as_fd());
    }
    None
}

/// The `std::net::TcpStream` that `stream` is. `None` for other types, references included.
pub fn std_tcp_stream<S>(stream: &S) -> Option<&TcpStream> {
    cast(stream)
}

/// The `tokio::net::TcpStream` that `stream` is. `None` for other types, wrappers included.
#[cfg(feature = "tokio")]
pub fn tokio_tcp_stream<S>(stream: &S) -> Option<&tokio::net::TcpStream> {
    cast(stream)
}

/// `stream`, if `S` is `T`. `T` must be a type without lifetimes in it, as those of the callers are:
/// types that differ in lifetimes alone compare as equal.
fn cast<S, T: 'static>(stream: &S) -> Option<&T> {
    if typeid::of::<S>() == typeid::of::<T>() {
        // SAFETY: `S` and `T` are the same type up to lifetimes, and `T` has none.
        return Some(unsafe { &*std::ptr::from_ref(stream).cast() });
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn sockets_are_found_and_wrappers_are_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let fd = socket.as_raw_fd();
        assert_eq!(std_tcp_socket(&socket).map(|s| s.as_raw_fd()), Some(fd));
        assert_eq!(std_tcp_socket(&&socket).map(|s| s.as_raw_fd()), Some(fd));
        assert!(std_tcp_socket(&Cursor::new(Vec::<u8>::new())).is_none());
        assert!(std_tcp_socket(&listener).is_none());
        assert!(std_tcp_stream(&socket).is_some());
        assert!(std_tcp_stream(&&socket).is_none());
        assert!(std_tcp_socket(&Box::new(socket)).is_none());
    }

    #[cfg(feature = "tokio")]
    #[test]
    fn tokio_sockets_are_found() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap();
        let _entered = runtime.enter();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        socket.set_nonblocking(true).unwrap();
        let socket = tokio::net::TcpStream::from_std(socket).unwrap();
        assert!(tokio_tcp_stream(&socket).is_some());
        assert!(tokio_tcp_stream(&Some(socket)).is_none());
    }
}
