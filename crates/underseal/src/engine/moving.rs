//! Moving a direction from the user engine into the kernel.

use std::os::fd::BorrowedFd;

use underseal_record::Padding;
use underseal_sys::tls::Direction;

use super::{Connection, Receive, Transmit, kernel, user};
use crate::Error;
use crate::buffers;
use crate::offload::{Engine, Offload, Offloads, Refusal};

/// Why a direction might move now.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// Anything is to be sent.
    Write,
    /// Pages are to be sent that the kernel has already: the kernel engine copies none of them.
    Pages,
}

/// Bytes of a file from which on it pays to move the sending direction into the kernel for it.
const LARGE: u64 = buffers::BATCH as u64;

impl Occasion {
    /// What sending this many bytes of a file is.
    pub(super) const fn of_file(len: u64) -> Self {
        match len >= LARGE {
            true => Self::Pages,
            false => Self::Write,
        }
    }
}

/// The directions that are still to be moved, and whether they must be.
#[derive(Clone, Copy, Default)]
pub(super) struct Moving {
    tx: Option<Offload>,
    rx: Option<Offload>,
}

impl Moving {
    /// What is still to be done, as it was asked for.
    pub(super) fn wished(self) -> Offloads {
        Offloads {
            tx: self.tx.unwrap_or(Offload::User),
            rx: self.rx.unwrap_or(Offload::User),
        }
    }
}

impl Connection {
    /// Chooses the engine of each direction. What is to move does so at once if it can, otherwise
    /// as soon as what is buffered has been sent or read.
    pub(crate) fn offload(
        &mut self,
        socket: Option<BorrowedFd<'_>>,
        offloads: Offloads,
    ) -> Result<(), Error> {
        self.moving = Moving {
            tx: self.wanted(Direction::Tx, offloads.tx)?,
            rx: self.wanted(Direction::Rx, offloads.rx)?,
        };
        if let Receive::User(rx) = &mut self.rx {
            rx.exact = self.moving.rx.is_some();
        }
        self.move_tx(socket, Occasion::Write)?;
        self.move_rx(socket)
    }

    /// `offload`, if the direction is to be moved.
    fn wanted(&self, direction: Direction, offload: Offload) -> Result<Option<Offload>, Error> {
        let Some(keys) = self.own_keys(direction) else {
            return match offload {
                // The kernel does not give a direction back.
                Offload::User => Err(Error::Offload {
                    direction,
                    refusal: Refusal::HeldByKernel,
                }),
                Offload::Auto | Offload::Kernel => Ok(None),
            };
        };
        match offload.engine(direction, keys.version(), keys.algorithm()) {
            Ok(Engine::Kernel) => Ok(Some(offload)),
            Ok(Engine::User) => Ok(None),
            Err(refusal) => settle(direction, offload, refusal).map(|()| None),
        }
    }

    /// Whether the sending direction is to move on this occasion.
    pub(super) fn is_to_move(&self, occasion: Occasion) -> bool {
        match self.moving.tx {
            None => false,
            // Measured: the user engine is the cheaper one for writes.
            Some(Offload::Auto) => occasion == Occasion::Pages,
            Some(_) => true,
        }
    }

    /// Moves the sending direction, if it is to move on this occasion and everything before has been
    /// sent.
    pub(super) fn move_tx(
        &mut self,
        socket: Option<BorrowedFd<'_>>,
        occasion: Occasion,
    ) -> Result<(), Error> {
        if !self.is_to_move(occasion) {
            return Ok(());
        }
        let (Some(offload), Transmit::User(tx)) = (self.moving.tx, &mut self.tx) else {
            return Ok(());
        };
        if !tx.is_idle() || tx.is_closed() {
            return Ok(());
        }
        self.moving.tx = None;
        match move_tx(tx, socket) {
            Ok(moved) => {
                self.tx = Transmit::Kernel(moved);
                Ok(())
            }
            Err(refusal) => settle(Direction::Tx, offload, refusal),
        }
    }

    /// Moves the receiving direction, if it is to move and stands between two records.
    pub(super) fn move_rx(&mut self, socket: Option<BorrowedFd<'_>>) -> Result<(), Error> {
        let (Some(offload), Receive::User(rx)) = (self.moving.rx, &mut self.rx) else {
            return Ok(());
        };
        if !rx.is_between_records() || self.end.is_some() {
            return Ok(());
        }
        self.moving.rx = None;
        rx.exact = false;
        match move_rx(rx, socket) {
            Ok(moved) => {
                self.rx = Receive::Kernel(moved);
                Ok(())
            }
            Err(refusal) => settle(Direction::Rx, offload, refusal),
        }
    }
}

fn move_tx(
    tx: &mut user::Transmit,
    socket: Option<BorrowedFd<'_>>,
) -> Result<kernel::Transmit, Refusal> {
    let socket = socket.ok_or(Refusal::NotTcp)?;
    if tx.sealer.padding() != Padding::None {
        return Err(Refusal::Padding);
    }
    let max_plaintext = tx.sealer.max_plaintext();
    // The user engine derives explicit nonces from a value and the sequence number, the kernel
    // counts up from one: it starts where no record of the user engine has been.
    tx.sealer.renew_explicit_nonces();
    tx.recall_key();
    let installed = kernel::install_tx(socket, tx.sealer.keys(), max_plaintext);
    tx.forget_key();
    installed?;
    // The kernel seals now. Nothing may fail from here on: whoever went on sealing would use the
    // kernel's numbers.
    let (limits, keys_seq) = (tx.limits(), tx.sealer.keys().seq());
    let mut moved = kernel::Transmit::new(keys_seq, tx.take_secret(), limits, max_plaintext, false);
    moved.key_updates = tx.key_updates;
    Ok(moved)
}

fn move_rx(
    rx: &mut user::Receive,
    socket: Option<BorrowedFd<'_>>,
) -> Result<kernel::Receive, Refusal> {
    let socket = socket.ok_or(Refusal::NotTcp)?;
    rx.recall_key();
    let installed = kernel::install_rx(socket, rx.opener.keys());
    rx.forget_key();
    installed?;
    // The kernel opens now: nothing may fail from here on.
    let version = rx.version();
    let secret = rx.take_secret();
    let mut moved = kernel::Receive::new(version, secret, rx.plaintext());
    moved.key_updates = rx.key_updates;
    Ok(moved)
}

/// What a refusal comes to: the user engine goes on, unless the kernel was asked for.
fn settle(direction: Direction, offload: Offload, refusal: Refusal) -> Result<(), Error> {
    match offload {
        Offload::Kernel => Err(Error::Offload { direction, refusal }),
        Offload::Auto | Offload::User => {
            refusal.log_once(direction);
            Ok(())
        }
    }
}

#[cfg(all(test, feature = "early-data"))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Wake, Waker};

    use underseal_record::{Algorithm, Opener, ProtocolVersion, Sealer, SeqNo, TrafficKeys};

    use super::*;
    use crate::handshake::Tickets;

    #[derive(Default)]
    struct Reader(AtomicBool);

    impl Wake for Reader {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn established() -> Connection {
        let keys = || {
            let (version, algorithm) = (ProtocolVersion::Tls13, Algorithm::Aes128Gcm);
            TrafficKeys::new(version, algorithm, &[0; 16], [0; 12], SeqNo(0)).expect("its length")
        };
        let tx = user::Transmit::new(Sealer::new(keys()), None, &[], false);
        let rx = user::Receive::new(Opener::new(keys()), None, &[], &[]);
        let (tx, rx) = (Transmit::User(tx), Receive::User(rx));
        Connection::new(tx, rx, Tickets::Refused, Arc::default(), None)
    }

    #[test]
    fn the_reader_of_an_early_stream_is_told_that_the_kernel_refuses() {
        let mut early = Connection::before_handshake(Arc::default()).expect("keys");
        let reader = Arc::<Reader>::default();
        early.note_reader(&Waker::from(Arc::clone(&reader)));
        early.moving.tx = Some(Offload::Kernel);
        let refused = established().take_over(&mut early, None);
        let refused = refused.expect_err("there is no socket");
        early.fail_early(refused);
        assert!(reader.0.load(Ordering::Relaxed));
    }
}
