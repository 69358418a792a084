//! Gives memory back. In: the end of something large, such as a refresh. Out: a smaller resident
//! set, where the C library can do that; nothing elsewhere.

/// Returns free pages of the heap to the kernel. Takes milliseconds: never on an answering thread.
pub fn release_free_pages() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes glibc's own locks, moves nothing that is allocated and keeps no
    // argument; it may be called from any thread at any time.
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Has all threads allocate from one heap that grows in large steps. The answering threads allocate
/// nothing, so there is no contention that an arena for each thread would avoid; such arenas grow
/// page by page, by a system call each, and give less back. Called once, before threads start.
pub fn use_one_heap() {
    #[cfg(target_env = "gnu")]
    for (parameter, value) in [
        (libc::M_ARENA_MAX, 1),
        (libc::M_TOP_PAD, HEAP_STEP_BYTES),
        (libc::M_MMAP_THRESHOLD, MAPPED_BYTES_MIN),
    ] {
        // SAFETY: mallopt takes two integers and glibc's own locks; a value it does not like is
        // refused and leaves the setting as it was.
        unsafe { libc::mallopt(parameter, value) };
    }
}

/// The heap grows by so much.
#[cfg(target_env = "gnu")]
const HEAP_STEP_BYTES: libc::c_int = 8 << 20;
/// Larger blocks are mapped each by itself, and leave no hole in the heap when they are freed.
#[cfg(target_env = "gnu")]
const MAPPED_BYTES_MIN: libc::c_int = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_in_use_survives_a_release() {
        let kept = vec![7_u8; 1 << 20];
        drop(vec![9_u8; 1 << 20]);
        release_free_pages();
        assert!(kept.iter().all(|&byte| byte == 7));
    }
}
