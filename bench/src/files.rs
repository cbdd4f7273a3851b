//! The ways of Watson's table to send a file from the page cache over TLS: read and write, map and
//! write, and one call for all of it.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;

use crate::aligned::Aligned;
use crate::context::Context;
use crate::credentials::Provider;
use crate::pairs::{Cost, client_handshake, drain};
use crate::rows::blocking::{BlockingRow, piece};
use crate::rows::plain::Plain;
use crate::rows::rustls::Rustls;
use crate::rows::underseal::{ServerStream, Underseal};
use crate::rows::{Tuning, name};
use crate::run::Samples;
use crate::streams::transfer;

/// What each `read` and `write` moves.
const PIECE: usize = 256 * 1024;
const TUNING: Tuning = Tuning {
    write_size: PIECE,
    read_buffer: 0,
};

/// Measures every way.
///
/// # Errors
///
/// When the file cannot be made, or a way fails.
pub fn measure(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    let path = file_of(context)?;
    let underseal = Underseal::new(&context.credentials)?;
    let ring = Rustls::new(&context.credentials, Provider::Ring)?;
    let aws = Rustls::new(&context.credentials, Provider::AwsLcRs)?;
    let ways: Vec<Way<'_>> = vec![
        ("read+write", name::PLAIN, way(&Plain, read_and_write)),
        ("sendfile", name::PLAIN, way(&Plain, kernel_sendfile)),
        (
            "read+write",
            name::UNDERSEAL,
            way(&underseal, read_and_write),
        ),
        (
            "mmap+write",
            name::UNDERSEAL,
            way(&underseal, map_and_write),
        ),
        ("send_file", name::UNDERSEAL, way(&underseal, send_file)),
        ("read+write", name::RUSTLS_RING, way(&ring, read_and_write)),
        ("mmap+write", name::RUSTLS_RING, way(&ring, map_and_write)),
        ("read+write", name::RUSTLS_AWS, way(&aws, read_and_write)),
    ];
    for (setting, row, way) in context.in_turn(ways, round) {
        if !context.wants(row) {
            continue;
        }
        let (own, peer) = way(context, &path)?;
        let gigabytes = context.scale.file_bytes as f64 / 1e9;
        let elapsed = (peer.ended - own.began).as_secs_f64();
        samples.add(
            ("file", row, setting, round),
            &[
                ("cpu_s_per_gb", own.cpu.as_secs_f64() / gigabytes),
                ("peer_cpu_s_per_gb", peer.cpu.as_secs_f64() / gigabytes),
                ("gb_per_s", gigabytes / elapsed),
            ],
        );
    }
    Ok(())
}

/// A file of the scale's size, in the page cache and on disk; made when first asked for.
///
/// # Errors
///
/// When there is no room for it.
pub fn file_of(context: &Context) -> anyhow::Result<PathBuf> {
    let path = context.directory.path().join("www").join("big");
    if !path.exists() {
        std::fs::create_dir_all(path.parent().context("no directory")?)?;
        let made = write_file(&path, context.scale.file_bytes);
        made.with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(path)
}

fn write_file(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    io::copy(&mut io::repeat(0x5a).take(bytes), &mut file)?;
    // Written back now, and not by the kernel in the middle of a measurement.
    file.sync_all()
}

/// Setting, row, and how to run it.
type Way<'a> = (&'static str, &'static str, Box<Run<'a>>);
/// Sends the file at the path to a fixed peer; returns what either side cost.
type Run<'a> = dyn Fn(&Context, &Path) -> anyhow::Result<(Cost, Cost)> + 'a;

fn way<'a, R: BlockingRow>(
    row: &'a R,
    push: fn(&mut R::Server, &Arc<File>, u64) -> anyhow::Result<()>,
) -> Box<Run<'a>> {
    Box::new(move |context, path| {
        let file = Arc::new(File::open(path).context("cannot open the file")?);
        let config = context.credentials.client(Provider::Ring)?;
        let bytes = context.scale.file_bytes;
        transfer(
            context,
            |tcp: TcpStream, ready| {
                let mut stream = row.accept(tcp, TUNING)?;
                ready.wait()?;
                Cost::of(|| push(&mut stream, &file, bytes))
            },
            |mut tcp, ready| {
                if row.encrypts() {
                    client_handshake(&config, &mut tcp)?;
                }
                ready.wait()?;
                Cost::of(|| {
                    let count = drain(&mut tcp)?;
                    anyhow::ensure!(count >= bytes, "{count} of {bytes} bytes arrived");
                    Ok(())
                })
            },
        )
    })
}

pub(crate) fn read_and_write<S: Write>(
    stream: &mut S,
    file: &Arc<File>,
    bytes: u64,
) -> anyhow::Result<()> {
    let mut buffer = Aligned::filled(0, PIECE);
    let mut at = 0;
    while at < bytes {
        let wanted = piece(bytes - at, PIECE);
        match file.read_at(&mut buffer[..wanted], at)? {
            0 => anyhow::bail!("the file ended early"),
            count => {
                stream.write_all(&buffer[..count])?;
                at += count as u64;
            }
        }
    }
    Ok(stream.flush()?)
}

pub(crate) fn map_and_write<S: Write>(
    stream: &mut S,
    file: &Arc<File>,
    _: u64,
) -> anyhow::Result<()> {
    let map: vmap::Map = vmap::Map::with_options().map(file.as_ref())?;
    for piece in map.chunks(PIECE) {
        stream.write_all(piece)?;
    }
    Ok(stream.flush()?)
}

pub(crate) fn kernel_sendfile(
    stream: &mut TcpStream,
    file: &Arc<File>,
    bytes: u64,
) -> anyhow::Result<()> {
    let mut at = 0;
    while at < bytes {
        let wanted = usize::try_from(bytes - at)?;
        if rustix::fs::sendfile(&*stream, file.as_ref(), Some(&mut at), wanted)? == 0 {
            anyhow::bail!("the file ended early");
        }
    }
    Ok(())
}

pub(crate) fn send_file(
    stream: &mut ServerStream,
    file: &Arc<File>,
    bytes: u64,
) -> anyhow::Result<()> {
    let sent = stream.send_file(file, 0..bytes)?;
    anyhow::ensure!(sent == bytes, "the file ended early");
    Ok(stream.flush()?)
}
