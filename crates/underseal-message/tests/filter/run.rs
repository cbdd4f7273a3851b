//! A caller that carries out what a filter decides.

use std::io::IoSlice;

use underseal_message::{
    Decision, Denied, Filter, Message, MessageDirection, Offer, Program, Verdict,
};

/// Where bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    Own,
    Peer(usize, MessageDirection),
}

/// What came of one offer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) result: Result<usize, Denied>,
    /// Chunks in order.
    pub(crate) chunks: Vec<(To, Vec<u8>)>,
    pub(crate) refused: usize,
}

impl Outcome {
    /// What went on to the filter's own socket, by chunk.
    pub(crate) fn own(&self) -> Vec<String> {
        let own = self.chunks.iter().filter(|(to, _)| *to == To::Own);
        own.map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned())
            .collect()
    }
}

/// Carries out all of `offer`.
pub(crate) fn carry_out<P: Program>(offer: Offer<'_, '_, P>) -> Outcome {
    carry_out_up_to(offer, usize::MAX)
}

/// Carries out `offer` until `room` bytes are taken, as a socket does that takes no more.
pub(crate) fn carry_out_up_to<P: Program>(mut offer: Offer<'_, '_, P>, mut room: usize) -> Outcome {
    let mut chunks = Vec::new();
    while let Some(decision) = offer.next() {
        let to = match &decision {
            Decision::Pass(_) => To::Own,
            Decision::Redirect { to, direction, .. } => To::Peer(**to, *direction),
        };
        let bytes: Vec<u8> = decision.chunk().slices().flatten().copied().collect();
        let taken = bytes.len().min(room);
        assert!(!bytes.is_empty(), "a decision about nothing");
        chunks.push((to, bytes[..taken].to_vec()));
        offer.taken(taken);
        room -= taken;
        if room == 0 {
            break;
        }
    }
    let refused = offer.refused();
    Outcome {
        result: offer.finish(),
        chunks,
        refused,
    }
}

/// Writes `bytes` in one slice.
pub(crate) fn write<P: Program>(filter: &mut Filter<P>, bytes: impl AsRef<[u8]>) -> Outcome {
    carry_out(filter.offer(&[IoSlice::new(bytes.as_ref())]))
}

/// All of a message as text.
pub(crate) fn text(message: &mut Message<'_>) -> String {
    match message.pull(..) {
        Ok(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Err(_) => String::new(),
    }
}

/// Drops each message that starts with `X`; a message ends with `.`, and whole ones are covered
/// one by one.
pub(crate) fn no_x(message: &mut Message<'_>) -> Verdict {
    let text = text(message);
    let Some(end) = text.find('.') else {
        if message.cork_bytes(text.len() + 1).is_err() {
            return Verdict::Drop;
        }
        return Verdict::Pass;
    };
    message.apply_bytes(end as u64 + 1);
    match text.starts_with('X') {
        true => Verdict::Drop,
        false => Verdict::Pass,
    }
}
