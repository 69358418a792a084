//! A master's state document, cut anywhere.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| rollcall_fuzz::state::run(octets));
