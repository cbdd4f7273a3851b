use std::borrow::Cow;
use std::io::IoSlice;

use super::Filter;
use crate::{Denied, Program, Slices, Verdict};

impl<P: Program<K>, K> Filter<P, K> {
    /// Judges a datagram, which is a message of its own: nothing is held for the next, nothing covers it in
    /// advance. What [`Message::cork_bytes`](crate::Message::cork_bytes) asks for cannot be had, and
    /// [`Message::apply_bytes`](crate::Message::apply_bytes) says nothing. The datagram as it is to go on; copied
    /// where the program changed it.
    ///
    /// No datagram can be redirected: [`Verdict::Redirect`] refuses it, as [`Offer::refuse`](crate::Offer::refuse)
    /// does.
    ///
    /// # Errors
    ///
    /// [`Denied`], of each datagram that is refused, in either direction.
    pub fn judge<'d>(&mut self, datagram: &'d [u8]) -> Result<Cow<'d, [u8]>, Denied> {
        if let Some(ended) = self.ended() {
            return Err(ended);
        }
        let slices = [IoSlice::new(datagram)];
        let (verdict, wishes) = self.run_with(Slices::new(&slices), true, true)?;
        match (verdict, self.error) {
            (Verdict::Pass, _) => Ok(wishes.edited.map_or(datagram.into(), Cow::Owned)),
            (_, Some(error)) => Err(Denied::Ended(error)),
            (_, None) => Err(Denied::Dropped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;

    fn filter(
        program: impl FnMut(&mut Message<'_>) -> Verdict,
    ) -> Filter<impl Program<usize>, usize> {
        Filter::egress(program)
    }

    #[test]
    fn a_datagram_that_is_not_changed_is_not_copied() {
        let mut filter = filter(|_| Verdict::Pass);
        for datagram in [&b"one"[..], b""] {
            assert!(matches!(filter.judge(datagram), Ok(Cow::Borrowed(same)) if same == datagram));
        }
    }

    #[test]
    fn each_datagram_is_judged_alone_whatever_was_said_of_another() {
        let mut filter = filter(|message| {
            message.apply_bytes(u64::MAX);
            let corked = message.cork_bytes(1000);
            assert!(corked.is_err(), "nothing follows");
            match message.pull(..) {
                Ok(b"bad") => Verdict::Drop,
                _ => Verdict::Pass,
            }
        });
        for _ in 0..2 {
            assert_eq!(filter.judge(b"good").as_deref(), Ok(&b"good"[..]));
            assert_eq!(filter.judge(b"bad"), Err(Denied::Dropped));
        }
        assert_eq!(filter.kept(), 0);
    }

    #[test]
    fn edits_go_on_with_the_datagram_as_a_whole() {
        let mut filter = filter(|message| {
            message.apply_bytes(1);
            message.push(0, b"<").expect("there is a front");
            message.push(message.len(), b">").expect("there is an end");
            Verdict::Pass
        });
        assert_eq!(filter.judge(b"one").as_deref(), Ok(&b"<one>"[..]));
        assert_eq!(filter.judge(b"").as_deref(), Ok(&b"<>"[..]));
    }

    #[test]
    fn a_redirect_is_refused() {
        let mut filter = filter(|_| Verdict::Redirect {
            to: 3,
            direction: crate::MessageDirection::Egress,
        });
        assert_eq!(filter.judge(b"one"), Err(Denied::Dropped));
    }

    #[test]
    fn a_program_that_panicked_is_not_run_again() {
        let mut filter = filter(|message| {
            assert!(!message.is_empty(), "the test has it panic");
            Verdict::Pass
        });
        assert!(filter.judge(b"one").is_ok());
        for datagram in [&b""[..], b"one"] {
            assert_eq!(filter.judge(datagram), Err(Denied::Panicked));
        }
    }
}
