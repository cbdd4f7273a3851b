//! Where `underseal conns` looks: a file in memory that says of each connection what it is. It has no name in the file
//! system and needs no thread; who may look into this process finds it there, and it goes with the process.

use std::ffi::c_int;
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use rustix::io::Errno;
use underseal_ulp::listing::{
    ENTRIES, ENTRY, INODE, Listed, NAME, RX_BYTES, SINCE, SUITE, TX_BYTES, WORDS,
};

use crate::connection::Private;
use crate::sys::{self, address, arg};

type Entry = [AtomicU64; WORDS];

/// Bytes of the file, of which those are there that were written to.
const LEN: usize = ENTRIES * ENTRY;

/// Stands in an entry for the inode while the rest is written: no socket has it.
const TAKEN: u64 = u64::MAX;

/// How many entries are tried for one that is free.
const TRIES: usize = 64;

/// The entries; nothing before the first connection, and where there can be none.
static ENTRIES_OF_THIS: AtomicPtr<Entry> = AtomicPtr::new(null_mut());

/// What holds the file.
static FILE: Mutex<Option<Private>> = Mutex::new(None);

/// Set in a process that came by fork while a thread that is not here held the lock: it has no list.
static FORGOTTEN: AtomicBool = AtomicBool::new(false);

/// Makes the list, unless there is one. Where it cannot be had, nothing is listed.
pub(crate) fn prepare() {
    let is_there = !ENTRIES_OF_THIS.load(Ordering::Acquire).is_null();
    if is_there || FORGOTTEN.load(Ordering::Relaxed) {
        return;
    }
    let Ok(mut file) = FILE.lock() else {
        return;
    };
    if file.is_none()
        && let Ok((own, entries)) = open()
    {
        *file = Some(own);
        ENTRIES_OF_THIS.store(entries, Ordering::Release);
    }
}

/// In a process that came by fork: the list is its parent's, and is not in its memory.
pub(crate) fn forget() {
    ENTRIES_OF_THIS.store(null_mut(), Ordering::Release);
    for word in &PAGES {
        word.store(0, Ordering::Relaxed);
    }
    FILE.clear_poison();
    match FILE.try_lock() {
        Ok(mut file) => *file = None,
        Err(_) => FORGOTTEN.store(true, Ordering::Relaxed),
    }
}

fn open() -> Result<(Private, *mut Entry), Errno> {
    if sys::limit(libc::RLIMIT_FSIZE) < LEN as u64 {
        // The kernel would send a signal.
        return Err(Errno::FBIG);
    }
    let mut name = [0; NAME.len() + 1];
    name[..NAME.len()].copy_from_slice(NAME.as_bytes());
    let arguments = [address(name.as_ptr()), libc::MFD_CLOEXEC as usize];
    // SAFETY: the kernel reads a name that ends in a zero.
    let low = unsafe { sys::call(libc::SYS_memfd_create, arguments) }? as c_int;
    let file = Private::of(low);
    // Nobody else knows the number.
    let _ = sys::close(low);
    let file = file?;
    // SAFETY: the call takes numbers alone.
    unsafe { sys::call(libc::SYS_ftruncate, [arg(file.number()), LEN]) }?;
    let entries = map(file.number())?;
    Ok((file, entries))
}

/// Maps the file into this process, and into none that comes by fork.
fn map(file: c_int) -> Result<*mut Entry, Errno> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let arguments = [0, LEN, arg(access), arg(libc::MAP_SHARED), arg(file), 0];
    // SAFETY: new memory at a place of the kernel's choice.
    let place = unsafe { sys::call(libc::SYS_mmap, arguments) }?;
    let arguments = [place, LEN, arg(libc::MADV_DONTFORK)];
    // SAFETY: the memory is ours, and its content stays.
    let advised = unsafe { sys::call(libc::SYS_madvise, arguments) };
    if let Err(error) = advised {
        // SAFETY: the memory is ours, and nobody has its address.
        let _ = unsafe { sys::call(libc::SYS_munmap, [place, LEN]) };
        return Err(error);
    }
    Ok(std::ptr::with_exposed_provenance_mut(place))
}

/// The place of one connection, given back on drop.
pub(crate) struct Registration {
    entries: *mut Entry,
    index: usize,
}

/// The numbers of a place, in the process that it was made in.
fn entry(entries: *mut Entry, index: usize) -> Option<&'static Entry> {
    let is_here = ENTRIES_OF_THIS.load(Ordering::Acquire) == entries;
    let place = entries.wrapping_add(index);
    // SAFETY: memory that this process has mapped for good, of numbers that are zero at first.
    (is_here && !entries.is_null()).then(|| unsafe { &*place })
}

/// Bytes of a page.
const PAGE: usize = 4096;

/// The pages of the file that have memory, a bit for each.
static PAGES: [AtomicU64; LEN / PAGE / 64] = [const { AtomicU64::new(0) }; LEN / PAGE / 64];

/// Whether an entry can be written to: where no memory is left for a file the kernel would send a signal.
fn has_memory(index: usize, entry: &Entry) -> bool {
    let page = index * ENTRY / PAGE;
    let (word, bit) = (&PAGES[page / 64], 1 << (page % 64));
    if word.load(Ordering::Relaxed) & bit != 0 {
        return true;
    }
    let start = address(entry) & !(PAGE - 1);
    let advice = arg(libc::MADV_POPULATE_WRITE);
    // SAFETY: the advice changes no content of memory.
    match unsafe { sys::call(libc::SYS_madvise, [start, PAGE, advice]) } {
        // Kernels before 5.14 do not know it.
        Ok(_) | Err(Errno::INVAL) => word.fetch_or(bit, Ordering::Relaxed),
        Err(_) => return false,
    };
    true
}

// SAFETY: it stands for numbers that any thread may change at once.
unsafe impl Send for Registration {}
// SAFETY: as above.
unsafe impl Sync for Registration {}

/// Lists a socket that has no keys yet.
fn fill(entry: &Entry, inode: u64) {
    for word in [SUITE, TX_BYTES, RX_BYTES] {
        entry[word].store(0, Ordering::Relaxed);
    }
    entry[SINCE].store(sys::milliseconds(), Ordering::Relaxed);
    entry[INODE].store(inode, Ordering::Release);
}

impl Registration {
    /// A place for a socket, near to `hint`; nothing where there is no list, or no place in it.
    pub(crate) fn of(inode: u64, hint: c_int) -> Option<Self> {
        let entries = ENTRIES_OF_THIS.load(Ordering::Acquire);
        let hint = usize::try_from(hint).ok()?;
        for index in hint..hint + TRIES {
            let index = index % ENTRIES;
            let entry = entry(entries, index)?;
            if !has_memory(index, entry) {
                return None;
            }
            let order = Ordering::AcqRel;
            let free = entry[INODE].compare_exchange(0, TAKEN, order, Ordering::Relaxed);
            if free.is_ok() {
                fill(entry, inode);
                return Some(Self { entries, index });
            }
        }
        None
    }

    /// Says what the connection is.
    pub(crate) fn describe(&self, version: u16, cipher: u16, (seals, opens): (bool, bool)) {
        if let Some(entry) = entry(self.entries, self.index) {
            let suite = Listed::suite(version, cipher, seals, opens);
            entry[SUITE].store(suite, Ordering::Release);
        }
    }

    /// Counts plaintext that was sent.
    pub(crate) fn sent(&self, bytes: usize) {
        self.count(TX_BYTES, bytes);
    }

    /// Counts plaintext that was received.
    pub(crate) fn received(&self, bytes: usize) {
        self.count(RX_BYTES, bytes);
    }

    fn count(&self, word: usize, bytes: usize) {
        if let Some(entry) = entry(self.entries, self.index) {
            entry[word].fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(entry) = entry(self.entries, self.index) {
            entry[INODE].store(0, Ordering::Release);
        }
    }
}
