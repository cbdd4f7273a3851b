//! Sends an answer: its buffered part with one write, the rest from the file.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::pin::pin;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use super::answer::{Reply, Rest};
use super::stream::TlsStream;
use underseal_server::deadline::{Deadline, Stop};
use underseal_server::live::Registration;

/// Bytes asked of one `send_file`: so often it is recorded how far a download has come.
const PIECE: u64 = 1024 * 1024;

/// Why an answer was cut short.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The client, or the way to it, failed.
    Connection(io::Error),
    /// The client stopped reading for longer than is allowed.
    Stalled,
    /// The server was told to end at once.
    Ended,
    /// The file has fewer bytes than it had when the head was written.
    FileShrank,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(error) => write!(f, "cut short: {error}"),
            Self::Stalled => f.write_str("cut short: client stopped reading"),
            Self::Ended => f.write_str("cut short: server ended"),
            Self::FileShrank => f.write_str("cut short: file shrank"),
        }
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Connection(error)
    }
}

/// A stream, and where it is recorded how far it has come.
pub(crate) struct Sender<'a> {
    pub(crate) stream: &'a mut TlsStream,
    pub(crate) registration: &'a Registration,
}

impl Sender<'_> {
    fn record_counters(&self) {
        let (counters, engines) = (self.stream.counters(), self.stream.engines());
        self.registration.record_counters(counters, engines);
    }

    async fn write_all(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.stream.write_all(bytes).await?;
        self.record_counters();
        Ok(())
    }

    /// Writes the head, and as much of the body as is `inline` behind it.
    async fn write_out(&mut self, out: &[u8], inline: u64, sent: &mut Sent) -> Result<(), Broken> {
        let mut unwritten = out;
        while !unwritten.is_empty() {
            let taken = self.stream.write(unwritten).await?;
            if taken == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
            unwritten = &unwritten[taken..];
            sent.has_begun = true;
            sent.before = inline.saturating_sub(unwritten.len() as u64);
        }
        self.record_counters();
        Ok(())
    }

    async fn send_range(
        &mut self,
        file: &File,
        range: &Range<u64>,
        sent: &mut Sent,
    ) -> Result<(), Broken> {
        let mut start = range.start;
        while start < range.end {
            let end = range.end.min(start.saturating_add(PIECE));
            sent.begin(start..end);
            self.stream.send_file(file, &mut sent.piece).await?;
            self.record_counters();
            if !sent.piece.is_empty() {
                return Err(Broken::FileShrank);
            }
            start = end;
        }
        Ok(())
    }
}

/// What came of an answer.
pub(crate) struct Transferred {
    /// Whether TLS took anything of it.
    pub(crate) has_begun: bool,
    /// Bytes of body that were sent.
    pub(crate) bytes: u64,
    /// Why the rest was not.
    pub(crate) broken: Option<Broken>,
}

/// What was sent of it, also by a call that failed or was given up.
#[derive(Default)]
struct Sent {
    has_begun: bool,
    /// Bytes of body.
    before: u64,
    /// What of the file is being sent, and where it began.
    piece: Range<u64>,
    start: u64,
}

impl Sent {
    fn add(&mut self, len: usize) {
        self.before += len as u64;
    }

    fn begin(&mut self, piece: Range<u64>) {
        self.before = self.total();
        self.start = piece.start;
        self.piece = piece;
    }

    fn total(&self) -> u64 {
        self.before + (self.piece.start - self.start)
    }
}

/// Sends `out`, then the rest of `reply`.
pub(crate) async fn send(
    sender: &mut Sender<'_>,
    deadline: &Deadline,
    stall: Duration,
    out: &[u8],
    reply: &Reply,
) -> Transferred {
    let mut sent = Sent::default();
    let transferred = match &reply.rest {
        Rest::Nothing => {
            deadline
                .while_moving(
                    stall,
                    pin!(write(sender, out, reply.inline_body, &mut sent)),
                )
                .await
        }
        // Boxed so that connections which never send a large file do not carry its state.
        Rest::File { .. } | Rest::Parts { .. } => {
            let mut transfer = Box::pin(transfer(sender, out, reply, &mut sent));
            deadline.while_moving(stall, transfer.as_mut()).await
        }
    };
    let broken = match transferred {
        Ok(result) => result.err(),
        Err(Stop::TimedOut) => Some(Broken::Stalled),
        Err(Stop::Closing | Stop::Ended) => Some(Broken::Ended),
    };
    Transferred {
        has_begun: sent.has_begun,
        bytes: sent.total(),
        broken,
    }
}

async fn write(
    sender: &mut Sender<'_>,
    out: &[u8],
    inline: u64,
    sent: &mut Sent,
) -> Result<(), Broken> {
    sender.write_out(out, inline, sent).await?;
    Ok(sender.stream.flush().await?)
}

async fn transfer(
    sender: &mut Sender<'_>,
    out: &[u8],
    reply: &Reply,
    sent: &mut Sent,
) -> Result<(), Broken> {
    sender.write_out(out, reply.inline_body, sent).await?;
    match &reply.rest {
        Rest::Nothing => {}
        Rest::File { file, range } => sender.send_range(file, range, sent).await?,
        Rest::Parts { file, layout } => {
            for part in &layout.parts {
                sender.write_all(&part.preamble).await?;
                sent.add(part.preamble.len());
                sender.send_range(file, &part.range, sent).await?;
            }
            sender.write_all(&layout.trailer).await?;
            sent.add(layout.trailer.len());
        }
    }
    Ok(sender.stream.flush().await?)
}
