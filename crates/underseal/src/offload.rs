//! Which engine seals and opens: what was asked for, what the kernel can do, what is faster.

mod refusal;

use std::fmt;
use std::str::FromStr;

use underseal_record::{Algorithm, ProtocolVersion};
use underseal_sys::probe::KernelTls;
use underseal_sys::tls::Direction;

pub use refusal::Refusal;

/// The environment variable that [`Offloads::from_environment`] reads: `auto`, `kernel` or `user`, or
/// by direction, as in `tx=kernel,rx=user`. A program that does not ask for it is not changed by it.
pub const OFFLOAD_VARIABLE: &str = "UNDERSEAL_OFFLOAD";

/// Where the records of a direction are to be sealed or opened.
///
/// The kernel engine needs a TCP socket below: `std::net::TcpStream`, `&TcpStream`, or
/// `tokio::net::TcpStream`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Offload {
    /// Wherever it is cheaper and nothing is lost. Measured (`cargo xtask bench vm`), the user engine
    /// is the cheaper one for writes and for receiving; the kernel's sends files and pipes without
    /// copying them. So a connection starts in the user engine, and its sending direction moves
    /// into the kernel at the first `send_file` of 256 KiB or more, or the first `splice_from`, if
    /// the kernel takes the suite and can follow key updates. A kernel that refuses is no error:
    /// the user engine goes on, and the log says so once.
    #[default]
    Auto,
    /// In the kernel. Where it refuses the connection fails, with [`crate::Error::Offload`]. A
    /// kernel without rekey (before Linux 6.14) is taken too: a key update of the peer then ends
    /// the connection.
    Kernel,
    /// In this process. The kernel is never asked.
    User,
}

impl Offload {
    /// The engine that a direction over a TCP socket gets at the latest, or why the kernel engine is
    /// not to be had. The first call asks the kernel, later ones remember.
    ///
    /// # Errors
    ///
    /// Why the kernel does not take the direction: under [`Offload::Auto`] the user engine does
    /// then, under [`Offload::Kernel`] the connection fails.
    pub fn engine(
        self,
        direction: Direction,
        version: ProtocolVersion,
        algorithm: Algorithm,
    ) -> Result<Engine, Refusal> {
        if self == Self::User || (self == Self::Auto && !kernel_pays(direction)) {
            return Ok(Engine::User);
        }
        crate::engine::kernel::probed(version, algorithm, direction)?;
        if self == Self::Auto && version == ProtocolVersion::Tls13 {
            rekey()?;
        }
        Ok(Engine::Kernel)
    }
}

impl FromStr for Offload {
    type Err = UnknownOffload;

    fn from_str(name: &str) -> Result<Self, UnknownOffload> {
        match name {
            "auto" => Ok(Self::Auto),
            "kernel" => Ok(Self::Kernel),
            "user" => Ok(Self::User),
            _ => Err(UnknownOffload),
        }
    }
}

impl fmt::Display for Offload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Kernel => "kernel",
            Self::User => "user",
        })
    }
}

/// A word that is no [`Offload`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `auto`, `kernel` or `user`")]
pub struct UnknownOffload;

/// What seals or opens the records of a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Engine {
    /// This process.
    User,
    /// The kernel, or a network card that it has passed the keys to.
    Kernel,
}

impl Engine {
    /// The name used by options and messages: `user` or `kernel`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Kernel => "kernel",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The engines of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Engines {
    /// What seals.
    pub tx: Engine,
    /// What opens.
    pub rx: Engine,
}

/// What is asked for, by direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// The sending direction.
    pub tx: Offload,
    /// The receiving direction.
    pub rx: Offload,
}

impl From<Offload> for Offloads {
    fn from(both: Offload) -> Self {
        Self { tx: both, rx: both }
    }
}

impl FromStr for Offloads {
    type Err = UnknownOffload;

    /// As [`OFFLOAD_VARIABLE`] is read. A direction that is not named is `auto`.
    fn from_str(text: &str) -> Result<Self, UnknownOffload> {
        if !text.contains('=') {
            return Ok(text.parse::<Offload>()?.into());
        }
        let mut offloads = Self::default();
        for part in text.split(',') {
            match part.trim().split_once('=') {
                Some(("tx", offload)) => offloads.tx = offload.parse()?,
                Some(("rx", offload)) => offloads.rx = offload.parse()?,
                _ => return Err(UnknownOffload),
            }
        }
        Ok(offloads)
    }
}

impl Offloads {
    /// What [`OFFLOAD_VARIABLE`] says, for a program that lets its user choose:
    ///
    /// ```
    /// # use underseal::Offloads;
    /// let offloads = Offloads::from_environment().unwrap_or_default();
    /// // acceptor.offload(offloads)
    /// ```
    ///
    /// `None` if the variable is not set, or says nothing that is known, which is logged. It is read at
    /// each call.
    pub fn from_environment() -> Option<Self> {
        let text = std::env::var(OFFLOAD_VARIABLE).ok()?;
        match text.parse() {
            Ok(offloads) => Some(offloads),
            Err(error) => {
                tracing::warn!("{OFFLOAD_VARIABLE}={text} ignored: {error}");
                None
            }
        }
    }
}

/// Whether there is anything in this direction for which `Auto` takes the kernel engine.
const fn kernel_pays(direction: Direction) -> bool {
    match direction {
        Direction::Tx => true,
        Direction::Rx => false,
    }
}

/// Whether the kernel can replace the keys of a socket.
pub(crate) fn rekey() -> Result<(), Refusal> {
    match KernelTls::get().rekey.errno() {
        None => Ok(()),
        Some(errno) => Err(Refusal::rekey(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offloads_are_read_by_word_and_by_direction() {
        assert_eq!("kernel".parse(), Ok(Offloads::from(Offload::Kernel)));
        let mixed = Offloads {
            tx: Offload::Kernel,
            rx: Offload::User,
        };
        assert_eq!("tx=kernel,rx=user".parse(), Ok(mixed));
        assert_eq!("rx=user, tx=kernel".parse(), Ok(mixed));
        let tx_alone = Offloads {
            tx: Offload::User,
            rx: Offload::Auto,
        };
        assert_eq!("tx=user".parse(), Ok(tx_alone));
        for wrong in ["", "on", "tx=", "tx=on", "both=user", "tx=user;rx=user"] {
            assert_eq!(wrong.parse::<Offloads>(), Err(UnknownOffload), "{wrong}");
        }
    }

    #[test]
    fn words_round_trip() {
        for offload in [Offload::Auto, Offload::Kernel, Offload::User] {
            assert_eq!(offload.to_string().parse(), Ok(offload));
        }
    }
}
