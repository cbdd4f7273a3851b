//! The page that lists a directory without an index.html.

use std::io::{self, Write as _};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Access, AtFlags, Dir, FileType};

use super::entity;
use underseal_http::origin::path::{self, DotNames};

/// More names than this are not listed: reading and sorting them would hold up the worker.
const MAX_ENTRIES: usize = 10_000;

struct Entry {
    name: Vec<u8>,
    directory: bool,
    length: u64,
    modified: String,
}

/// Appends the page for the directory `fd`, known to the client as `path` (decoded, relative to
/// the root), to `out`. Of links, `leads_somewhere` says by their path whether they are served.
///
/// # Errors
/// When the directory cannot be read.
pub(crate) fn write(
    fd: &OwnedFd,
    path: &[u8],
    names: DotNames,
    leads_somewhere: impl Fn(&[u8]) -> bool,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let is_served = |name: &[u8]| leads_somewhere(&[path, name].concat());
    let (mut entries, complete) = read(fd, names, is_served)?;
    entries.sort_by(|a, b| {
        b.directory
            .cmp(&a.directory)
            .then_with(|| a.name.cmp(&b.name))
    });
    out.extend_from_slice(b"<!doctype html>\n<html><head><meta charset=\"utf-8\"><title>/");
    escape(path, out);
    out.extend_from_slice(b"</title></head>\n<body><h1>/");
    escape(path, out);
    out.extend_from_slice(b"</h1>\n<table>\n");
    if !path.is_empty() {
        out.extend_from_slice(b"<tr><td><a href=\"../\">../</a></td></tr>\n");
    }
    for entry in &entries {
        row(entry, out)?;
    }
    out.extend_from_slice(b"</table>\n");
    if !complete {
        writeln!(
            out,
            "<p>Only {MAX_ENTRIES} names are listed; there are more.</p>"
        )?;
    }
    out.extend_from_slice(b"</body></html>\n");
    Ok(())
}

fn read(
    fd: &OwnedFd,
    names: DotNames,
    is_served: impl Fn(&[u8]) -> bool,
) -> io::Result<(Vec<Entry>, bool)> {
    use std::os::fd::AsFd as _;
    let mut entries = Vec::new();
    for entry in Dir::read_from(fd)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        let dot = name.starts_with(b".");
        // Backslashes are refused in requests, so such a name would be a dead link.
        if matches!(name, b"." | b"..")
            || (dot && names == DotNames::Conceal)
            || name.contains(&b'\\')
        {
            continue;
        }
        if entries.len() == MAX_ENTRIES {
            return Ok((entries, false));
        }
        entries.extend(describe(fd.as_fd(), name, &is_served));
    }
    Ok((entries, true))
}

/// `None` for what vanished meanwhile, and for what is not served: what is neither file nor directory
/// or may not be read, and links that lead to nothing else.
fn describe(dir: BorrowedFd<'_>, name: &[u8], is_served: impl Fn(&[u8]) -> bool) -> Option<Entry> {
    let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let may_be_read = || rustix::fs::accessat(dir, name, Access::READ_OK, AtFlags::EACCESS).is_ok();
    let is_listed = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile | FileType::Directory => may_be_read(),
        FileType::Symlink => is_served(name),
        _ => false,
    };
    if !is_listed {
        return None;
    }
    Some(Entry {
        name: name.to_vec(),
        directory: FileType::from_raw_mode(stat.st_mode).is_dir(),
        length: u64::try_from(stat.st_size).unwrap_or(0),
        modified: httpdate::fmt_http_date(entity::modified(&stat)),
    })
}

fn row(entry: &Entry, out: &mut Vec<u8>) -> io::Result<()> {
    let slash: &[u8] = if entry.directory { b"/" } else { b"" };
    // The leading `./` keeps a name such as `javascript:x` from being read as a scheme.
    out.extend_from_slice(b"<tr><td><a href=\"./");
    path::encode(&entry.name, out);
    out.extend_from_slice(slash);
    out.extend_from_slice(b"\">");
    escape(&entry.name, out);
    out.extend_from_slice(slash);
    out.extend_from_slice(b"</a></td><td align=\"right\">");
    if !entry.directory {
        write!(out, "{}", entry.length)?;
    }
    writeln!(out, "</td><td>{}</td></tr>", entry.modified)
}

/// Appends a name as HTML text; what is not UTF-8 is shown as U+FFFD.
fn escape(name: &[u8], out: &mut Vec<u8>) {
    for character in String::from_utf8_lossy(name).chars() {
        match character {
            '&' => out.extend_from_slice(b"&amp;"),
            '<' => out.extend_from_slice(b"&lt;"),
            '>' => out.extend_from_slice(b"&gt;"),
            '"' => out.extend_from_slice(b"&quot;"),
            '\'' => out.extend_from_slice(b"&#39;"),
            _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs::File;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    fn page(names: &[&[u8]], dot_names: DotNames) -> String {
        let dir = tempfile::tempdir().expect("temporary directory");
        std::fs::create_dir(dir.path().join("z-directory")).expect("directory");
        for name in names {
            std::fs::write(dir.path().join(OsStr::from_bytes(name)), b"12345").expect("file");
        }
        let fd = OwnedFd::from(File::open(dir.path()).expect("open"));
        let mut out = Vec::new();
        write(
            &fd,
            b"a<b/",
            dot_names,
            |path| path == b"a<b/link",
            &mut out,
        )
        .expect("listing");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn what_is_not_served_is_not_listed() {
        let dir = tempfile::tempdir().expect("temporary directory");
        std::fs::write(dir.path().join("file"), b"12345").expect("file");
        for link in ["link", "other-link"] {
            std::os::unix::fs::symlink("file", dir.path().join(link)).expect("link");
        }
        let pipe = dir.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).expect("a pipe");
        let fd = OwnedFd::from(File::open(dir.path()).expect("open"));
        let mut out = Vec::new();
        write(
            &fd,
            b"d/",
            DotNames::Conceal,
            |path| path == b"d/link",
            &mut out,
        )
        .expect("listing");
        let page = String::from_utf8(out).expect("UTF-8");
        for (name, is_listed) in [
            ("file", true),
            ("link", true),
            ("other-link", false),
            ("pipe", false),
        ] {
            assert_eq!(
                page.contains(&format!("\"./{name}\"")),
                is_listed,
                "{name}: {page}"
            );
        }
    }

    #[test]
    fn names_are_escaped_for_html_and_for_urls() {
        let page = page(
            &[b"<x>&\"'.txt", b"javascript:x", b"bad\xff"],
            DotNames::Conceal,
        );
        assert!(page.contains("<h1>/a&lt;b/</h1>"), "{page}");
        assert!(
            page.contains("<a href=\"./%3Cx%3E%26%22%27.txt\">&lt;x&gt;&amp;&quot;&#39;.txt</a>"),
            "{page}"
        );
        assert!(page.contains("href=\"./javascript%3Ax\""), "{page}");
        assert!(page.contains("href=\"./bad%FF\">bad\u{fffd}</a>"), "{page}");
    }

    #[test]
    fn directories_come_first_with_a_slash_and_files_with_a_length() {
        let page = page(&[b"a.txt"], DotNames::Conceal);
        let directory = page.find("./z-directory/").expect("directory listed");
        let file = page.find("./a.txt").expect("file listed");
        assert!(directory < file);
        assert!(page.contains("<td align=\"right\">5</td>"), "{page}");
    }

    #[test]
    fn dot_names_are_listed_only_when_they_are_served() {
        assert!(!page(&[b".x"], DotNames::Conceal).contains(".x"));
        assert!(page(&[b".x"], DotNames::Serve).contains("./.x"));
    }
}
