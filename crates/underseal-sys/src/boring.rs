//! What BoringSSL has and the `boring` crate does not show: the timers of DTLS, key updates, and ChaCha20 without Poly1305.

use std::time::Duration;

use boring::ssl::SslRef;
use foreign_types::ForeignTypeRef;

/// Has a handshake do what is due because time has passed: send an ACK, or a flight again. Whether anything
/// was.
///
/// BoringSSL does neither of itself (`include/openssl/ssl.h`, `DTLSv1_handle_timeout`). Where the flight
/// cannot be sent, the next call that drives the handshake says so.
#[doc(alias = "DTLSv1_handle_timeout")]
pub fn handle_timeout(ssl: &mut SslRef) -> bool {
    // SAFETY: the pointer is that of an SSL, borrowed for the length of the call, which keeps nothing of it.
    let handled = unsafe { boring_sys::DTLSv1_handle_timeout(ssl.as_ptr()) };
    handled > 0
}

/// After how long [`handle_timeout`] is due, if it is at all.
#[doc(alias = "DTLSv1_get_timeout")]
pub fn timeout(ssl: &SslRef) -> Option<Duration> {
    let mut left = boring_sys::timeval {
        tv_sec: 0,
        tv_usec: 0,
    };
    // SAFETY: both pointers are borrowed for the length of the call, which writes the second alone.
    let is_set = unsafe { boring_sys::DTLSv1_get_timeout(ssl.as_ptr(), &raw mut left) };
    let seconds = Duration::from_secs(u64::try_from(left.tv_sec).ok()?);
    let rest = Duration::from_micros(u64::try_from(left.tv_usec).ok()?);
    (is_set == 1).then(|| seconds + rest)
}

/// Schedules a KeyUpdate, which the next write sends; `request` asks for one of the peer's. Whether BoringSSL
/// takes it.
#[doc(alias = "SSL_key_update")]
pub fn key_update(ssl: &mut SslRef, request: bool) -> bool {
    let request = match request {
        true => boring_sys::SSL_KEY_UPDATE_REQUESTED,
        false => boring_sys::SSL_KEY_UPDATE_NOT_REQUESTED,
    };
    // SAFETY: as in `handle_timeout`.
    let taken = unsafe { boring_sys::SSL_key_update(ssl.as_ptr(), request as _) };
    taken == 1
}

/// The first bytes of a block of ChaCha20 (RFC 8439 section 2.3), as many as a mask of QUIC or DTLS 1.3 may be long.
#[doc(alias = "CRYPTO_chacha_20")]
pub fn chacha20_block(key: &[u8; 32], nonce: &[u8; 12], counter: u32) -> [u8; 16] {
    let (mut block, zeros) = ([0; 16], [0; 16]);
    let (out, len) = (block.as_mut_ptr(), block.len());
    // SAFETY: both buffers have `len` bytes, key and nonce as many as it reads; all are borrowed for the length of the
    // call, which keeps nothing of them.
    unsafe {
        boring_sys::CRYPTO_chacha_20(
            out,
            zeros.as_ptr(),
            len,
            key.as_ptr(),
            nonce.as_ptr(),
            counter,
        );
    }
    block
}
