//! CPU time and rate of bulk data over loopback TCP, in each direction.
//!
//! The measured side has a core to itself and the other side is the same for every row: for `send`
//! a thread that drains the socket, for `receive` one that pours out records sealed beforehand.

use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::scope;

use anyhow::anyhow;

use crate::context::Context;
use crate::cpu_time::pin_to;
use crate::credentials::Provider;
use crate::pairs::{Cost, RECORD, client_handshake, drain, pour, seal_ahead, tcp_pair};
use crate::rows::{Row, Tuning};
use crate::run::Samples;

/// Bytes of one write, for `send`.
pub const WRITE_SIZES: [usize; 5] = [1 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20];
/// Bytes asked for in one read, for `receive`.
pub const READ_BUFFERS: [usize; 3] = [16 << 10, 64 << 10, 256 << 10];

/// Header, type byte and tag of a TLS 1.3 record.
const OVERHEAD: u64 = 5 + 1 + 16;

/// Measures sending.
///
/// # Errors
///
/// When a row fails.
pub fn send(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    for row in context.rows(round) {
        for write_size in WRITE_SIZES {
            let total = whole_writes(context.scale.stream_bytes, write_size);
            let tuning = Tuning {
                write_size,
                ..Tuning::default()
            };
            let (own, peer) = send_once(context, row, tuning, total)?;
            let elapsed = (peer.ended - own.began).as_secs_f64();
            let at = ("send", row.name(), write_size.to_string());
            keep(
                samples,
                (at.0, at.1, &at.2, round),
                own,
                peer,
                (total, elapsed),
            );
        }
    }
    Ok(())
}

/// Measures receiving.
///
/// # Errors
///
/// When a row fails.
pub fn receive(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    for row in context.rows(round) {
        for read_buffer in READ_BUFFERS {
            let total = context.scale.stream_bytes;
            let tuning = Tuning {
                read_buffer,
                ..Tuning::default()
            };
            let (own, peer) = receive_once(context, row, tuning, total)?;
            let elapsed = (own.ended - own.began).as_secs_f64();
            let at = ("receive", row.name(), read_buffer.to_string());
            keep(
                samples,
                (at.0, at.1, &at.2, round),
                own,
                peer,
                (total, elapsed),
            );
        }
    }
    Ok(())
}

/// Bytes of full records with `total` bytes of plaintext.
pub(crate) fn on_the_wire(total: u64) -> u64 {
    total + total.div_ceil(RECORD as u64) * OVERHEAD
}

/// Small writes cost much more per byte: fewer bytes of them take as long.
pub(crate) fn whole_writes(total: u64, write_size: usize) -> u64 {
    let total = if write_size < RECORD {
        total / 4
    } else {
        total
    };
    total - total % write_size as u64
}

pub(crate) fn keep(
    samples: &mut Samples,
    at: (&str, &str, &str, u32),
    own: Cost,
    peer: Cost,
    (total, elapsed): (u64, f64),
) {
    let gigabytes = total as f64 / 1e9;
    samples.add(
        at,
        &[
            ("cpu_s_per_gb", own.cpu.as_secs_f64() / gigabytes),
            ("peer_cpu_s_per_gb", peer.cpu.as_secs_f64() / gigabytes),
            ("gb_per_s", gigabytes / elapsed),
        ],
    );
}

pub(crate) fn send_once(
    context: &Context,
    row: &dyn Row,
    tuning: Tuning,
    total: u64,
) -> anyhow::Result<(Cost, Cost)> {
    let config = context.credentials.client(Provider::Ring)?;
    let encrypts = row.encrypts();
    transfer(
        context,
        |tcp, ready| {
            let mut link = row.accept(tcp, tuning)?;
            ready.wait()?;
            Cost::of(|| Ok(link.send(total)?))
        },
        |mut tcp, ready| {
            if encrypts {
                client_handshake(&config, &mut tcp)?;
            }
            ready.wait()?;
            Cost::of(|| arrived(drain(&mut tcp)?, total))
        },
    )
}

fn arrived(count: u64, total: u64) -> anyhow::Result<()> {
    if count < total {
        Err(anyhow!("{count} of {total} bytes arrived"))
    } else {
        Ok(())
    }
}

pub(crate) fn receive_once(
    context: &Context,
    row: &dyn Row,
    tuning: Tuning,
    total: u64,
) -> anyhow::Result<(Cost, Cost)> {
    let config = context.credentials.client(Provider::Ring)?;
    let encrypts = row.encrypts();
    let sealed = &context.sealed;
    // Plain TCP takes the very same bytes from the wire as everybody else.
    let on_the_wire = on_the_wire(total);
    transfer(
        context,
        |tcp, ready| {
            let mut link = row.accept(tcp, tuning)?;
            ready.wait()?;
            let wanted = if encrypts { total } else { on_the_wire };
            Cost::of(|| Ok(link.receive(wanted)?))
        },
        |mut tcp, ready| {
            let mut sealed = sealed.lock().map_err(|_| anyhow!("a sender panicked"))?;
            if encrypts {
                let mut connection = client_handshake(&config, &mut tcp)?;
                seal_ahead(&mut connection, total, &mut sealed)?;
            } else {
                sealed.resize(usize::try_from(on_the_wire)?, 0);
            }
            ready.wait()?;
            let cost = Cost::of(|| pour(&mut tcp, &sealed))?;
            // Closing with tickets unread would reset the connection under the receiver's feet.
            drain(&mut tcp)?;
            Ok(cost)
        },
    )
}

/// Where one side meets the other once, when both are ready to move data.
#[derive(Debug)]
pub(crate) struct Meeting {
    here: Sender<()>,
    there: Receiver<()>,
}

impl Meeting {
    fn pair() -> (Self, Self) {
        let ((a, from_a), (b, from_b)) = (channel(), channel());
        (
            Self {
                here: a,
                there: from_b,
            },
            Self {
                here: b,
                there: from_a,
            },
        )
    }

    /// Waits for the other side.
    ///
    /// # Errors
    ///
    /// When it has failed: nobody waits for the dead.
    pub(crate) fn wait(&self) -> anyhow::Result<()> {
        let met = self.here.send(()).is_ok() && self.there.recv().is_ok();
        if met {
            Ok(())
        } else {
            Err(anyhow!(NEVER_CAME))
        }
    }
}

const NEVER_CAME: &str = "the other side failed";

/// Runs both sides of a connection, each on its core, and returns what either cost.
pub(crate) fn transfer(
    context: &Context,
    own: impl FnOnce(TcpStream, &Meeting) -> anyhow::Result<Cost> + Send,
    peer: impl FnOnce(TcpStream, &Meeting) -> anyhow::Result<Cost> + Send,
) -> anyhow::Result<(Cost, Cost)> {
    let (near, far) = tcp_pair()?;
    let (here, there) = Meeting::pair();
    let cores = context.cores;
    scope(|scope| {
        let own = scope.spawn(move || pin_to(cores.measured).and_then(|()| own(near, &here)));
        let peer = scope.spawn(move || pin_to(cores.peer).and_then(|()| peer(far, &there)));
        let own = own
            .join()
            .unwrap_or_else(|_| Err(anyhow!("the measured side panicked")));
        let peer = peer
            .join()
            .unwrap_or_else(|_| Err(anyhow!("the fixed peer panicked")));
        match (own, peer) {
            // The cause, and not its echo.
            (Err(echo), Err(cause)) if echo.to_string() == NEVER_CAME => Err(cause),
            (own, peer) => Ok((own?, peer?)),
        }
    })
}
