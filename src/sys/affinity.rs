//! The cores that this process was given. In: the affinity mask of the calling thread. Out: core
//! numbers in ascending order, and threads pinned to one of them; never a core outside the mask.

use std::io;
use std::mem;

/// Cores of the calling thread's affinity mask, ascending. An error means that they are not known
/// (the kernel knows more than 1,024 cores); callers then run unpinned.
pub fn allowed_cores() -> io::Result<Vec<usize>> {
    // SAFETY: cpu_set_t is an array of integers, for which all zero bits are a value.
    let mut mask: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: `mask` is a live cpu_set_t and the length given is its own; 0 is the calling thread.
    let result = unsafe { libc::sched_getaffinity(0, mem::size_of_val(&mask), &mut mask) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let cores_max = 8 * mem::size_of_val(&mask);
    // SAFETY: CPU_ISSET reads bit `core`, which is below the number of bits of `mask`.
    let cores = (0..cores_max).filter(|&core| unsafe { libc::CPU_ISSET(core, &mask) });
    Ok(cores.collect())
}

/// Keeps the calling thread on one core, so that its caches and its socket's queue stay together.
pub fn pin_current_thread(core: usize) -> io::Result<()> {
    // SAFETY: cpu_set_t is an array of integers, for which all zero bits are a value.
    let mut mask: libc::cpu_set_t = unsafe { mem::zeroed() };
    if core >= 8 * mem::size_of_val(&mask) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: CPU_SET writes bit `core`, checked above to lie within `mask`.
    unsafe { libc::CPU_SET(core, &mut mask) };
    // SAFETY: `mask` is a live cpu_set_t and the length given is its own; 0 is the calling thread.
    let result = unsafe { libc::sched_setaffinity(0, mem::size_of_val(&mask), &mask) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinned_thread_has_one_core_and_its_parent_keeps_its_own() {
        let before = allowed_cores().unwrap();
        let last = *before.last().unwrap();
        let inside = std::thread::spawn(move || {
            pin_current_thread(last).unwrap();
            allowed_cores().unwrap()
        });
        assert_eq!(inside.join().unwrap(), [last]);
        assert_eq!(allowed_cores().unwrap(), before);
    }

    #[test]
    fn core_out_of_range_is_an_error() {
        assert!(pin_current_thread(1 << 20).is_err());
    }
}
