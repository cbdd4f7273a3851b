//! What the dynamic linker can be told of a program: the header of an ELF file.

/// Why a library cannot be put before a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsuitable {
    /// It is no ELF file of 64 bits.
    NoProgram,
    /// It is for another processor than this binary.
    OtherMachine,
    /// No dynamic linker loads it.
    Static,
    /// Its dynamic linker is another C library's than this binary was built for, and the library with it.
    OtherLibrary,
}

/// Bytes of the header.
pub(super) const HEADER: usize = 64;
/// `PT_INTERP`: the program header that names the dynamic linker.
const INTERPRETER: u32 = 3;
/// Most program headers that are looked at.
const MOST: usize = 256;

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_le_bytes(*bytes))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}

/// Looks at the first bytes of a program, beside those of one that runs here.
pub(super) fn check(bytes: &[u8], own: &[u8]) -> Result<(), Unsuitable> {
    let is_elf = bytes.len() >= HEADER && bytes.starts_with(b"\x7fELF\x02\x01");
    if !is_elf {
        return Err(Unsuitable::NoProgram);
    }
    if u16_at(bytes, 18) != u16_at(own, 18) {
        return Err(Unsuitable::OtherMachine);
    }
    let interpreter = interpreter(bytes).ok_or(Unsuitable::Static)?;
    let name = interpreter.rsplit(|byte| *byte == b'/').next();
    let is_musl = name.is_some_and(|name| name.starts_with(b"ld-musl"));
    match is_musl == cfg!(target_env = "musl") {
        true => Ok(()),
        false => Err(Unsuitable::OtherLibrary),
    }
}

/// The path of the dynamic linker, as far as it is among the bytes.
fn interpreter(bytes: &[u8]) -> Option<&[u8]> {
    let start = usize::try_from(u64_at(bytes, 32)?).ok()?;
    let size = usize::from(u16_at(bytes, 54)?);
    let count = usize::from(u16_at(bytes, 56)?).min(MOST);
    for index in 0..count {
        let at = start.checked_add(index.checked_mul(size)?)?;
        if u32_at(bytes, at)? == INTERPRETER {
            let start = usize::try_from(u64_at(bytes, at.checked_add(8)?)?).ok()?;
            let len = usize::try_from(u64_at(bytes, at.checked_add(32)?)?).ok()?;
            let path = bytes.get(start..start.checked_add(len)?);
            return Some(path.unwrap_or_default());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Vec<u8> {
        std::fs::read("/proc/self/exe").expect("this test's binary")
    }

    #[test]
    fn this_test_has_a_dynamic_linker() {
        assert_eq!(check(&own(), &own()), Ok(()));
    }

    #[test]
    fn without_the_header_that_names_the_linker_it_is_static() {
        let mut program = own();
        let start = usize::try_from(u64_at(&program, 32).unwrap()).unwrap();
        let size = usize::from(u16_at(&program, 54).unwrap());
        for index in 0..usize::from(u16_at(&program, 56).unwrap()) {
            program[start + index * size..][..4].copy_from_slice(&[0; 4]);
        }
        assert_eq!(check(&program, &own()), Err(Unsuitable::Static));
    }

    #[test]
    fn a_program_of_another_c_library_is_told_by_its_linker() {
        let mut program = own();
        let path = interpreter(&program).expect("a linker");
        let at = path.as_ptr().addr() - program.as_ptr().addr();
        let len = path.len();
        let other: &[u8] = match cfg!(target_env = "musl") {
            true => b"/lib/ld-linux.so",
            false => b"/lib/ld-musl-x.so",
        };
        program[at..at + len].fill(0);
        program[at..at + other.len()].copy_from_slice(other);
        assert_eq!(check(&program, &own()), Err(Unsuitable::OtherLibrary));
    }

    #[test]
    fn other_files_are_no_programs() {
        assert_eq!(check(b"#!/bin/sh\n", &own()), Err(Unsuitable::NoProgram));
        assert_eq!(
            check(&own()[..HEADER - 1], &own()),
            Err(Unsuitable::NoProgram)
        );
        let mut other = own();
        other[18] ^= 0xff;
        assert_eq!(check(&other, &own()), Err(Unsuitable::OtherMachine));
    }

    #[test]
    fn headers_that_lie_elsewhere_are_none() {
        let mut broken = own();
        broken[32..40].fill(0xff);
        assert_eq!(check(&broken, &own()), Err(Unsuitable::Static));
    }
}
