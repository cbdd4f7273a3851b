#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| underseal_fuzz::http1::http1_connection(data));
