//! Zeroed memory by the page, straight from the kernel. In: a type that zero bits are a value of. Out:
//! room for one of it, of which only the pages that are used are ever there. The allocator would write
//! the zeros itself, and so have all of them, where the type is aligned to more than 16 octets.

use std::alloc::{Layout, handle_alloc_error};
use std::ptr::{self, NonNull};

/// Room for one `T`, all octets zero, aligned to a page at most.
pub(super) fn map_zeroed<T>() -> NonNull<T> {
    const { assert!(size_of::<T>() > 0 && align_of::<T>() <= PAGE_BYTES_MIN) };
    // SAFETY: no address is asked for, so that no memory in use is replaced; without a file there is no
    // descriptor to be valid.
    let memory = unsafe {
        libc::mmap(
            ptr::null_mut(),
            size_of::<T>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    match NonNull::new(memory.cast::<T>()) {
        Some(room) if memory != libc::MAP_FAILED => room,
        _ => handle_alloc_error(Layout::new::<T>()),
    }
}

/// # Safety
///
/// `room` came from `map_zeroed::<T>`, and nothing refers to it any more.
pub(super) unsafe fn unmap<T>(room: NonNull<T>) {
    // SAFETY: a whole mapping of that length, which nobody refers to, as the caller says. It fails for
    // other arguments only.
    unsafe { libc::munmap(room.as_ptr().cast(), size_of::<T>()) };
}

/// So many words, zero to begin with.
pub struct Words<const COUNT: usize>(NonNull<[u64; COUNT]>);

impl<const COUNT: usize> Words<COUNT> {
    pub fn zeroed() -> Self {
        Self(map_zeroed())
    }

    pub fn as_mut_slice(&mut self) -> &mut [u64] {
        // SAFETY: a mapping of that length, aligned to a page, which lives as long as this value; zero bits
        // are a value of every word, and `&mut self` says that nobody else refers to them.
        unsafe { self.0.as_mut() }
    }
}

impl<const COUNT: usize> Drop for Words<COUNT> {
    fn drop(&mut self) {
        // SAFETY: from `map_zeroed`, and no reference outlives the value that is dropped.
        unsafe { unmap(self.0) };
    }
}

/// No Linux has smaller ones.
const PAGE_BYTES_MIN: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C, align(64))]
    struct Large([u8; 1 << 20]);

    #[test]
    fn words_are_zero_and_keep_what_is_put_there() {
        let mut words = Words::<70_000>::zeroed();
        assert!(words.as_mut_slice().iter().all(|word| *word == 0));
        words.as_mut_slice()[69_999] = 7;
        assert_eq!(words.as_mut_slice().last(), Some(&7));
    }

    #[test]
    fn room_is_zero_aligned_and_writable_to_its_end() {
        let room = map_zeroed::<Large>();
        assert!(room.as_ptr().is_aligned());
        let mut resident = [1_u8; (1 << 20) / PAGE_BYTES_MIN];
        // SAFETY: the whole mapping, and an octet for each page of it, were they the smallest there are.
        let known = unsafe { libc::mincore(room.as_ptr().cast(), 1 << 20, resident.as_mut_ptr()) };
        assert_eq!(known, 0);
        let pages = (1 << 20) / crate::sys::process::page_bytes() as usize;
        let there = resident[..pages].iter().filter(|page| **page & 1 != 0);
        assert_eq!(there.count(), 0, "pages that nobody used");
        // SAFETY: mapped above, and zero bits are a value of it; nothing else refers to it.
        let large = unsafe { &mut *room.as_ptr() };
        assert!(large.0.iter().all(|octet| *octet == 0));
        large.0[(1 << 20) - 1] = 1;
        // SAFETY: from `map_zeroed`, and `large` is not used below.
        unsafe { unmap(room) };
    }
}
