//! What the kernel knows of the sockets: whether its software or a device holds their records, and
//! which sockets of other programs have its TLS.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use underseal_sys::inet_diag::{self, Config, TcpSocket, TlsInfo};
use underseal_sys::tls::{Cipher, Version};

use underseal_server::live::{Engine, Row};

/// Corrects the engines of `rows` by what the kernel says. With `others`, adds the kernel's TLS
/// sockets that no row is about: of the processes in it, or of every process if it is empty.
///
/// # Errors
/// When the kernel does not list its sockets.
pub(crate) fn join(rows: &mut Vec<Row>, others: Option<&[u32]>) -> io::Result<()> {
    let mut with_tls: HashMap<_, _> = inet_diag::tcp_sockets()?
        .into_iter()
        .filter_map(|socket| {
            let tls = socket.ulp.as_ref()?.tls?;
            Some(((socket.local, socket.peer), (socket, tls)))
        })
        .collect();
    for row in rows.iter_mut() {
        // Both sides give an IPv4 client of an IPv6 socket its IPv4 address.
        if let Some((_, tls)) = with_tls.remove(&(row.local, row.peer)) {
            row.tx_engine = engine(tls.tx);
            row.rx_engine = engine(tls.rx);
        }
    }
    let Some(wanted) = others else {
        return Ok(());
    };
    let owners = if with_tls.is_empty() {
        HashMap::new()
    } else {
        socket_owners(Path::new("/proc"))
    };
    for (socket, tls) in with_tls.into_values() {
        let owner = owners.get(&socket.inode);
        if wanted.is_empty() || owner.is_some_and(|(pid, _)| wanted.contains(pid)) {
            rows.push(foreign(&socket, &tls, owner));
        }
    }
    Ok(())
}

fn engine(config: Config) -> Engine {
    match config {
        Config::Base => Engine::User,
        Config::Software => Engine::KernelSoftware,
        Config::Device | Config::DeviceTcp => Engine::KernelDevice,
        _ => Engine::Kernel,
    }
}

/// A version's name in the access log.
pub(super) fn version_name(wire: u16) -> String {
    match wire {
        _ if wire == Version::Tls12.to_wire() => "TLSv1_2".to_owned(),
        _ if wire == Version::Tls13.to_wire() => "TLSv1_3".to_owned(),
        _ => format!("{wire:#06x}"),
    }
}

/// A socket that no underseal process told of.
fn foreign(socket: &TcpSocket, tls: &TlsInfo, owner: Option<&(u32, String)>) -> Row {
    let version = tls.version.map(version_name);
    let cipher = tls.cipher.map(|id| match Cipher::from_id(id) {
        Some(cipher) => cipher.name().to_owned(),
        None => id.to_string(),
    });
    Row {
        pid: owner.map(|(pid, _)| *pid),
        command: owner.map(|(_, name)| name.clone()),
        local: socket.local,
        peer: socket.peer,
        age_seconds: None,
        tls: version,
        suite: cipher,
        tx_engine: engine(tls.tx),
        rx_engine: engine(tls.rx),
        tx_bytes: None,
        rx_bytes: None,
        tx_key_updates: None,
        rx_key_updates: None,
    }
}

/// Which process holds which socket, by inode: the one with the lowest id where several do.
/// Processes that this one may not look into are left out.
fn socket_owners(proc: &Path) -> HashMap<u32, (u32, String)> {
    let mut owners = HashMap::new();
    let mut pids: Vec<u32> = names_in(proc)
        .filter_map(|name| name.parse().ok())
        .collect();
    pids.sort_unstable();
    for pid in pids {
        let process = proc.join(pid.to_string());
        let descriptors = process.join("fd");
        for name in names_in(&descriptors) {
            let Some(inode) = socket_inode(&descriptors.join(name)) else {
                continue;
            };
            owners.entry(inode).or_insert_with(|| {
                let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
                (pid, name.trim_end().to_owned())
            });
        }
    }
    owners
}

pub(super) fn socket_inode(descriptor: &Path) -> Option<u32> {
    let target = fs::read_link(descriptor).ok()?;
    let inode = target.to_str()?.strip_prefix("socket:[")?;
    inode.strip_suffix(']')?.parse().ok()
}

pub(super) fn names_in(directory: &Path) -> impl Iterator<Item = String> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_owner_of_a_socket_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("bound");
        let client = TcpStream::connect(address).expect("connect");
        let local = client.local_addr().expect("connected");
        let socket = inet_diag::tcp_socket(local, address).expect("the kernel answers");
        let socket = socket.expect("the socket is there");
        let owners = socket_owners(Path::new("/proc"));
        let (pid, name) = owners.get(&socket.inode).expect("an owner");
        assert_eq!(*pid, std::process::id());
        let own = fs::read_to_string("/proc/self/comm").expect("proc");
        assert_eq!(name, own.trim_end());
    }

    #[test]
    fn who_holds_the_records_is_named() {
        for (config, name) in [
            (Config::Base, "user"),
            (Config::Software, "kernel-software"),
            (Config::Device, "kernel-device"),
            (Config::Other(9), "kernel"),
        ] {
            assert_eq!(engine(config).name(), name);
        }
    }
}
