//! Which Debian mirror this machine uses: its own source lines, with the suite's name replaced.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clap::ValueEnum;

use super::kernels::Name;

/// Signs the lists of every suite.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The suite that newer libraries come from: its OpenSSL has kernel TLS in both directions.
pub(crate) const NEWER: &str = "trixie";

/// A `sources.list` with the suites that kernels and libraries come from.
pub(crate) fn sources() -> Result<String> {
    let mirror = mirror()?;
    let names = Name::value_variants().iter();
    let suites: BTreeSet<_> = names.map(|name| name.suite()).chain([NEWER]).collect();
    Ok(suites
        .iter()
        .map(|suite| format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n"))
        .collect())
}

fn mirror() -> Result<String> {
    let release =
        fs::read_to_string("/etc/os-release").context("this machine has no os-release")?;
    let suite = codename(&release).context("os-release names no VERSION_CODENAME")?;
    let mut texts = vec![Path::new("/etc/apt/sources.list").to_path_buf()];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        texts.extend(entries.flatten().map(|entry| entry.path()));
    }
    texts
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .find_map(|text| mirror_in(&text, suite))
        .with_context(|| {
            format!(
                "no source line in /etc/apt has the suite {suite}: \
                 the kernels come from the mirror that this machine's own packages come from"
            )
        })
}

fn codename(os_release: &str) -> Option<&str> {
    os_release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"'))
}

/// The address from which `text`, in either of apt's formats, takes `suite` with the component main.
fn mirror_in(text: &str, suite: &str) -> Option<String> {
    let one_line = text.lines().find_map(|line| one_line_mirror(line, suite));
    one_line.or_else(|| {
        text.split("\n\n")
            .find_map(|stanza| stanza_mirror(stanza, suite))
    })
}

/// `deb [options] address suite components…`
fn one_line_mirror(line: &str, suite: &str) -> Option<String> {
    let rest = line.trim().strip_prefix("deb ")?.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(options) => options.split_once(']')?.1,
        None => rest,
    };
    let mut words = rest.split_whitespace();
    let address = words.next()?;
    (words.next()? == suite && words.any(|word| word == "main")).then(|| address.to_owned())
}

/// deb822: fields, each on its line.
fn stanza_mirror(stanza: &str, suite: &str) -> Option<String> {
    let words = |field: &str| -> Option<Vec<&str>> {
        let line = stanza.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(field).then_some(value)
        })?;
        Some(line.split_whitespace().collect())
    };
    let fits = words("Types")?.contains(&"deb")
        && words("Suites")?.contains(&suite)
        && words("Components")?.contains(&"main")
        && words("Enabled").is_none_or(|enabled| enabled != ["no"]);
    fits.then(|| words("URIs")?.first().map(|address| (*address).to_owned()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_sources_are_understood() {
        let text = "# deb http://old bookworm main\n\
            deb https://tools.example cloud-bookworm main\n\
            deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main contrib\n";
        assert_eq!(
            mirror_in(text, "bookworm").as_deref(),
            Some("http://mirror.example/debian")
        );
        assert_eq!(mirror_in(text, "trixie"), None);
    }

    #[test]
    fn deb822_sources_are_understood() {
        let text = "Types: deb\n# a comment: here\nURIs: http://mirror.example/security\n\
            Suites: bookworm-security\nComponents: main\n\n\
            Types: deb deb-src\nURIs: http://mirror.example/debian\n\
            Suites: bookworm bookworm-updates\nComponents: main\n";
        assert_eq!(
            mirror_in(text, "bookworm").as_deref(),
            Some("http://mirror.example/debian")
        );
    }

    #[test]
    fn a_source_that_is_switched_off_is_not_used() {
        let text = "Enabled: no\nTypes: deb\nURIs: http://a\nSuites: bookworm\nComponents: main\n";
        assert_eq!(mirror_in(text, "bookworm"), None);
    }

    #[test]
    fn the_codename_may_be_quoted() {
        assert_eq!(
            codename("ID=debian\nVERSION_CODENAME=\"trixie\"\n"),
            Some("trixie")
        );
    }
}
