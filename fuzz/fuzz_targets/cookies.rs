#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| underseal_http::fuzz::cookies(data));
