//! The engine that a command line or the environment asks for.

use underseal::record::{Algorithm, ProtocolVersion};
use underseal::{Direction, OFFLOAD_VARIABLE, Offload, Offloads};

use crate::exit::{Exit, Failure};

/// What the environment asks for or, if it does not, the command line.
///
/// # Errors
/// [`Exit::Failure`], with what the kernel said: a kernel that was asked for and is not to be had would
/// fail every handshake, so it fails the start.
pub(crate) fn chosen(asked: Offloads) -> Result<Offloads, Failure> {
    let from_environment = Offloads::from_environment();
    let offloads = from_environment.unwrap_or(asked);
    for (direction, offload) in [(Direction::Tx, offloads.tx), (Direction::Rx, offloads.rx)] {
        let tried = offload.engine(direction, ProtocolVersion::Tls13, Algorithm::Aes128Gcm);
        if let (Offload::Kernel, Err(refusal)) = (offload, tried) {
            let message = format!("the kernel engine cannot be had for {direction}: {refusal}");
            let without = match from_environment {
                Some(_) => format!("{OFFLOAD_VARIABLE}=auto"),
                None => "--offload auto".to_owned(),
            };
            let hint = format!("`underseal doctor` says what is missing; `{without}` does without");
            return Err(Failure::new(Exit::Failure, message, hint));
        }
    }
    Ok(offloads)
}
