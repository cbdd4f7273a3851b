#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| underseal_record::fuzz::dtls_key_updates(data));
