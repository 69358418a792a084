//! How many files and sockets the process may have open. Out: the limit, raised as far as it may be
//! without privilege. It must never be lowered: what is open stays open.

use std::io;

/// The present limit.
pub fn limit() -> io::Result<usize> {
    read().map(|limit| usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX))
}

/// Takes what the hard limit allows. The soft one is small by custom, for programs that use select(2),
/// which knows no descriptor above 1,023; this one does not.
pub fn raise_limit() -> io::Result<()> {
    let mut limit = read()?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the kernel reads one rlimit, which lives across the call.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn read() -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes one rlimit, which lives across the call.
    match unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } {
        0 => Ok(limit),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_is_raised_to_the_hard_one() {
        let before = limit().expect("a limit");
        raise_limit().expect("it may");
        let now = read().expect("a limit");
        assert_eq!(now.rlim_cur, now.rlim_max);
        assert!(limit().expect("a limit") >= before);
    }
}
