#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| underseal_dtls::fuzz::dtls_trains(data));
