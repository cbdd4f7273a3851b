//! Programs on the datagrams of an association: before they are sealed, after they were opened.

use std::borrow::Cow;
use std::fmt;

use underseal_message::{Denied, Filter, Peer, Program};

type AnyFilter = Filter<Box<dyn Program<Peer> + Send>, Peer>;

/// The program of one direction, if it has one.
#[derive(Default)]
pub(crate) struct Attached(Option<Box<AnyFilter>>);

impl Attached {
    pub(crate) fn is_none(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn attach<P>(&mut self, filter: Filter<P, Peer>)
    where
        P: Program<Peer> + Send + 'static,
    {
        self.0 = Some(Box::new(filter.boxed()));
    }

    /// Takes the program away, but not from a direction that it has ended.
    pub(crate) fn detach(&mut self) -> Result<(), Denied> {
        let ended = self.0.as_ref().and_then(|filter| filter.ended());
        ended.map_or(Ok(()), Err)?;
        self.0 = None;
        Ok(())
    }

    /// Whether it has ended its direction.
    pub(crate) fn has_ended(&self) -> bool {
        let ended = self.0.as_ref().and_then(|filter| filter.ended());
        ended.is_some()
    }

    /// The datagram as it is to go on.
    pub(crate) fn judge<'d>(&mut self, datagram: &'d [u8]) -> Result<Cow<'d, [u8]>, Denied> {
        match &mut self.0 {
            Some(filter) => filter.judge(datagram),
            None => Ok(datagram.into()),
        }
    }
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Attached").field(&self.0.is_some()).finish()
    }
}
