//! The OpenSSL configuration that has every program of OpenSSL 3 ask for a TLS socket: the system's own, with
//! one option more.

use std::fs;
use std::path::{Path, PathBuf};

use super::{private, refused};
use crate::exit::{Failure, say};

pub(super) const VARIABLE: &str = "OPENSSL_CONF";

/// Where systems have theirs.
const SYSTEM: [&str; 2] = ["/etc/ssl/openssl.cnf", "/etc/pki/tls/openssl.cnf"];

const NAME: &str = "openssl-ktls.cnf";

/// Writes the configuration, and says where it is; nothing where the program is to keep its own.
///
/// # Errors
///
/// If it cannot be written.
pub(super) fn configuration() -> Result<Option<PathBuf>, Failure> {
    if std::env::var_os(VARIABLE).is_some() {
        say(
            "note: OPENSSL_CONF is set and stays: it needs `Options = KTLS`, if the program has no switch of its own\n",
        );
        return Ok(None);
    }
    let system = SYSTEM.iter().map(Path::new).find(|file| file.is_file());
    let text = match system {
        None => extended(None, ""),
        Some(file) => {
            let own = fs::read(file).unwrap_or_default();
            extended(Some(file), &String::from_utf8_lossy(&own))
        }
    };
    let Some(text) = text else {
        say(
            "note: the system's openssl.cnf sets options of TLS already: it needs `Options = KTLS` there, if the program has no switch of its own\n",
        );
        return Ok(None);
    };
    let written = private::write(NAME, text.as_bytes(), |_| Ok(()));
    written.map(Some).map_err(|error| {
        let message = format!("cannot write an OpenSSL configuration: {error}");
        refused(
            &message,
            "set UNDERSEAL_RUNTIME_DIR to a directory of yours",
        )
    })
}

/// The value of `name` on a line that assigns it.
fn assigned<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let line = line.split('#').next()?;
    let (key, value) = line.split_once('=')?;
    (key.trim() == name).then(|| value.trim())
}

/// The system's configuration with the option; nothing if it has options of TLS already, which this must
/// not take away.
fn extended(file: Option<&Path>, system: &str) -> Option<String> {
    let mut lines = system.lines();
    if lines
        .clone()
        .any(|line| assigned(line, "ssl_conf").is_some())
    {
        return None;
    }
    let section = lines.find_map(|line| assigned(line, "openssl_conf"));
    let section = section.unwrap_or("underseal_init");
    let include = file.map_or_else(String::new, |file| {
        format!(".include = {}\n", file.display())
    });
    Some(format!(
        "# Written by `underseal run`, at each start.\n{include}\
         [default]\nopenssl_conf = {section}\n\
         [{section}]\nssl_conf = underseal_ssl\n\
         [underseal_ssl]\nsystem_default = underseal_ktls\n\
         [underseal_ktls]\nOptions = KTLS\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_section_gets_one_line_more() {
        let system =
            "# comment\nopenssl_conf = openssl_init # as ever\n[openssl_init]\nproviders = p\n";
        let text = extended(Some(Path::new("/etc/openssl.cnf")), system).expect("a configuration");
        assert!(
            text.contains(".include = /etc/openssl.cnf\n[default]\n"),
            "{text}"
        );
        assert!(
            text.contains("[openssl_init]\nssl_conf = underseal_ssl\n"),
            "{text}"
        );
    }

    #[test]
    fn options_of_tls_that_are_there_are_not_taken_away() {
        let system = "openssl_conf = i\n[i]\nssl_conf = s\n";
        assert_eq!(extended(None, system), None);
        let text = extended(None, "# ssl_conf = s\n").expect("a configuration");
        assert!(text.contains("openssl_conf = underseal_init\n"), "{text}");
    }
}
