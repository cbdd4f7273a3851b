//! What an answer of our own says, and what the log says of it.

use std::borrow::Cow;
use std::fmt;

use underseal_http::Refusal;
use underseal_http::http1::ResponseRefusal;

use crate::backend::Unreachable;

/// Why we answer in the place of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The request can be read in several ways, or not at all.
    Refused(Refusal),
    /// Its token is not believed.
    Token,
    /// CONNECT, which would hide what is asked for.
    Connect,
    /// The client did not finish its head, or its body, in time.
    ClientTimeout,
    Unreachable(Unreachable),
    /// The backend ended before it responded.
    BackendCut,
    BackendTimeout,
    /// Its response can be read in several ways, or not at all.
    BackendResponse(ResponseRefusal),
}

impl Fault {
    /// For the log, of what was cut short for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.name(),
            Self::Token => "token",
            Self::Connect => "connect",
            Self::ClientTimeout => "client-timeout",
            Self::Unreachable(unreachable) => unreachable.word(),
            Self::BackendCut => "backend-cut",
            Self::BackendTimeout => "backend-timeout",
            Self::BackendResponse(bad) => match bad {
                ResponseRefusal::Malformed => "backend-malformed",
                ResponseRefusal::TooLong => "backend-head-too-long",
                ResponseRefusal::BothLengths => "backend-both-lengths",
                ResponseRefusal::SeveralLengths => "backend-several-lengths",
                ResponseRefusal::Length => "backend-length",
                ResponseRefusal::TransferEncoding => "backend-transfer-encoding",
                ResponseRefusal::Chunk => "backend-chunk",
                ResponseRefusal::Upgrade => "backend-upgrade",
            },
        }
    }

    /// What the client is told.
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::Refused(refusal) => refusal.status(),
            Self::Token => 401,
            Self::Connect => 405,
            Self::ClientTimeout => 408,
            Self::Unreachable(unreachable) => unreachable.status(),
            Self::BackendCut | Self::BackendResponse(_) => 502,
            Self::BackendTimeout => 504,
        }
    }
}

impl Fault {
    /// For the log, of what is answered.
    pub(crate) fn said(self) -> Cow<'static, str> {
        match self {
            Self::Refused(_) => self.to_string().into(),
            _ => self.word().into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Refused(_) = self {
            f.write_str("refused:")?;
        }
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_page_knows_every_error() {
        let page = include_str!("../../../../docs/proxy.md");
        let unreachable = [
            Unreachable::Refused,
            Unreachable::Lacking,
            Unreachable::TimedOut,
            Unreachable::Handshake,
            Unreachable::Ended,
        ];
        let bad = [
            ResponseRefusal::Malformed,
            ResponseRefusal::TooLong,
            ResponseRefusal::BothLengths,
            ResponseRefusal::SeveralLengths,
            ResponseRefusal::Length,
            ResponseRefusal::TransferEncoding,
            ResponseRefusal::Chunk,
            ResponseRefusal::Upgrade,
        ];
        let others = [
            Fault::Token,
            Fault::Connect,
            Fault::ClientTimeout,
            Fault::BackendCut,
            Fault::BackendTimeout,
        ];
        let faults = others
            .into_iter()
            .chain(unreachable.map(Fault::Unreachable))
            .chain(bad.map(Fault::BackendResponse));
        for fault in faults {
            assert!(page.contains(&format!("`{fault}`")), "{fault}");
        }
    }
}
