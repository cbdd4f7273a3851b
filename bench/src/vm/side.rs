//! A process that is one side of a transfer, so that the CPU time of either side is that of a
//! process, for C programs as for our own rows.
//!
//! Descriptor 0 is the connected TCP socket. On descriptor 1, a Unix socket, the side says `ready`
//! when its handshake is over, waits until it is told `go`, moves 256 KiB, then what is to be measured,
//! and says `done` with the nanoseconds of CPU time that the latter took it.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum;
use underseal::Offload;

use crate::credentials::{Credentials, Provider, Suite};
use crate::files;
use crate::pairs::{Cost, client_handshake, drain, pour, seal_ahead};
use crate::rows::blocking::{Blocking, BlockingRow};
use crate::rows::openssl::OpenSsl;
use crate::rows::plain::Plain;
use crate::rows::rustls::Rustls;
use crate::rows::underseal::Underseal;
use crate::rows::{Row, Tuning, name};
use crate::streams::on_the_wire;

/// Bytes that are moved before the clock is started: a program's pages are read into memory when
/// they are first run, and a large program has more of them. Whole records, as the bytes measured.
const WARM_UP: u64 = 256 << 10;

/// What a side does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Writes, as the server.
    Send,
    /// Sends a file in the way that the row is best at, as the server.
    File,
    /// Reads, as the server.
    Receive,
    /// Reads, as the client.
    ReceiveAsClient,
    /// The fixed receiver: handshakes, then forgets what comes without opening it.
    Drain,
    /// The fixed sender: handshakes, then pours out what it sealed beforehand.
    Pour,
}

impl Role {
    /// The word on the command line.
    pub fn word(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Options of `underseal-bench side`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The row
    #[arg(long)]
    row: String,
    /// What it does
    #[arg(long)]
    role: Role,
    /// Plaintext to move
    #[arg(long)]
    bytes: u64,
    /// Bytes of each write or read
    #[arg(long)]
    piece: usize,
    /// The only suite
    #[arg(long)]
    suite: Suite,
    /// Where cert.pem, key.pem and the file are
    #[arg(long)]
    directory: PathBuf,
}

/// Plays one side.
///
/// # Errors
///
/// When the row is unknown, or the transfer fails.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let tcp = TcpStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let control = UnixStream::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut side = Side {
        control: BufReader::new(control),
        credentials: Credentials::read_below(&options.directory)?.with_suite(options.suite),
        options,
    };
    side.play(tcp)
        .with_context(|| format!("{} as {:?}", options.row, options.role))
}

struct Side<'a> {
    control: BufReader<UnixStream>,
    credentials: Credentials,
    options: &'a Options,
}

impl Side<'_> {
    fn play(&mut self, tcp: TcpStream) -> anyhow::Result<()> {
        let Options { role, bytes, .. } = *self.options;
        match role {
            Role::Send => {
                let mut link = self.row()?.accept(tcp, self.tuning())?;
                self.measure(bytes, |bytes| Ok(link.send(bytes)?))
            }
            Role::Receive => {
                let row = self.row()?;
                let plain = !row.encrypts();
                let mut link = row.accept(tcp, self.tuning())?;
                self.measure(bytes, |bytes| {
                    let wanted = if plain { on_the_wire(bytes) } else { bytes };
                    Ok(link.receive(wanted)?)
                })
            }
            Role::ReceiveAsClient => {
                let mut link = self.row()?.connect(tcp, self.tuning())?;
                self.measure(bytes, |bytes| Ok(link.receive(bytes)?))
            }
            Role::File => self.send_file(tcp),
            Role::Drain => self.drain(tcp),
            Role::Pour => self.pour(tcp),
        }
    }

    fn drain(&mut self, mut tcp: TcpStream) -> anyhow::Result<()> {
        if self.row()?.encrypts() {
            let config = self.credentials.client(Provider::Ring)?;
            client_handshake(&config, &mut tcp)?;
        }
        let bytes = WARM_UP + self.options.bytes;
        self.start()?;
        let cost = Cost::of(|| {
            let count = drain(&mut tcp)?;
            ensure!(count >= bytes, "{count} of {bytes} bytes arrived");
            Ok(())
        })?;
        self.done(cost)
    }

    fn pour(&mut self, mut tcp: TcpStream) -> anyhow::Result<()> {
        let bytes = WARM_UP + self.options.bytes;
        let mut sealed = Vec::new();
        if self.row()?.encrypts() {
            let config = self.credentials.client(Provider::Ring)?;
            let mut connection = client_handshake(&config, &mut tcp)?;
            seal_ahead(&mut connection, bytes, &mut sealed)?;
        } else {
            sealed.resize(usize::try_from(on_the_wire(bytes))?, 0);
        }
        self.start()?;
        let cost = Cost::of(|| pour(&mut tcp, &sealed))?;
        self.done(cost)?;
        // Closing with tickets unread would reset the connection under the receiver's feet.
        drain(&mut tcp)?;
        Ok(())
    }

    fn send_file(&mut self, tcp: TcpStream) -> anyhow::Result<()> {
        let name = self.options.row.as_str();
        match name {
            name::PLAIN => self.push(&Plain, tcp, files::kernel_sendfile),
            name::RUSTLS_RING | name::RUSTLS_AWS => {
                let row = Rustls::new(&self.credentials, provider(name))?;
                self.push(&row, tcp, files::read_and_write)
            }
            name::OPENSSL => {
                let row = OpenSsl::new(&self.credentials)?;
                self.push(&row, tcp, files::read_and_write)
            }
            _ => {
                let row = underseal(&self.credentials, name)?;
                self.push(&row, tcp, files::send_file)
            }
        }
    }

    fn push<R: BlockingRow>(
        &mut self,
        row: &R,
        tcp: TcpStream,
        push: fn(&mut R::Server, &Arc<File>, u64) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let path = self.options.directory.join(super::FILE);
        let file = Arc::new(File::open(path).context("cannot open the file")?);
        let mut stream = row.accept(tcp, self.tuning())?;
        let bytes = self.options.bytes;
        self.measure(bytes, |bytes| push(&mut stream, &file, bytes))
    }

    fn row(&self) -> anyhow::Result<Box<dyn Row>> {
        let (credentials, name) = (&self.credentials, self.options.row.as_str());
        Ok(match name {
            name::PLAIN => Box::new(Blocking(Plain)),
            name::RUSTLS_RING | name::RUSTLS_AWS => {
                Box::new(Blocking(Rustls::new(credentials, provider(name))?))
            }
            name::OPENSSL => Box::new(Blocking(OpenSsl::new(credentials)?)),
            _ => Box::new(Blocking(underseal(credentials, name)?)),
        })
    }

    fn tuning(&self) -> Tuning {
        let piece = self.options.piece;
        match self.options.role {
            Role::Send | Role::File => Tuning {
                write_size: piece,
                read_buffer: 0,
            },
            _ => Tuning {
                write_size: 0,
                read_buffer: piece,
            },
        }
    }

    /// Waits for the other side, and takes the cost of moving `bytes` once the way is warm.
    fn measure(
        &mut self,
        bytes: u64,
        mut transfer: impl FnMut(u64) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.start()?;
        transfer(WARM_UP)?;
        let cost = Cost::of(|| transfer(bytes))?;
        self.done(cost)
    }

    fn start(&mut self) -> anyhow::Result<()> {
        self.say("ready")?;
        let mut go = String::new();
        self.control.read_line(&mut go)?;
        ensure!(!go.is_empty(), "nobody says go");
        Ok(())
    }

    fn done(&mut self, cost: Cost) -> anyhow::Result<()> {
        self.say(&format!("done {}", cost.cpu.as_nanos()))
    }

    fn say(&mut self, line: &str) -> anyhow::Result<()> {
        let said = writeln!(self.control.get_mut(), "{line}");
        said.context("nobody listens")
    }
}

fn provider(row: &str) -> Provider {
    if row == name::RUSTLS_AWS {
        Provider::AwsLcRs
    } else {
        Provider::Ring
    }
}

fn underseal(credentials: &Credentials, row: &str) -> anyhow::Result<Underseal> {
    match row {
        name::USER_ENGINE => {
            Underseal::with_engines(credentials, name::USER_ENGINE, Offload::User.into())
        }
        name::KERNEL_ENGINE => {
            Underseal::with_engines(credentials, name::KERNEL_ENGINE, Offload::Kernel.into())
        }
        _ => bail!("no row {row}"),
    }
}
