//! Where the library is.

use std::path::{Path, PathBuf};

use super::{embedded, refused};
use crate::exit::Failure;

const NAME: &str = "libunderseal_preload.so";

/// Says where it is, before any other place.
const VARIABLE: &str = "UNDERSEAL_PRELOAD_LIBRARY";

/// Where packages put it, seen from the directory of the binary.
const PACKAGE: &str = "../lib/underseal";

/// Finds the library: where the environment says, beside this binary, in its package's directory, or in this binary.
///
/// # Errors
///
/// If it is in none of them.
pub(crate) fn find() -> Result<PathBuf, Failure> {
    let chosen = std::env::var_os(VARIABLE).filter(|chosen| !chosen.is_empty());
    if let Some(chosen) = chosen {
        let chosen = PathBuf::from(chosen);
        return is_loadable(&chosen)
            .then_some(chosen.clone())
            .ok_or_else(|| {
                let message = format!("there is no library `{}`", chosen.display());
                refused(
                    &message,
                    "set UNDERSEAL_PRELOAD_LIBRARY to an absolute path, or not at all",
                )
            });
    }
    let binary = std::env::current_exe().unwrap_or_default();
    let directory = binary.parent().unwrap_or(Path::new("/"));
    let places = [directory.join(NAME), directory.join(PACKAGE).join(NAME)];
    let found = places.into_iter().find(|place| is_loadable(place));
    if let Some(found) = found {
        return Ok(found);
    }
    embedded::written(NAME)?.ok_or_else(|| {
        let message = format!("{NAME} is not beside `{}`, nor in it", binary.display());
        refused(
            &message,
            "put it there, or say in UNDERSEAL_PRELOAD_LIBRARY where it is",
        )
    })
}

/// The dynamic linker takes a list with colons and blanks between its paths, and puts other text where a dollar sign
/// stands (`$ORIGIN`).
pub(super) fn is_loadable(library: &Path) -> bool {
    let text = library.to_str().unwrap_or(" ");
    library.is_absolute() && library.is_file() && !text.contains([':', ' ', '$'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_the_dynamic_linker_would_read_as_another_is_none() {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, is_good) in [
            ("good.so", true),
            ("a b.so", false),
            ("a:b.so", false),
            ("$LIB.so", false),
        ] {
            let path = directory.path().join(name);
            std::fs::write(&path, "").expect("a file");
            assert_eq!(is_loadable(&path), is_good, "{name}");
        }
        assert!(!is_loadable(Path::new("good.so")), "a relative one");
    }
}
