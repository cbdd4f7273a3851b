#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| underseal_policy::fuzz::http1_chunks(data));
