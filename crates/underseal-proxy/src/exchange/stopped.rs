//! Why an exchange goes no further, and what its client is told then.

use std::borrow::Cow;

use underseal_http::Refusal;
use underseal_http::http1::ResponseRefusal;

use super::fault::Fault;
use super::retry::Unanswered;
use crate::backend::Unreachable;
use crate::flow::Broken;

/// Why no response comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lost {
    pub(crate) fault: Fault,
    pub(crate) why: Unanswered,
}

/// Why an exchange goes no further.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stopped {
    /// There is no response, or not all of it: for this, a client that was told nothing is answered.
    Lost(Lost),
    /// The client has left.
    ClientCut,
    /// Nothing passed in a tunnel for too long.
    Silent,
    /// The client's trailers say what only we may say.
    Trailers,
    /// The proxy is ending.
    Ended,
}

impl From<Fault> for Lost {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            why: Unanswered::Unknown,
        }
    }
}

impl From<Fault> for Stopped {
    fn from(fault: Fault) -> Self {
        Self::Lost(fault.into())
    }
}

impl Lost {
    /// A response that is none.
    pub(crate) fn bad(bad: ResponseRefusal) -> Self {
        Fault::BackendResponse(bad).into()
    }

    /// Nothing was sent: the connection ended in the moment that it was to be used. Of a backend that
    /// does that again and again the client is told what it is of one that takes no connection.
    pub(crate) fn ended() -> Self {
        Self {
            fault: Fault::Unreachable(Unreachable::Refused),
            why: Unanswered::Unprocessed,
        }
    }

    /// No response at all.
    pub(crate) fn unanswered(why: Unanswered) -> Self {
        Self {
            fault: Fault::BackendCut,
            why,
        }
    }

    /// The same, where it `has_begun` to answer: then nobody knows what the request has done, whatever the
    /// connection says. Whether a request is sent once more is decided by this alone.
    pub(crate) fn once_begun(self, has_begun: bool) -> Self {
        match has_begun {
            true => self.fault.into(),
            false => self,
        }
    }
}

impl Stopped {
    /// A response's body broke off.
    pub(crate) fn from_response(broken: &Broken) -> Self {
        tracing::debug!("response: {broken}");
        match broken {
            Broken::Sink(_) => Self::ClientCut,
            Broken::Framing(_) => Self::Lost(Lost::bad(ResponseRefusal::Chunk)),
            Broken::Source(_) | Broken::Trailers => Fault::BackendCut.into(),
        }
    }

    /// A request's body did.
    pub(crate) fn from_request(broken: &Broken) -> Self {
        tracing::debug!("request: {broken}");
        match broken {
            Broken::Trailers => Self::Trailers,
            Broken::Framing(refusal) => Fault::Refused(*refusal).into(),
            Broken::Source(_) | Broken::Sink(_) => Self::ClientCut,
        }
    }

    /// The same, where the backend `has_begun` to answer.
    pub(super) fn once_begun(self, has_begun: bool) -> Self {
        match self {
            Self::Lost(lost) => Self::Lost(lost.once_begun(has_begun)),
            stopped => stopped,
        }
    }

    /// What a client that was told nothing is answered for; `None` if nobody is there to be answered.
    pub(crate) fn fault(self) -> Option<Fault> {
        match self {
            Self::Lost(lost) => Some(lost.fault),
            Self::ClientCut | Self::Silent | Self::Trailers | Self::Ended => None,
        }
    }

    /// Why a request is refused in the middle, if it is.
    pub(super) fn refusal(self) -> Option<Refusal> {
        match self {
            Self::Lost(Lost {
                fault: Fault::Refused(refusal),
                ..
            }) => Some(refusal),
            Self::Trailers => Some(Refusal::Trailers),
            Self::Lost(_) | Self::ClientCut | Self::Silent | Self::Ended => None,
        }
    }

    /// For the log, of an exchange.
    pub(super) fn said(self) -> Cow<'static, str> {
        self.fault().map_or(self.word().into(), Fault::said)
    }

    /// For the log, of a tunnel.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Lost(lost) => lost.fault.word(),
            Self::ClientCut => "client-cut",
            Self::Silent => "tunnel-silent",
            Self::Trailers => "refused:trailers",
            Self::Ended => "proxy-ended",
        }
    }
}
