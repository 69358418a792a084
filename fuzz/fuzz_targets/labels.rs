//! Names of tasks as labels, and names as text and octets.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| rollcall_fuzz::labels::run(octets));
