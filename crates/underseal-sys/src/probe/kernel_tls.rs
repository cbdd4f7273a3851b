//! Kernel TLS, tried on loopback connections of this process.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::OnceLock;

use rustix::io::Errno;

use super::Answer;
use crate::tls::{self, Cipher, CryptoInfo, Direction, Version};

/// What kernel TLS can do here.
///
/// Everything is asked once per process and then remembered: a module that is loaded later is seen
/// by the next process. Asking for the upper layer protocol as root makes the kernel load the
/// module `tls`, asking for a suite the modules of its cipher.
#[derive(Debug)]
pub struct KernelTls {
    /// Whether a TCP socket can have the upper layer protocol `tls`.
    pub ulp: Answer,
    /// Whether keys can be replaced after a KeyUpdate (Linux 6.14 on).
    pub rekey: Answer,
    /// [`tls::set_zerocopy_ro`] is known. Whether it does anything is the NIC's choice.
    pub zerocopy_ro: Answer,
    /// [`tls::set_expect_no_pad`] is known.
    pub expect_no_pad: Answer,
    /// [`tls::set_max_payload_len`] is known.
    pub max_payload_len: Answer,
    suites: [[OnceLock<[Answer; 2]>; Cipher::ALL.len()]; 2],
}

impl KernelTls {
    /// What this process found out: the first call probes, in about a millisecond.
    pub fn get() -> &'static Self {
        static PROBED: OnceLock<KernelTls> = OnceLock::new();
        PROBED.get_or_init(Self::probe)
    }

    /// Whether the kernel takes keys of this suite in this direction. The first call for a suite
    /// probes it.
    pub fn suite(&self, version: Version, cipher: Cipher, direction: Direction) -> Answer {
        if !self.ulp.is_yes() {
            return Answer::Yes.after(self.ulp);
        }
        let answers = self.suites[version as usize][cipher as usize]
            .get_or_init(|| probe_suite(version, cipher));
        answers[direction as usize]
    }

    fn probe() -> Self {
        let mut found = Self {
            ulp: Answer::Yes,
            rekey: Answer::Yes,
            zerocopy_ro: Answer::Yes,
            expect_no_pad: Answer::Yes,
            max_payload_len: Answer::Yes,
            suites: Default::default(),
        };
        let connected = Connected::new();
        found.ulp = match &connected {
            Ok(connected) => Answer::of(tls::attach(&connected.near)),
            Err(errno) => Answer::CannotTell(*errno),
        };
        let keys = match &connected {
            Ok(connected) => connected.set(Version::Tls13, Cipher::Aes128Gcm),
            Err(errno) => [Answer::CannotTell(*errno); 2],
        };
        let [tx, rx] = keys.map(|answer| answer.after(found.ulp));
        let ask = |condition: Answer, option: &dyn Fn(&TcpStream) -> Result<(), Errno>| {
            let asked = connected.as_ref().map_or_else(
                |errno| Answer::CannotTell(*errno),
                |c| Answer::of(option(&c.near)),
            );
            asked.after(condition)
        };
        found.zerocopy_ro = ask(tx, &|socket| tls::zerocopy_ro(socket).map(drop));
        found.max_payload_len = ask(tx, &|socket| tls::max_payload_len(socket).map(drop));
        found.expect_no_pad = ask(rx, &|socket| tls::expect_no_pad(socket).map(drop));
        found.rekey = ask(tx, &|socket| {
            tls::set(
                socket,
                Direction::Tx,
                &keys_of(Version::Tls13, Cipher::Aes128Gcm)?,
            )
        });
        found
    }
}

/// Tries both directions of a suite on one connection.
fn probe_suite(version: Version, cipher: Cipher) -> [Answer; 2] {
    let connected = match Connected::new() {
        Ok(connected) => connected,
        Err(errno) => return [Answer::CannotTell(errno); 2],
    };
    let attached = Answer::of(tls::attach(&connected.near));
    connected
        .set(version, cipher)
        .map(|answer| answer.after(attached))
}

/// A loopback connection.
struct Connected {
    near: TcpStream,
    _far: TcpStream,
}

impl Connected {
    fn new() -> Result<Self, Errno> {
        let connect = || {
            let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let listener = TcpListener::bind(any)?;
            let near = TcpStream::connect(listener.local_addr()?)?;
            let (far, _) = listener.accept()?;
            Ok(Self { near, _far: far })
        };
        connect().map_err(|error: std::io::Error| {
            Errno::from_io_error(&error).unwrap_or(Errno::CONNREFUSED)
        })
    }

    /// Gives both directions keys.
    fn set(&self, version: Version, cipher: Cipher) -> [Answer; 2] {
        Direction::ALL.map(|direction| {
            let set =
                keys_of(version, cipher).and_then(|info| tls::set(&self.near, direction, &info));
            Answer::of(set)
        })
    }
}

/// Keys that protect nothing: no record is ever sealed under them.
fn keys_of(version: Version, cipher: Cipher) -> Result<CryptoInfo, Errno> {
    let key = [0; 32];
    CryptoInfo::new(version, cipher, &key[..cipher.key_len()], &[0; 12], 0)
        .map_err(|_| Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_upper_layer_protocol_nothing_else_can_be_told() {
        let found = KernelTls::get();
        let rest = [
            found.rekey,
            found.zerocopy_ro,
            found.expect_no_pad,
            found.max_payload_len,
            found.suite(Version::Tls13, Cipher::Aes128Gcm, Direction::Tx),
        ];
        match found.ulp {
            Answer::Yes => assert!(rest[4].is_yes(), "{found:?}"),
            Answer::No(errno) | Answer::CannotTell(errno) => {
                assert_eq!(rest, [Answer::CannotTell(errno); 5]);
            }
        }
    }

    #[test]
    fn probe_agrees_with_what_a_socket_says() {
        let connected = Connected::new().unwrap();
        assert_eq!(
            Answer::of(tls::attach(&connected.near)),
            KernelTls::get().ulp
        );
    }
}
