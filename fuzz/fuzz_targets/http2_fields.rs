#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| underseal_fuzz::http2::http2_fields(data));
