//! The options of a kernel TLS socket (`include/uapi/linux/tls.h`, `net/tls/tls_main.c`).
//!
//! A socket gets the upper layer protocol with [`attach`], then keys, each direction on its own,
//! with [`set`]. Until a direction has keys its bytes pass unchanged. Neither can be taken away
//! again: a direction that the kernel holds stays with it until the socket is closed.

mod crypto_info;
mod options;

pub use crypto_info::{Cipher, CryptoInfo, Direction, InvalidCryptoInfo, Version};
pub use options::{
    attach, expect_no_pad, get, max_payload_len, set, set_expect_no_pad, set_max_payload_len,
    set_zerocopy_ro, version_and_cipher, zerocopy_ro,
};
