//! A configuration, of file and environment.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| rollcall_fuzz::config::run(octets));
