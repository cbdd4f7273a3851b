//! The development certificate: made once, kept in the user's state directory, used whenever no
//! other is given, so that its fingerprint stays the same from start to start.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustix::fs::FlockOperation;

use underseal_server::certificate::Paths;
use underseal_server::live::directory;

use crate::exit::{Exit, Failure};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Some clients refuse certificates that are valid for more than 825 days.
const VALID_FOR: Duration = Duration::from_secs(800 * DAY.as_secs());
/// A certificate with less time left than this is replaced.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * DAY.as_secs());

/// Gives the development certificate, after making it if there is none for `listen` yet.
///
/// # Errors
/// [`Exit::Certificate`] when the state directory is unknown or cannot be written.
pub(crate) fn certificate(listen: SocketAddr) -> Result<Paths, Failure> {
    let dir = state_dir()?;
    keep_in(&dir, &names(listen)).map_err(|error| {
        let message = format!("cannot keep a certificate in `{}`: {error}", dir.display());
        Failure::new(Exit::Certificate, message, HINT)
    })
}

const HINT: &str = "set XDG_STATE_HOME to a writable directory, or give `--cert` and `--key`";

fn state_dir() -> Result<PathBuf, Failure> {
    let absolute = |name: &str| {
        let path = std::env::var_os(name).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    let state = absolute("XDG_STATE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".local/state")))
        .ok_or_else(|| {
            let message = "no place for a development certificate: HOME is not set";
            Failure::new(Exit::Certificate, message, HINT)
        })?;
    Ok(state.join("underseal/development"))
}

/// The names a client on this machine, or one that was pointed at `listen`, may use.
fn names(listen: SocketAddr) -> Vec<String> {
    let mut names = vec![
        "localhost".to_owned(),
        Ipv4Addr::LOCALHOST.to_string(),
        Ipv6Addr::LOCALHOST.to_string(),
    ];
    names.extend(host_name());
    if !listen.ip().is_unspecified() {
        names.push(listen.ip().to_string());
    }
    names.sort();
    names.dedup();
    names
}

/// The kernel's host name, if a certificate can carry it.
fn host_name() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = text.trim();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    (!name.is_empty() && name.bytes().all(fits)).then(|| name.to_owned())
}

/// What is known about the certificate kept in a directory, without parsing it.
struct Record {
    expires: SystemTime,
    names: Vec<String>,
}

impl Record {
    fn read(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let mut lines = text.lines();
        let expires = lines.next()?.strip_prefix("expires ")?.parse().ok()?;
        Some(Self {
            expires: UNIX_EPOCH.checked_add(Duration::from_secs(expires))?,
            names: lines.map(str::to_owned).collect(),
        })
    }

    fn serves(&self, wanted: &[String]) -> bool {
        let fresh = SystemTime::now() + RENEW_BEFORE < self.expires;
        fresh && wanted.iter().all(|name| self.names.contains(name))
    }

    fn text(&self) -> String {
        let since_epoch = self.expires.duration_since(UNIX_EPOCH).unwrap_or_default();
        format!(
            "expires {}\n{}\n",
            since_epoch.as_secs(),
            self.names.join("\n")
        )
    }
}

fn keep_in(dir: &Path, wanted: &[String]) -> io::Result<Paths> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    // Of somebody else's directory, and of one that others can write to, the key may be anybody's.
    directory::check_own(dir)?;
    // Two servers started at once must not mix the certificate of one with the key of the other.
    let lock = private_file(&dir.join("lock"))?;
    rustix::io::retry_on_intr(|| rustix::fs::flock(&lock, FlockOperation::LockExclusive))?;
    let paths = Paths {
        certificate: dir.join("certificate.pem"),
        key: dir.join("key.pem"),
    };
    let record_path = dir.join("names");
    let record = Record::read(&record_path);
    let complete = paths.certificate.exists() && paths.key.exists();
    if complete && record.as_ref().is_some_and(|kept| kept.serves(wanted)) {
        return Ok(paths);
    }
    // Names asked for at earlier starts are kept, so that two servers on different addresses do
    // not take turns in replacing the certificate.
    let mut all = record.map(|kept| kept.names).unwrap_or_default();
    all.extend_from_slice(wanted);
    all.sort();
    all.dedup();
    make(dir, &paths, &record_path, all)?;
    Ok(paths)
}

fn make(dir: &Path, paths: &Paths, record_path: &Path, names: Vec<String>) -> io::Result<()> {
    let record = Record {
        expires: SystemTime::now() + VALID_FOR,
        names,
    };
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let mut params = CertificateParams::new(record.names.clone()).map_err(io::Error::other)?;
    params.not_before = (SystemTime::now() - DAY).into();
    params.not_after = record.expires.into();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "underseal development");
    params
        .extended_key_usages
        .push(ExtendedKeyUsagePurpose::ServerAuth);
    let certificate = params.self_signed(&key).map_err(io::Error::other)?;
    // The record goes last: without it the other two are made again.
    let _ = fs::remove_file(record_path);
    replace(dir, &paths.key, &key.serialize_pem())?;
    replace(dir, &paths.certificate, &certificate.pem())?;
    replace(dir, record_path, &record.text())
}

/// Writes beside and renames, so that a running server never reads half a file.
fn replace(dir: &Path, path: &Path, text: &str) -> io::Result<()> {
    let beside = dir.join("new");
    private_file(&beside)?.write_all(text.as_bytes())?;
    fs::rename(&beside, path)
}

fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn wanted(listen: &str) -> Vec<String> {
        names(listen.parse().expect("address"))
    }

    #[test]
    fn the_pair_is_private_and_stays_the_same() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let dir = dir.path().join("a/b");
        let paths = keep_in(&dir, &wanted("127.0.0.1:1")).expect("make");
        let first = fs::read(&paths.certificate).expect("read");
        for path in [&paths.certificate, &paths.key, &dir.join("names")] {
            let mode = fs::metadata(path).expect("metadata").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", path.display());
        }
        keep_in(&dir, &wanted("127.0.0.1:2")).expect("keep");
        assert_eq!(fs::read(&paths.certificate).expect("read"), first);
    }

    #[test]
    fn a_new_address_makes_a_certificate_for_old_and_new() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let paths = keep_in(dir.path(), &wanted("192.0.2.1:1")).expect("make");
        let first = fs::read(&paths.certificate).expect("read");
        keep_in(dir.path(), &wanted("192.0.2.2:1")).expect("replace");
        let second = fs::read(&paths.certificate).expect("read");
        assert_ne!(first, second);
        keep_in(dir.path(), &wanted("192.0.2.1:1")).expect("keep");
        assert_eq!(fs::read(&paths.certificate).expect("read"), second);
    }

    #[test]
    fn one_that_is_about_to_expire_is_replaced() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let paths = keep_in(dir.path(), &wanted("127.0.0.1:1")).expect("make");
        let first = fs::read(&paths.certificate).expect("read");
        let old = Record {
            expires: SystemTime::now() + DAY,
            names: wanted("127.0.0.1:1"),
        };
        fs::write(dir.path().join("names"), old.text()).expect("write");
        keep_in(dir.path(), &wanted("127.0.0.1:1")).expect("replace");
        assert_ne!(fs::read(&paths.certificate).expect("read"), first);
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_not_used() {
        let parent = tempfile::tempdir().expect("temporary directory");
        let own = parent.path().join("own");
        keep_in(&own, &wanted("127.0.0.1:1")).expect("make");
        let link = parent.path().join("link");
        std::os::unix::fs::symlink(&own, &link).expect("a link");
        let open = parent.path().join("open");
        fs::create_dir(&open).expect("a directory");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("chmod");
        for dir in [link, open] {
            let error = keep_in(&dir, &wanted("127.0.0.1:1")).expect_err("refused");
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
        }
    }

    #[test]
    fn no_name_for_all_interfaces() {
        assert!(!wanted("0.0.0.0:1").contains(&"0.0.0.0".to_owned()));
        assert!(wanted("0.0.0.0:1").contains(&"localhost".to_owned()));
    }
}
