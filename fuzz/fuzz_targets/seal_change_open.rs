#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| underseal_record::fuzz::seal_change_open(data));
