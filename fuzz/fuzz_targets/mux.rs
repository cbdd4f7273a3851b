#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| underseal_fuzz::sequence::run(data));
