//! The addresses of backends that have names, looked up again and again.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::{Address, At};
use underseal_server::current::{Current, Latest};

/// How long what a name stands for is believed.
const BELIEVED: Duration = Duration::from_secs(30);

/// A name and what it stands for.
#[derive(Clone)]
pub struct Name {
    /// Without brackets, and without port.
    pub host: Box<str>,
    /// The port.
    pub port: u16,
    /// What it stood for the last time.
    pub sockets: Arc<Current<Vec<SocketAddr>>>,
}

impl Name {
    /// Looks a name up for the first time.
    ///
    /// # Errors
    /// What the system says; `NotFound` if there is nothing behind it.
    pub fn resolve(host: &str, port: u16) -> io::Result<Self> {
        let sockets = resolve(host, port)?;
        Ok(Self {
            host: host.into(),
            port,
            sockets: Current::new(sockets),
        })
    }

    /// Puts in force what the name stands for now. Where that cannot be found out, the old stays.
    fn renew(&self, found: io::Result<Vec<SocketAddr>>) {
        let name = &self.host;
        match found {
            // In another order it is the same answer.
            Ok(found) if sorted(&found) == sorted(&Latest::of(&self.sockets).get()) => {}
            Ok(found) => {
                tracing::info!("backend {name} is at other addresses: {found:?}");
                self.sockets.replace(found);
            }
            Err(error) => tracing::warn!("backend {name} stays where it was: {error}"),
        }
    }
}

fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let sockets: Vec<_> = (host, port).to_socket_addrs()?.collect();
    match sockets.is_empty() {
        true => Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the name has no address",
        )),
        false => Ok(sockets),
    }
}

fn sorted(sockets: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut sockets = sockets.to_vec();
    sockets.sort();
    sockets
}

/// Has a thread look the names up every 30 seconds; the system does not tell for how long they hold.
/// Addresses stand for themselves.
///
/// # Errors
/// When no thread can be made.
pub fn keep_resolving(backends: &[Address]) -> io::Result<()> {
    let name = |backend: &Address| match &backend.at {
        At::Name(name) if name.host.parse::<IpAddr>().is_err() => Some(name.clone()),
        At::Name(_) | At::Path(_) => None,
    };
    let names: Vec<_> = backends.iter().filter_map(name).collect();
    if names.is_empty() {
        return Ok(());
    }
    look_up_every(BELIEVED, names, |name| resolve(&name.host, name.port))
}

/// Has a thread look names up, for ever, with a pause of `believed` before each time.
fn look_up_every(
    believed: Duration,
    names: Vec<Name>,
    resolve: impl Fn(&Name) -> io::Result<Vec<SocketAddr>> + Send + 'static,
) -> io::Result<()> {
    let resolver = thread::Builder::new().name("names".to_owned());
    let endless = move || {
        loop {
            thread::sleep(believed);
            for name in &names {
                name.renew(resolve(name));
            }
        }
    };
    resolver.spawn(endless).map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_next_connection_goes_where_the_name_leads_now() {
        let old: SocketAddr = "192.0.2.1:80".parse().expect("an address");
        let new: SocketAddr = "192.0.2.2:80".parse().expect("an address");
        let name = Name {
            host: "a.test".into(),
            port: 80,
            sockets: Current::new(vec![old]),
        };
        let latest = Latest::of(&name.sockets);
        name.renew(Err(io::ErrorKind::TimedOut.into()));
        assert_eq!(**latest.get(), [old]);
        name.renew(Ok(vec![new, old]));
        assert_eq!(**latest.get(), [new, old]);
        name.renew(Ok(vec![old, new]));
        assert_eq!(**latest.get(), [new, old]);
    }

    #[test]
    fn names_are_looked_up_again_and_again() {
        let (answer, answers) = mpsc::channel();
        let name = Name {
            host: "a.test".into(),
            port: 80,
            sockets: Current::new(Vec::new()),
        };
        let latest = Latest::of(&name.sockets);
        look_up_every(Duration::from_millis(1), vec![name], move |name| {
            assert_eq!((&*name.host, name.port), ("a.test", 80));
            // Once the test is over, for ever.
            answers.recv().unwrap_or_else(|_| {
                loop {
                    thread::park();
                }
            })
        })
        .expect("a thread");
        for last in 1..4 {
            let socket = SocketAddr::from(([192, 0, 2, last], 80));
            answer.send(Ok(vec![socket])).expect("it is asked again");
            let deadline = Instant::now() + Duration::from_secs(15);
            while **latest.get() != [socket] {
                assert!(Instant::now() < deadline, "it is not looked up again");
                thread::yield_now();
            }
        }
    }
}
