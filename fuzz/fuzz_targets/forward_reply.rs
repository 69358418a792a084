//! Replies of upstreams: read, remembered, passed on.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| rollcall_fuzz::forward_reply::run(octets));
