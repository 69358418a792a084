//! What a log-in is answered.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| rollcall_fuzz::login::run(octets));
