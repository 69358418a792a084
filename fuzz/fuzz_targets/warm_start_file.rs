//! The file of the warm start, damaged.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| rollcall_fuzz::warm_start_file::run(octets));
