//! Fetching ahead. In: a place in memory that will be read soon. Out: nothing but its cache line on
//! the way; the processor goes on meanwhile.

/// Octets of a cache line of x86-64 and most Arm processors.
pub const CACHE_LINE_BYTES: usize = 64;

/// Asks for the cache line of the octet at `at`, where there is one. Never wrong, only useless: where
/// the processor has no such instruction known to us, nothing happens.
#[inline(always)]
pub fn line(octets: &[u8], at: usize) {
    if let Some(octet) = octets.get(at) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: SSE is part of every x86-64 processor, and the instruction reads nothing that the
        // program could see: no address makes it fault (Intel SDM, PREFETCHh).
        unsafe {
            use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(octet).cast());
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: PRFM is part of every ARMv8-A processor and a hint: it changes no register, flag
        // or memory and takes no synchronous fault (Arm ARM, C6.2, PRFM).
        unsafe {
            core::arch::asm!(
                "prfm pldl1keep, [{place}]",
                place = in(reg) std::ptr::from_ref(octet),
                options(nostack, preserves_flags, readonly)
            );
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let _ = octet;
    }
}
