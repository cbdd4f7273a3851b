use crate::{Message, ParseError};

/// What happens to a message, or to as many bytes as [`Message::apply_bytes`] says.
///
/// `K` is the key of another socket in a [`crate::SockMap`] or [`crate::SockHash`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "sk_action")]
#[expect(clippy::exhaustive_enums, reason = "who carries it out must know each")]
pub enum Verdict<K = usize> {
    /// The bytes go on their way.
    #[doc(alias = "SK_PASS")]
    Pass,
    /// A write is refused with `PermissionDenied`; bytes that were received vanish.
    #[doc(alias = "SK_DROP")]
    Drop,
    /// The bytes go to another socket.
    #[doc(alias = "bpf_msg_redirect_map")]
    #[doc(alias = "bpf_msg_redirect_hash")]
    #[doc(alias = "bpf_sk_redirect_map")]
    #[doc(alias = "bpf_sk_redirect_hash")]
    Redirect {
        /// The key of that socket.
        to: K,
        /// Whether it sends them or reads them.
        direction: MessageDirection,
    },
}

/// A direction of a socket, seen from its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there are two")]
pub enum MessageDirection {
    /// What the owner sends.
    Egress,
    /// What the owner reads.
    #[doc(alias = "BPF_F_INGRESS")]
    Ingress,
}

/// Looks at the messages of one direction of one socket and decides what becomes of them.
///
/// Closures are programs:
///
/// ```
/// use underseal_message::{Filter, Message, Verdict};
///
/// let no_secrets = |message: &mut Message<'_>| match message.pull(..) {
///     Ok(bytes) if bytes.starts_with(b"secret") => Verdict::Drop,
///     _ => Verdict::<usize>::Pass,
/// };
/// let filter = Filter::egress(no_secrets);
/// # drop(filter);
/// ```
///
/// A program that panics is never run again: its [`crate::Filter`] refuses everything from then on.
pub trait Program<K = usize> {
    /// Judges `message`. It is run once per write or per receive, again for the bytes that
    /// [`Message::apply_bytes`] leaves over, and again with more bytes after
    /// [`Message::cork_bytes`].
    fn run(&mut self, message: &mut Message<'_>) -> Verdict<K>;

    /// Why it ended the stream. It is asked after each run that answered [`Verdict::Drop`]. A
    /// program that ends the stream covers all that follows, with [`Message::apply_bytes`] of
    /// `u64::MAX`; whoever writes or reads is told the reason, as [`crate::Denied::Ended`].
    fn error(&self) -> Option<ParseError> {
        None
    }

    /// Bytes that it must be able to hold, with [`Message::cork_bytes`]: a filter whose
    /// [`crate::Filter::cork_limit`] is lower is not attached to a stream.
    fn longest_cork(&self) -> u64 {
        0
    }
}

impl<K, F> Program<K> for F
where
    F: FnMut(&mut Message<'_>) -> Verdict<K>,
{
    fn run(&mut self, message: &mut Message<'_>) -> Verdict<K> {
        self(message)
    }
}

impl<K> Program<K> for Box<dyn Program<K> + Send> {
    fn run(&mut self, message: &mut Message<'_>) -> Verdict<K> {
        (**self).run(message)
    }

    fn error(&self) -> Option<ParseError> {
        (**self).error()
    }

    fn longest_cork(&self) -> u64 {
        (**self).longest_cork()
    }
}
