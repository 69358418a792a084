//! Messages over a connection, cut anywhere.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| rollcall_fuzz::tcp_frames::run(octets));
