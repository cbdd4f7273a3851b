//! A TLS stream with a program on what it sends, or on what it receives, beside one without.

use std::net::TcpStream;

use underseal::blocking::TlsStream;
use underseal::message::{
    ByMessage, Filter, LengthPrefixed, Message, MessageDirection, Peer, Program, StreamParser,
    Verdict, Width,
};
use underseal::{ClientConnection, Error};

use crate::context::Context;
use crate::pairs::RECORD;
use crate::rows::blocking::{Blocking, BlockingRow};
use crate::rows::underseal::{ServerStream, Underseal};
use crate::rows::{Row, Tuning};
use crate::run::Samples;
use crate::streams::{keep, receive_once, send_once, whole_writes};

/// Names of the rows.
pub mod name {
    /// A stream as it is.
    pub const NONE: &str = "no program";
    /// A program that looks at nothing.
    pub const PASS: &str = "passes everything";
    /// A program that looks at the first four bytes of each message.
    pub const LOOK: &str = "looks at 4 bytes";
    /// A program that is run once.
    pub const APPLY: &str = "covers all in advance";
    /// A program that waits for 4 KiB.
    pub const CORK: &str = "corks to 4 KiB";
    /// A program that is given messages of 16 KiB, which a parser finds.
    pub const MESSAGES: &str = "by message, 16 KiB each";
}

/// Bytes of one write; a message is a write.
const WRITE_SIZES: [usize; 3] = [1 << 10, 16 << 10, 256 << 10];
/// Bytes asked for in one read; messages are what was received together.
const READ_BUFFERS: [usize; 2] = [16 << 10, 256 << 10];

/// Measures a program on what is sent.
///
/// # Errors
///
/// When a row fails.
pub fn send(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    for write_size in WRITE_SIZES {
        for row in rows(context, MessageDirection::Egress, round)? {
            let total = whole_writes(context.scale.stream_bytes, write_size);
            let tuning = Tuning {
                write_size,
                ..Tuning::default()
            };
            let (own, peer) = send_once(context, &row, tuning, total)?;
            let elapsed = (peer.ended - own.began).as_secs_f64();
            let setting = write_size.to_string();
            let at = ("program send", row.name(), &*setting, round);
            keep(samples, at, own, peer, (total, elapsed));
        }
    }
    Ok(())
}

/// Measures a program on what is received.
///
/// # Errors
///
/// When a row fails.
pub fn receive(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    for read_buffer in READ_BUFFERS {
        for row in rows(context, MessageDirection::Ingress, round)? {
            let total = whole_writes(context.scale.stream_bytes, RECORD);
            let tuning = Tuning {
                read_buffer,
                ..Tuning::default()
            };
            let (own, peer) = receive_once(context, &row, tuning, total)?;
            let elapsed = (own.ended - own.began).as_secs_f64();
            let setting = read_buffer.to_string();
            let at = ("program receive", row.name(), &*setting, round);
            keep(samples, at, own, peer, (total, elapsed));
        }
    }
    Ok(())
}

/// Attaches a row's program.
type Attach = fn(&mut ServerStream, MessageDirection) -> Result<(), Error>;

const PROGRAMS: [(&str, Attach); 6] = [
    (name::NONE, |_, _| Ok(())),
    (name::PASS, |stream, direction| {
        attach(stream, direction, |_: &mut Message<'_>| Verdict::Pass)
    }),
    (name::LOOK, |stream, direction| {
        attach(stream, direction, look)
    }),
    (name::APPLY, |stream, direction| {
        attach(stream, direction, |message: &mut Message<'_>| {
            message.apply_bytes(u64::MAX);
            Verdict::Pass
        })
    }),
    (name::CORK, |stream, direction| {
        attach(stream, direction, cork)
    }),
    (name::MESSAGES, |stream, direction| {
        let parser = StreamParser::new(messages(), RECORD as u64);
        attach(stream, direction, ByMessage::new(parser, look))
    }),
];

fn attach(
    stream: &mut ServerStream,
    direction: MessageDirection,
    program: impl Program<Peer> + Send + 'static,
) -> Result<(), Error> {
    stream.attach(match direction {
        MessageDirection::Egress => Filter::egress(program),
        MessageDirection::Ingress => Filter::ingress(program),
    })
}

fn look(message: &mut Message<'_>) -> Verdict<Peer> {
    match message.pull(..4) {
        Ok([0xff, ..]) => Verdict::Drop,
        _ => Verdict::Pass,
    }
}

fn cork(message: &mut Message<'_>) -> Verdict<Peer> {
    // At the end of the stream there may be less.
    let _ = message.cork_bytes(4 << 10);
    Verdict::Pass
}

/// Every byte of a transfer is `Z`: what a length field of two of them says is adjusted to one
/// record.
fn messages() -> LengthPrefixed {
    let said = i64::from(u16::from_be_bytes([0x5a; 2]));
    LengthPrefixed::new(Width::U16).adjust(RECORD as i64 - 2 - said)
}

fn rows(
    context: &Context,
    direction: MessageDirection,
    round: u32,
) -> anyhow::Result<Vec<Blocking<Judged>>> {
    let wanted = PROGRAMS.into_iter().filter(|(name, _)| context.wants(name));
    let rows = wanted.map(|(name, attach)| {
        Ok(Blocking(Judged {
            name,
            underseal: Underseal::new(&context.credentials)?,
            direction,
            attach,
        }))
    });
    let rows = rows.collect::<anyhow::Result<_>>()?;
    Ok(context.in_turn(rows, round))
}

/// A stream with a program.
struct Judged {
    name: &'static str,
    underseal: Underseal,
    direction: MessageDirection,
    attach: Attach,
}

impl BlockingRow for Judged {
    type Server = ServerStream;
    type Client = TlsStream<TcpStream, ClientConnection>;

    fn name(&self) -> &'static str {
        self.name
    }

    fn accept(&self, tcp: TcpStream, tuning: Tuning) -> anyhow::Result<Self::Server> {
        let mut stream = self.underseal.accept(tcp, tuning)?;
        (self.attach)(&mut stream, self.direction)?;
        Ok(stream)
    }

    fn connect(&self, tcp: TcpStream, tuning: Tuning) -> anyhow::Result<Self::Client> {
        self.underseal.connect(tcp, tuning)
    }
}
