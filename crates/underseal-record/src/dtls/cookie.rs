//! The cookies of a server that keeps nothing (RFC 6347 section 4.2.1): a MAC over the client's address
//! and what it offers.

use core::fmt;
use std::net::SocketAddr;

#[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
use aws_lc_rs::hmac;
#[cfg(feature = "ring")]
use ring::hmac;

use crate::dtls::{COOKIE_LEN, ClientHello};

/// Makes cookies, and knows them again: HMAC-SHA256 with a key that nobody else has.
pub struct CookieKey {
    #[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
    key: hmac::Key,
}

impl CookieKey {
    /// With this secret, which has to be random.
    ///
    /// # Panics
    ///
    /// In a build without an AEAD library.
    pub fn new(secret: &[u8; 32]) -> Self {
        keyed(secret)
    }

    /// The cookie for the client at `address` with this ClientHello, in the `period`th space of time: one
    /// that its caller counts, so that cookies grow old.
    pub fn cookie(
        &self,
        address: SocketAddr,
        period: u64,
        hello: &ClientHello<'_>,
    ) -> [u8; COOKIE_LEN] {
        let [before, offered] = hello.parameters();
        let (ip, port) = (address.ip().to_canonical(), address.port());
        let ip = match ip {
            std::net::IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            std::net::IpAddr::V6(ip) => ip,
        };
        let (period, port) = (period.to_be_bytes(), port.to_be_bytes());
        // All but the last have one length for everybody: no two inputs run together.
        self.sign([&period, &ip.octets(), &port, before, offered])
    }

    /// Whether `hello` has the cookie of `period` or of the one before.
    pub fn verifies(&self, address: SocketAddr, period: u64, hello: &ClientHello<'_>) -> bool {
        let is_of = |period: u64| same(&self.cookie(address, period, hello), hello.cookie());
        hello.cookie().len() == COOKIE_LEN
            && (is_of(period) || period.checked_sub(1).is_some_and(is_of))
    }

    #[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
    fn sign(&self, parts: [&[u8]; 5]) -> [u8; COOKIE_LEN] {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(part);
        }
        let mut cookie = [0; COOKIE_LEN];
        cookie.copy_from_slice(context.sign().as_ref());
        cookie
    }

    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    fn sign(&self, _: [&[u8]; 5]) -> [u8; COOKIE_LEN] {
        panic!("{}", crate::backend::NONE);
    }
}

#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
fn keyed(secret: &[u8; 32]) -> CookieKey {
    CookieKey {
        key: hmac::Key::new(hmac::HMAC_SHA256, secret),
    }
}

/// A build without an AEAD library makes no cookies: it would have nothing to seal with afterwards.
#[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
fn keyed(_: &[u8; 32]) -> CookieKey {
    panic!("{}", crate::backend::NONE);
}

/// Compares without telling by its time where the first difference is.
fn same(cookie: &[u8; COOKIE_LEN], other: &[u8]) -> bool {
    let pairs = cookie.iter().zip(other);
    let differences = pairs.fold(0, |all, (one, other)| all | (one ^ other));
    core::hint::black_box(differences) == 0 && other.len() == COOKIE_LEN
}

impl fmt::Debug for CookieKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
mod tests {
    use super::*;

    /// A ClientHello with this cookie, and the last byte of its random.
    fn hello(cookie: &[u8], random: u8) -> Vec<u8> {
        let mut body = vec![0xfe, 0xfd];
        body.extend([1; 31]);
        body.extend([random, 0, cookie.len() as u8]);
        body.extend(cookie);
        body.extend([0, 2, 0xc0, 0x2b, 1, 0]);
        let len = [0, 0, body.len() as u8];
        let record_len = [0, body.len() as u8 + 12];
        let head = [22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 1];
        let message = [1, len[0], len[1], len[2], 0, 1, 0, 0, 0];
        [&head[..], &record_len, &message, &len, &body].concat()
    }

    #[test]
    fn a_cookie_is_believed_from_its_address_for_its_hello_and_two_periods() {
        let key = CookieKey::new(&[1; 32]);
        let address: SocketAddr = "192.0.2.1:5684".parse().unwrap();
        let first = hello(b"", 3);
        let cookie = key.cookie(address, 7, &ClientHello::parse(&first).unwrap());
        let with = hello(&cookie, 3);
        let with = ClientHello::parse(&with).unwrap();
        assert!(key.verifies(address, 7, &with) && key.verifies(address, 8, &with));
        assert!(!key.verifies(address, 9, &with) && !key.verifies(address, 6, &with));
        let mapped = "[::ffff:192.0.2.1]:5684".parse().unwrap();
        assert!(key.verifies(mapped, 7, &with), "the same address");
        for other in ["192.0.2.1:5685", "192.0.2.2:5684"] {
            assert!(!key.verifies(other.parse().unwrap(), 7, &with), "{other}");
        }
        let another = hello(&cookie, 4);
        assert!(!key.verifies(address, 7, &ClientHello::parse(&another).unwrap()));
        assert!(!CookieKey::new(&[2; 32]).verifies(address, 7, &with));
        for bad in [&cookie[..31], &[&cookie[..], &[0]].concat(), &[]] {
            let bad = hello(bad, 3);
            assert!(!key.verifies(address, 7, &ClientHello::parse(&bad).unwrap()));
        }
    }
}
