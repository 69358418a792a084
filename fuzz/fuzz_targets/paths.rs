//! Paths of HTTP requests.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| rollcall_fuzz::paths::run(octets));
