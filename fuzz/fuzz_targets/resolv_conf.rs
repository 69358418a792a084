//! A resolv.conf.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| rollcall_fuzz::resolv_conf::run(octets));
