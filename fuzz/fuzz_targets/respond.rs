//! Any message by any transport, against a model of the records.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| rollcall_fuzz::respond::run(octets));
