//! A server process under measurement.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Signal, kill_process};

use crate::cpu_time::pid_of;

/// Time that a server has to start, and to stop.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running server; stopped when dropped.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    child: Child,
    address: SocketAddr,
    tls: bool,
}

impl Server {
    /// Starts `command` and waits until it listens on `address`.
    ///
    /// # Errors
    ///
    /// When the program cannot be started, ends, or does not listen in time.
    pub fn start(
        name: &'static str,
        command: &mut Command,
        address: SocketAddr,
        tls: bool,
    ) -> anyhow::Result<Self> {
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let mut server = Self {
            name,
            child,
            address,
            tls,
        };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("{name} ended at once: {status}");
            }
            if Instant::now() > deadline {
                bail!("{name} does not listen on {address}");
            }
            sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// What the tables call it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its process; workers are children of it.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it speaks TLS.
    pub fn speaks_tls(&self) -> bool {
        self.tls
    }

    /// Asks it to stop, and insists when it does not.
    fn stop(&mut self) -> anyhow::Result<()> {
        kill_process(pid_of(&self.child)?, Signal::TERM)?;
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                self.child.kill()?;
            }
            sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("cannot stop {}: {error:#}", self.name);
        }
    }
}

/// An address on loopback that nobody listens on at the moment.
///
/// # Errors
///
/// When there is no free port.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?)
}
