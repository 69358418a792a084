//! Scheduling priority. In: a thread that is not in a hurry. Out: the same thread, behind those that
//! answer DNS wherever both want one core.

use std::io;

/// Has the present thread, and those that it starts, give way to the answering threads. Lowering
/// one's own priority needs no privilege.
pub fn give_way() -> io::Result<()> {
    // SAFETY: gettid takes no argument and always succeeds.
    let thread = unsafe { libc::gettid() };
    // SAFETY: setpriority takes integers only. On Linux PRIO_PROCESS with a thread's id means that
    // thread alone (setpriority(2), "C library/kernel differences").
    let status = unsafe { libc::setpriority(libc::PRIO_PROCESS, thread as libc::id_t, NICE) };
    match status {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// About a tenth of the weight of a thread at 0 (sched(7)).
const NICE: libc::c_int = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_thread_that_asked_gives_way() {
        let nice = || {
            // SAFETY: gettid takes no argument and always succeeds.
            let thread = unsafe { libc::gettid() };
            // SAFETY: getpriority takes integers only.
            unsafe { libc::getpriority(libc::PRIO_PROCESS, thread as libc::id_t) }
        };
        let before = nice();
        let inside = std::thread::spawn(move || give_way().map(|()| nice()));
        assert_eq!(inside.join().expect("no panic").expect("it may"), 10);
        assert_eq!(nice(), before);
    }
}
