//! Our reader of queries against hickory and a naive one.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| rollcall_fuzz::parse::run(octets));
