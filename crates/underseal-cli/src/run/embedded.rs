//! The library as a section of this binary, for those who have one file alone:
//! `objcopy --add-section .underseal_preload=libunderseal_preload.so underseal`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};

use super::elf::{HEADER, u16_at, u32_at, u64_at};
use super::library::is_loadable;
use super::{private, refused};
use crate::exit::Failure;

const SECTION: &[u8] = b".underseal_preload";

/// Most bytes of a part of this binary: one that says more is broken.
const MOST: u64 = 1 << 28;

/// Writes the library to a file that the dynamic linker can load, and says where it is; nothing if this binary has none.
///
/// # Errors
///
/// If it cannot be read or written.
pub(super) fn written(name: &str) -> Result<Option<PathBuf>, Failure> {
    let library = match File::open("/proc/self/exe").and_then(|own| section(&own)) {
        Ok(Some(library)) => library,
        Ok(None) => return Ok(None),
        Err(error) => {
            let message = format!("cannot read the library in this binary: {error}");
            return Err(refused(
                &message,
                "say in UNDERSEAL_PRELOAD_LIBRARY where another one is",
            ));
        }
    };
    let written = private::write(name, &library, is_suitable);
    written
        .and_then(|file| match is_loadable(&file) {
            true => Ok(Some(file)),
            false => Err(io::Error::other(
                "the dynamic linker takes no colons, blanks and dollar signs",
            )),
        })
        .map_err(|error| {
            let message = format!("cannot write {name}, which is in this binary: {error}");
            refused(
                &message,
                "set UNDERSEAL_RUNTIME_DIR to a directory of yours",
            )
        })
}

/// Whether programs may be loaded from a directory: Debian has `/run` mounted so that they are not.
fn is_suitable(place: &Path) -> io::Result<()> {
    match statvfs(place)?.f_flag.contains(StatVfsMountFlags::NOEXEC) {
        true => Err(io::Error::other(
            "it is on a file system mounted with `noexec`",
        )),
        false => Ok(()),
    }
}

/// The content of the section, of a file of 64 bits.
fn section(file: &File) -> io::Result<Option<Vec<u8>>> {
    let broken = || io::Error::from(io::ErrorKind::InvalidData);
    let header = bytes_at(file, 0, HEADER as u64)?;
    let size = u16_at(&header, 58).ok_or_else(broken)?;
    let count = u16_at(&header, 60).ok_or_else(broken)?;
    let names = u16_at(&header, 62).ok_or_else(broken)?;
    let start = u64_at(&header, 40).ok_or_else(broken)?;
    if size == 0 || count == 0 {
        return Ok(None);
    }
    let table = bytes_at(file, start, u64::from(size) * u64::from(count))?;
    let mut entries = table.chunks_exact(size.into());
    let names = entries.clone().nth(names.into()).and_then(range);
    let (start, len) = names.ok_or_else(broken)?;
    let names = bytes_at(file, start, len)?;
    let is_ours = |entry: &&[u8]| {
        let name = u32_at(entry, 0).and_then(|at| names.get(usize::try_from(at).ok()?..));
        name.is_some_and(|name| {
            name.strip_prefix(SECTION)
                .is_some_and(|rest| rest.first() == Some(&0))
        })
    };
    let found = entries.find(is_ours);
    let found = found.map(|entry| range(entry).ok_or_else(broken));
    let content = |(start, len)| bytes_at(file, start, len);
    found.transpose()?.map(content).transpose()
}

/// Where a section is, and how long.
fn range(entry: &[u8]) -> Option<(u64, u64)> {
    Some((u64_at(entry, 24)?, u64_at(entry, 32)?))
}

fn bytes_at(file: &File, start: u64, len: u64) -> io::Result<Vec<u8>> {
    if len > MOST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, start)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_binary_has_no_library_unless_it_was_given_one() {
        let own = File::open("/proc/self/exe").expect("this test");
        assert!(section(&own).expect("sections").is_none());
    }

    #[test]
    fn what_is_cut_off_or_points_elsewhere_is_an_error() {
        let directory = tempfile::tempdir().expect("a directory");
        let of = |bytes: &[u8]| {
            let file = directory.path().join("file");
            fs::write(&file, bytes).expect("a file");
            section(&File::open(&file).expect("the file"))
        };
        let mut header = [0; HEADER];
        assert!(of(&header[..HEADER - 1]).is_err());
        assert!(of(&header).expect("no sections").is_none());
        header[58..60].copy_from_slice(&64_u16.to_le_bytes());
        header[60..62].copy_from_slice(&u16::MAX.to_le_bytes());
        assert!(of(&header).is_err(), "a table behind the end");
        header[60..62].copy_from_slice(&1_u16.to_le_bytes());
        let mut table = header.to_vec();
        table[40..48].copy_from_slice(&64_u64.to_le_bytes());
        table.extend([0xff; 64]);
        assert!(of(&table).is_err(), "names that are longer than any");
    }
}
