//! Files kept open for a moment, so that a file in demand is not opened for every request.
//!
//! A kept file is looked at again with `fstat` each time: its content may change, and once it has
//! been removed or replaced (no name leads to it any more) it is opened anew. What goes unnoticed
//! until the next [`OpenFiles::forget`] is that the path, or a directory or symlink on it, was made
//! to lead to another file while the old one keeps a name elsewhere.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::rc::Rc;
use std::sync::Arc;

use super::entity::{self, Opened};
use super::site::{OpenError, Site};
use underseal_http::origin::path::DotNames;

/// Most files kept; each costs a descriptor.
const KEEP: usize = 64;

/// The site as one worker sees it.
pub(crate) struct OpenFiles {
    site: Arc<Site>,
    kept: RefCell<HashMap<Box<[u8]>, Rc<File>>>,
}

impl OpenFiles {
    pub(crate) fn new(site: Arc<Site>) -> Self {
        Self {
            site,
            kept: RefCell::new(HashMap::new()),
        }
    }

    pub(crate) fn dot_names(&self) -> DotNames {
        self.site.dot_names
    }

    /// Finds what `path` leads to, as [`Site::find`] does.
    ///
    /// # Errors
    /// As [`Site::find`].
    pub(crate) fn find(&self, path: &[u8]) -> Result<Opened, OpenError> {
        let kept = self.kept.borrow().get(path).map(Rc::clone);
        if let Some(entity) = kept.and_then(entity::look_again) {
            return Ok(Opened::File(entity));
        }
        let opened = self.site.find(path)?;
        if let Opened::File(entity) = &opened {
            let mut kept = self.kept.borrow_mut();
            if kept.len() < KEEP || kept.contains_key(path) {
                kept.insert(path.into(), Rc::clone(&entity.file));
            }
        }
        Ok(opened)
    }

    /// Whether `path` leads to a file or a directory that is served. Nothing is kept of it.
    pub(crate) fn leads_somewhere(&self, path: &[u8]) -> bool {
        let found = self.site.find(path);
        matches!(found, Ok(Opened::File(_) | Opened::Directory(_)))
    }

    /// Closes what is kept. Answers under way have their files still.
    pub(crate) fn forget(&self) {
        let mut kept = self.kept.borrow_mut();
        if !kept.is_empty() {
            kept.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::serve::inline;

    fn content(files: &OpenFiles, path: &str) -> Result<String, OpenError> {
        match files.find(path.as_bytes())? {
            Opened::File(entity) => {
                let mut out = Vec::new();
                let range = 0..entity.length;
                inline::read_behind(&mut out, &entity.file, &range).expect("read");
                Ok(String::from_utf8_lossy(&out).into_owned())
            }
            other => panic!("not a file: {other:?}"),
        }
    }

    #[test]
    fn kept_files_are_rewritten_replaced_and_removed_in_plain_sight() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("f");
        let site = Site::open(dir.path(), DotNames::Conceal).expect("root");
        let files = OpenFiles::new(Arc::new(site));
        fs::write(&path, "first").expect("write");
        assert_eq!(content(&files, "f").as_deref(), Ok("first"));
        fs::write(&path, "rewritten").expect("write");
        assert_eq!(content(&files, "f").as_deref(), Ok("rewritten"));
        fs::write(dir.path().join("new"), "replaced").expect("write");
        fs::rename(dir.path().join("new"), &path).expect("rename");
        assert_eq!(content(&files, "f").as_deref(), Ok("replaced"));
        fs::remove_file(&path).expect("remove");
        assert_eq!(content(&files, "f"), Err(OpenError::Missing));
    }

    #[test]
    fn a_file_in_demand_is_opened_once_and_a_crowd_is_not_kept() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let site = Site::open(dir.path(), DotNames::Conceal).expect("root");
        let files = OpenFiles::new(Arc::new(site));
        for index in 0..KEEP + 10 {
            fs::write(dir.path().join(index.to_string()), "x").expect("write");
            assert_eq!(content(&files, &index.to_string()).as_deref(), Ok("x"));
        }
        assert_eq!(files.kept.borrow().len(), KEEP);
        let kept = Rc::clone(&files.kept.borrow()[&b"0"[..]]);
        match files.find(b"0") {
            Ok(Opened::File(entity)) => assert!(Rc::ptr_eq(&entity.file, &kept)),
            other => panic!("not a file: {other:?}"),
        }
        files.forget();
        assert_eq!(Rc::strong_count(&kept), 1);
    }
}
