//! What a member of an ensemble sends.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| rollcall_fuzz::zookeeper::run(octets));
