//! The engine that a command line asks for.

use underseal::record::{Algorithm, ProtocolVersion};
use underseal::{Direction, Offload, Offloads};

use crate::exit::{Exit, Failure};

/// A kernel that was asked for and is not to be had would fail every handshake: it fails the start.
///
/// # Errors
/// [`Exit::Failure`], with what the kernel said.
pub(crate) fn check(offloads: Offloads) -> Result<(), Failure> {
    let offloads = offloads.or_environment();
    for (direction, offload) in [(Direction::Tx, offloads.tx), (Direction::Rx, offloads.rx)] {
        let tried = offload.engine(direction, ProtocolVersion::Tls13, Algorithm::Aes128Gcm);
        if let (Offload::Kernel, Err(refusal)) = (offload, tried) {
            let message = format!("the kernel engine cannot be had for {direction}: {refusal}");
            let hint = "`underseal doctor` says what is missing; `--offload auto` does without";
            return Err(Failure::new(Exit::Failure, message, hint));
        }
    }
    Ok(())
}
