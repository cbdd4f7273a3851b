//! What `underseal run` needs of memory.

use std::ptr::null_mut;

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

use super::Answer;

/// What madvise(2) does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "who asks must know each answer")]
pub struct Memory {
    /// `MADV_WIPEONFORK`: a process that comes by fork is known by a page of zeros (Linux 4.14).
    pub wipe_on_fork: Answer,
    /// `MADV_POPULATE_READ`: whether much memory is there is asked by one call (Linux 5.14).
    pub populate: Answer,
}

const LEN: usize = 4096;

impl Memory {
    /// Tries it on a page of its own.
    pub fn probe() -> Self {
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: new memory at a place of the kernel's choice.
        let page = match unsafe { mmap_anonymous(null_mut(), LEN, access, flags) } {
            Ok(page) => page,
            Err(errno) => {
                let unknown = Answer::CannotTell(errno);
                return Self {
                    wipe_on_fork: unknown,
                    populate: unknown,
                };
            }
        };
        let tried = |advice| -> Result<(), Errno> {
            // SAFETY: the page is ours alone, and nobody has anything in it.
            unsafe { madvise(page, LEN, advice) }
        };
        let found = Self {
            wipe_on_fork: Answer::of(tried(Advice::LinuxWipeOnFork)),
            populate: Answer::of(tried(Advice::LinuxPopulateRead)),
        };
        // SAFETY: the page is ours alone, and nobody has its address.
        let _ = unsafe { munmap(page, LEN) };
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_of_today_has_both() {
        let found = Memory::probe();
        assert_eq!(found.wipe_on_fork, Answer::Yes);
        assert!(matches!(
            found.populate,
            Answer::Yes | Answer::No(Errno::INVAL)
        ));
    }
}
