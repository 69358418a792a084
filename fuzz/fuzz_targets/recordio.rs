//! The framing of the event stream.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| rollcall_fuzz::recordio::run(octets));
