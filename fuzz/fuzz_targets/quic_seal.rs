#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| underseal_record::fuzz::quic_seal(data));
