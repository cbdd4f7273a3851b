//! What OpenSSL has and the `openssl` crate does not show: how long a handshake's messages may be.

use std::ffi::{c_int, c_long};
use std::ptr;

use foreign_types_03::ForeignTypeRef;
use openssl::ssl::SslRef;

/// `SSL_CTRL_SET_MAX_CERT_LIST`, `include/openssl/ssl.h`.
const SET_MAX_CERT_LIST: c_int = 51;

/// Takes no list of certificates that is longer than `bytes`: 100 KiB otherwise. OpenSSL sets aside what a DTLS peer says
/// that a message is long, as soon as it has a byte of it, if that is no more than this or than a record.
#[doc(alias = "SSL_set_max_cert_list")]
pub fn set_max_cert_list(ssl: &mut SslRef, bytes: u32) {
    // SAFETY: the pointer is that of an SSL, borrowed for the length of the call, which writes a number of its and takes
    // no pointer with this command.
    unsafe {
        openssl_sys::SSL_ctrl(
            ssl.as_ptr(),
            SET_MAX_CERT_LIST,
            c_long::from(bytes),
            ptr::null_mut(),
        )
    };
}
