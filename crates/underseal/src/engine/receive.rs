//! The receiving direction, whoever opens.

use std::io;
use std::os::fd::BorrowedFd;

use underseal_record::{ContentType, ProtocolVersion};

use super::{Engine, kernel, user};
use crate::Error;
use crate::transport::Transport;

/// The receiving direction of a connection.
pub(crate) enum Receive {
    User(user::Receive),
    Kernel(kernel::Receive),
}

/// One record, opened.
pub(crate) enum Record {
    /// Application data; this many bytes of it are in the output, the rest is `plaintext()`.
    Data(usize),
    /// Anything else.
    Control(ContentType, Vec<u8>),
}

/// What asking the socket came to.
pub(crate) enum Filled {
    /// The stream has ended.
    Eof,
    /// There is more to open.
    Ciphertext,
    /// The kernel opened a record.
    Record(Record),
    /// The kernel could not open a record.
    Failed(Error),
}

/// Calls the same method of either engine.
macro_rules! either {
    ($self:expr, $rx:ident => $call:expr) => {
        match $self {
            Self::User($rx) => $call,
            Self::Kernel($rx) => $call,
        }
    };
}

impl Receive {
    pub(crate) fn engine(&self) -> Engine {
        match self {
            Self::User(_) => Engine::User,
            Self::Kernel(_) => Engine::Kernel,
        }
    }

    pub(crate) fn version(&self) -> ProtocolVersion {
        either!(self, rx => rx.version())
    }

    pub(crate) fn key_updates(&self) -> u32 {
        either!(self, rx => rx.key_updates)
    }

    /// Goes on counting from `n`.
    pub(crate) fn set_key_updates(&mut self, n: u32) {
        either!(self, rx => rx.key_updates = n);
    }

    /// Opened plaintext that was not read yet.
    pub(crate) fn plaintext(&self) -> &[u8] {
        either!(self, rx => rx.plaintext())
    }

    /// Drops the first `n` bytes of the plaintext.
    pub(crate) fn consume(&mut self, n: usize) {
        either!(self, rx => rx.consume(n));
    }

    /// Puts plaintext in front of the next record. There must be none left.
    pub(crate) fn put_back(&mut self, plaintext: &[u8]) {
        debug_assert!(self.plaintext().is_empty(), "plaintext keeps its order");
        either!(self, rx => rx.put_back(plaintext));
    }

    /// Gives the lent buffer back unless much is left in it.
    pub(crate) fn settle(&mut self) {
        either!(self, rx => rx.settle());
    }

    /// Copies plaintext that is there already.
    pub(crate) fn take(&mut self, out: &mut [u8]) -> usize {
        let n = self.plaintext().len().min(out.len());
        out[..n].copy_from_slice(&self.plaintext()[..n]);
        self.consume(n);
        n
    }

    /// Goes on under the next key, after a KeyUpdate of the peer.
    pub(crate) fn update_key(&mut self, socket: Option<BorrowedFd<'_>>) -> Result<(), Error> {
        match self {
            Self::User(rx) => rx.update_key(),
            Self::Kernel(rx) => rx.update_key(socket),
        }
    }

    /// Whether the kernel gives nothing more, because of a record that does not open, and nobody was
    /// told yet who reads.
    pub(crate) fn keeps_error(&self) -> bool {
        matches!(self, Self::Kernel(rx) if rx.keeps_error())
    }

    /// Why nothing more will be opened, if [`keeps_error`](Self::keeps_error).
    pub(crate) fn untold_failure(&self) -> Option<Error> {
        match self {
            Self::User(_) => None,
            Self::Kernel(rx) => rx.untold_failure(),
        }
    }

    /// Opens the next record into `out`, if a whole one is buffered. There must be no plaintext
    /// left.
    pub(crate) fn next(&mut self, out: &mut [u8]) -> Result<Option<Record>, Error> {
        debug_assert!(
            self.plaintext().is_empty(),
            "plaintext is read before the next record is opened"
        );
        match self {
            Self::User(rx) => rx.next(out),
            Self::Kernel(_) => Ok(None),
        }
    }

    /// Most bytes that the next read gives of what is buffered: zero if there is no whole record.
    /// There must be no plaintext left.
    #[cfg(feature = "tokio")]
    pub(crate) fn most_buffered(&self) -> usize {
        match self {
            Self::User(rx) => rx.most_buffered(),
            Self::Kernel(_) => 0,
        }
    }

    /// Asks the socket for more, on behalf of a reader of `room` bytes. Plaintext may go to `out`.
    pub(crate) fn fill(
        &mut self,
        transport: &mut impl Transport,
        out: &mut [u8],
        room: usize,
    ) -> io::Result<Filled> {
        match self {
            Self::User(rx) => Ok(match rx.fill(transport, room)? {
                0 => Filled::Eof,
                _ => Filled::Ciphertext,
            }),
            Self::Kernel(rx) => rx.fill(transport, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use underseal_record::{Algorithm, Opener, Sealer, TrafficSecret};

    use super::*;
    use crate::engine::{KeyUpdateRequest, Transmit};

    #[test]
    fn key_updates_are_counted_as_far_as_the_count_goes() {
        let secret = || TrafficSecret::new(Algorithm::Aes128Gcm, &[1; 32]).expect("its length");
        let opener = Opener::new(secret().keys());
        let rx = user::Receive::new(opener, Some(secret()), &[], &[]);
        let mut rx = Receive::User(rx);
        rx.set_key_updates(u32::MAX - 1);
        let sealer = Sealer::new(secret().keys());
        let tx = user::Transmit::new(sealer, Some(secret()), &[], false);
        let mut tx = Transmit::User(tx);
        tx.set_key_updates(u32::MAX - 1);
        for _ in 0..2 {
            rx.update_key(None).expect("a next key");
            tx.want_key_update(KeyUpdateRequest::NotRequested);
            tx.queue_key_update().expect("a next key");
            assert_eq!([rx.key_updates(), tx.key_updates()], [u32::MAX; 2]);
        }
    }
}
