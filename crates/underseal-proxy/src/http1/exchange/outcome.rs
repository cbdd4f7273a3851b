//! How an exchange ends.

use super::{Download, Exchange, Upload};
use crate::chunk::Chunk;
use crate::exchange::{Late, Unanswered};
use crate::flow::Broken;
use crate::http1::{Fault, response};
use crate::upstream::Lost;
use underseal_http::Refusal;
use underseal_http::http1::ResponseRefusal;
use underseal_server::closing::End;

/// What came of an exchange.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) status: Option<u16>,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) error: Option<&'static str>,
    /// How the client's connection ends, if it does.
    pub(crate) end: Option<End>,
    pub(crate) keep_backend: bool,
    /// Nothing was sent to the client, and this is why.
    pub(crate) unanswered: Option<Fault>,
    /// The backend has gone over to another protocol, and this is what it has sent of it.
    pub(crate) tunnel: Option<Chunk>,
    /// Why there is no response, as far as that decides whether the request is sent once more.
    pub(crate) lost: Option<Unanswered>,
}

impl Outcome {
    pub(crate) fn unanswered(fault: Fault) -> Self {
        Self {
            unanswered: Some(fault),
            ..Self::default()
        }
    }
}

impl Exchange<'_> {
    pub(super) fn upload_broken(&mut self, broken: Broken) -> Option<Outcome> {
        tracing::debug!("request: {broken}");
        match broken {
            // It may have responded, and closed: with "413 Content Too Large", for one.
            Broken::Sink(_) => {
                self.upload = Upload::Refused;
                None
            }
            Broken::Source(_) => Some(self.cut(Some("client-cut"), End::Abort)),
            Broken::Framing(refusal) => Some(self.fail(Fault::Refused(refusal))),
            Broken::Trailers => Some(self.fail(Fault::Refused(Refusal::Trailers))),
        }
    }

    pub(super) fn download_broken(&mut self, broken: &Broken) -> Outcome {
        tracing::debug!("response: {broken}");
        let fault = match broken {
            Broken::Framing(_) => Some(Fault::BackendResponse(ResponseRefusal::Chunk)),
            Broken::Source(_) | Broken::Trailers => Some(Fault::BackendCut),
            Broken::Sink(_) => None,
        };
        if let Some(fault) = fault.filter(|_| !self.down.has_begun()) {
            return Outcome {
                bytes_in: self.link.passed(),
                ..Outcome::unanswered(fault)
            };
        }
        let word = match broken {
            Broken::Framing(_) => response::word(ResponseRefusal::Chunk),
            other => other.word("backend-cut", "client-cut"),
        };
        self.cut(Some(word), End::Abort)
    }

    /// The response came to its end.
    pub(super) fn complete(&mut self) -> Outcome {
        let Download::Body {
            status,
            keep_backend,
            keep_client,
        } = self.download
        else {
            return self.cut(Some("backend-cut"), End::Abort);
        };
        let is_read = self.link.is_read();
        Outcome {
            status: Some(status),
            bytes_in: self.link.passed(),
            bytes_out: self.down.passed,
            // A client that is still sending is to read the response before it is cut off.
            end: (!keep_client || !is_read).then_some(End::of(is_read)),
            // More than was announced belongs to nobody's request.
            keep_backend: keep_backend && self.down.chunk.is_empty(),
            ..Outcome::default()
        }
    }

    /// There is no response.
    pub(super) fn lost(&mut self, lost: Lost) -> Outcome {
        let outcome = self.fail(lost.fault);
        // Whom we cannot answer any more has read a part of something else.
        let has_begun = self.is_touched || outcome.unanswered.is_none();
        Outcome {
            lost: Some(lost.once_begun(has_begun).why),
            ..outcome
        }
    }

    /// Ends the exchange with an answer of our own, if the client has not had the backend's.
    fn fail(&mut self, fault: Fault) -> Outcome {
        match self.download {
            Download::Head if self.down.unwritten().is_empty() => Outcome {
                bytes_in: self.link.passed(),
                ..Outcome::unanswered(fault)
            },
            // An interim response stands half written before it, or, whatever was wrong with the
            // request, its response was cut short.
            Download::Head | Download::Body { .. } => self.cut(Some(fault.word()), End::Abort),
        }
    }

    pub(super) fn cut(&mut self, error: Option<&'static str>, end: End) -> Outcome {
        let status = match self.download {
            Download::Body { status, .. } if self.down.has_begun() => Some(status),
            Download::Head | Download::Body { .. } => None,
        };
        Outcome {
            status,
            bytes_in: self.link.passed(),
            bytes_out: self.down.passed,
            error,
            end: Some(end),
            ..Outcome::default()
        }
    }

    pub(super) fn late(&mut self, late: Late) -> Outcome {
        match late {
            Late::Client => self.fail(Fault::ClientTimeout),
            Late::Backend => self.fail(Fault::BackendTimeout),
            Late::Ended => self.cut(Some("proxy-ended"), End::Abort),
        }
    }
}
