#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| underseal_fuzz::stream_sequence::run(data));
