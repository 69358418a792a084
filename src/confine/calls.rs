//! Which system calls the process may make from now on. In: what `Sandbox` says. Out: filters of seccomp
//! for the present thread and those that it starts. It must never refuse a call that Rollcall makes.
//!
//! What is not in the list fails with EPERM, as if a privilege were missing: a call that was forgotten
//! then costs what needs it, and not the answers. A short list of calls that only an intruder makes ends
//! the process, which a service manager starts anew. With `log` nothing is refused: the kernel's log
//! names each call that is not in the list (`type=1326`), which is how one that is missing is found.
//!
//! Calls without a condition cost next to nothing: since Linux 5.11 the kernel works out once that a
//! filter always allows them and keeps that as a bit. All calls of the answering threads are such.
//! Before 5.11 each walks the list.
//!
//! What is submitted to a ring of io_uring is no system call: rings have a list of their own
//! (`sys::uring`).

use std::collections::BTreeMap;
use std::fs;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter,
};

use crate::config::Sandbox;
use crate::stats::sandbox::Calls;
use crate::sys::process;

type Call = (&'static str, libc::c_long);
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

macro_rules! calls {
    ($($call:ident)*) => { &[$((stringify!($call), libc::$call)),*] };
}

/// Allowed whatever the arguments.
const FREE: &[Call] = calls! {
    // Answering.
    SYS_recvmmsg SYS_sendmmsg SYS_recvmsg SYS_sendmsg SYS_recvfrom SYS_sendto SYS_read SYS_write SYS_readv
    SYS_writev SYS_epoll_pwait SYS_epoll_pwait2 SYS_ppoll SYS_pselect6 SYS_futex SYS_sched_yield
    SYS_clock_gettime SYS_gettimeofday SYS_nanosleep SYS_clock_nanosleep SYS_io_uring_enter SYS_accept4
    SYS_accept SYS_close SYS_shutdown
    // Sockets, and what waits for them.
    SYS_bind SYS_listen SYS_connect SYS_getsockname SYS_getpeername SYS_getsockopt SYS_setsockopt
    SYS_epoll_create1 SYS_epoll_ctl SYS_eventfd2 SYS_timerfd_create SYS_timerfd_settime
    SYS_timerfd_gettime SYS_pipe2 SYS_dup SYS_dup3 SYS_fcntl SYS_io_uring_setup
    // Files: Landlock says which.
    SYS_openat SYS_openat2 SYS_newfstatat SYS_fstat SYS_statx SYS_lseek SYS_pread64 SYS_pwrite64 SYS_preadv
    SYS_pwritev SYS_getdents64 SYS_readlinkat SYS_faccessat SYS_faccessat2 SYS_getcwd SYS_statfs SYS_fstatfs
    SYS_flock SYS_fsync SYS_fdatasync SYS_ftruncate SYS_fallocate SYS_mkdirat SYS_unlinkat SYS_renameat2
    SYS_umask SYS_fchmod SYS_close_range
    // Long lines of the journal go through one.
    SYS_memfd_create
    // Memory.
    SYS_brk SYS_munmap SYS_mremap SYS_madvise SYS_msync SYS_membarrier
    // Threads and signals. `without_clone3` has the last word on that one.
    SYS_clone3 SYS_exit SYS_exit_group SYS_set_robust_list SYS_get_robust_list SYS_set_tid_address SYS_rseq SYS_gettid
    SYS_rt_sigaction SYS_rt_sigprocmask SYS_rt_sigreturn SYS_rt_sigtimedwait SYS_rt_sigsuspend
    SYS_rt_sigpending SYS_sigaltstack SYS_restart_syscall SYS_sched_getaffinity SYS_sched_setaffinity
    SYS_sched_getparam SYS_sched_getscheduler SYS_getpriority SYS_setpriority SYS_getcpu SYS_wait4
    // What the process and its host are.
    SYS_getpid SYS_getppid SYS_getuid SYS_geteuid SYS_getgid SYS_getegid SYS_getresuid SYS_getresgid
    SYS_getgroups SYS_getrusage SYS_times SYS_uname SYS_sysinfo SYS_getrandom SYS_clock_getres SYS_capget
};

/// Those that newer architectures do without.
#[cfg(target_arch = "x86_64")]
const FREE_OF_ARCH: &[Call] = calls! {
    SYS_open SYS_stat SYS_lstat SYS_access SYS_readlink SYS_getdents SYS_mkdir SYS_rmdir SYS_unlink SYS_rename
    SYS_renameat SYS_poll SYS_select SYS_epoll_wait SYS_epoll_create SYS_eventfd SYS_pipe SYS_dup2 SYS_time
    SYS_arch_prctl SYS_fadvise64
};
#[cfg(target_arch = "aarch64")]
const FREE_OF_ARCH: &[Call] = calls! { SYS_renameat };
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const FREE_OF_ARCH: &[Call] = &[];

/// Calls that no mistake of ours makes: whoever makes them is not Rollcall.
const FATAL: &[Call] = calls! {
    SYS_execve SYS_execveat SYS_ptrace SYS_process_vm_readv SYS_process_vm_writev SYS_bpf SYS_init_module
    SYS_finit_module SYS_delete_module SYS_kexec_load SYS_mount SYS_umount2 SYS_pivot_root SYS_chroot
    SYS_move_mount SYS_open_tree SYS_fsopen SYS_fsconfig SYS_fsmount SYS_fspick SYS_mount_setattr SYS_setns
    SYS_unshare SYS_reboot SYS_swapon SYS_swapoff SYS_perf_event_open SYS_userfaultfd SYS_pidfd_getfd
    SYS_open_by_handle_at SYS_acct SYS_quotactl
};

/// Requests of ioctl(2): blocking or not, octets that wait, whether it is a terminal, interfaces.
#[allow(
    clippy::unnecessary_cast,
    reason = "they are of another type with musl"
)]
const REQUESTS: &[u64] = &[
    libc::FIONBIO as u64,
    libc::FIONREAD as u64,
    libc::FIOCLEX as u64,
    libc::TCGETS as u64,
    libc::TIOCGWINSZ as u64,
    libc::SIOCGIFNAME as u64,
    libc::SIOCGIFINDEX as u64,
    libc::SIOCGIFCONF as u64,
    libc::SIOCGIFFLAGS as u64,
    libc::SIOCGIFADDR as u64,
];
/// Requests of prctl(2): names of threads and mappings, and questions. PR_SET_VMA is glibc's for its heaps.
const CONTROLS: &[libc::c_int] = &[
    libc::PR_SET_NAME,
    libc::PR_GET_NAME,
    libc::PR_SET_VMA,
    libc::PR_GET_DUMPABLE,
    libc::PR_GET_SECCOMP,
    libc::PR_GET_NO_NEW_PRIVS,
    libc::PR_CAPBSET_READ,
];
/// Requests of io_uring_register(2) (linux/io_uring.h): files, the ring's own number, rings of buffers,
/// cancelling, restrictions and the start that they wait for.
const REGISTERED: &[u64] = &[2, 3, 11, 12, 20, 21, 22, 23, 24];

/// What would be done about other calls here; an error is why nothing can be.
pub fn wanted(mode: Sandbox) -> Result<Calls, String> {
    if !process::has_seccomp() {
        return Err("the kernel has none".to_owned());
    }
    target().map_err(|error| error.to_string())?;
    match mode {
        Sandbox::Off => Ok(Calls::Free),
        Sandbox::On => Ok(Calls::Refused),
        // Linux before 4.14 ends a thread where it is told to log.
        Sandbox::Log => match fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail") {
            Ok(actions) if actions.split_whitespace().any(|action| action == "log") => {
                Ok(Calls::Logged)
            }
            _ => {
                Err("the kernel does not say that it can log; Linux 4.14 and later can".to_owned())
            }
        },
    }
}

/// Filters the calls of the present thread, and of those that it starts.
pub fn filter(mode: Sandbox) -> Result<Calls, String> {
    let calls = wanted(mode)?;
    let programs = match calls {
        Calls::Free => Vec::new(),
        Calls::Logged => vec![without_clone3(), allowing(SeccompAction::Log)],
        Calls::Refused => vec![
            without_clone3(),
            ending_the_process(),
            allowing(SeccompAction::Errno(libc::EPERM as u32)),
        ],
    };
    // All are made before the first is in force, and the one that allows no more of them comes last.
    let programs: Result<Vec<BpfProgram>, BackendError> = programs.into_iter().collect();
    for program in programs.map_err(|error| error.to_string())? {
        apply_filter(&program).map_err(|error| error.to_string())?;
    }
    Ok(calls)
}

/// Calls that confining itself takes, before the list is in force.
#[cfg(test)]
pub const ENTERING: &[&str] = &[
    "landlock_create_ruleset",
    "landlock_add_rule",
    "landlock_restrict_self",
    "seccomp",
];

/// All calls that are allowed, with or without conditions, by their names.
#[cfg(test)]
pub fn names() -> Vec<&'static str> {
    let free = FREE.iter().chain(FREE_OF_ARCH);
    let all = free.chain(CONDITIONAL);
    all.map(|(name, _)| name.trim_start_matches("SYS_"))
        .collect()
}

/// Calls that `conditions` has a say in.
#[cfg(test)]
const CONDITIONAL: &[Call] = calls! {
    SYS_socket SYS_socketpair SYS_ioctl SYS_prctl SYS_io_uring_register SYS_mmap SYS_mprotect SYS_clone
    SYS_tgkill SYS_kill SYS_prlimit64
};

fn allowing(otherwise: SeccompAction) -> Result<BpfProgram, BackendError> {
    let free = FREE.iter().chain(FREE_OF_ARCH);
    let mut rules: Rules = free.map(|(_, call)| (number(*call), Vec::new())).collect();
    rules.extend(conditions()?);
    program(rules, otherwise, SeccompAction::Allow)
}

fn ending_the_process() -> Result<BpfProgram, BackendError> {
    let fatal = FATAL.iter().map(|(_, call)| (number(*call), Vec::new()));
    program(
        fatal.collect(),
        SeccompAction::Allow,
        SeccompAction::KillProcess,
    )
}

/// The flags of clone3 lie in memory, where no filter sees them. Without it the C library takes clone.
fn without_clone3() -> Result<BpfProgram, BackendError> {
    let clone3 = [(number(libc::SYS_clone3), Vec::new())];
    let lacking = SeccompAction::Errno(libc::ENOSYS as u32);
    program(clone3.into(), SeccompAction::Allow, lacking)
}

fn conditions() -> Result<Rules, BackendError> {
    let own = u64::from(std::process::id());
    let is = |argument, value: u64| condition(argument, SeccompCmpOp::Eq, value);
    let lacks = |argument, bits: u64| condition(argument, SeccompCmpOp::MaskedEq(bits), 0);
    let one =
        |condition: Result<SeccompCondition, BackendError>| SeccompRule::new(vec![condition?]);
    let any_of = |argument, values: &mut dyn Iterator<Item = u64>| {
        let rules = values.map(|value| one(is(argument, value)));
        rules.collect::<Result<Vec<_>, _>>()
    };
    let [execute, write] = [libc::PROT_EXEC, libc::PROT_WRITE].map(|bit| bit as u64);
    let mut sockets = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6]
        .map(|family| family as u64)
        .into_iter();
    let mut sockets = any_of(0, &mut sockets)?;
    sockets.push(SeccompRule::new(vec![
        is(0, libc::AF_NETLINK as u64)?,
        is(2, libc::NETLINK_ROUTE as u64)?,
    ])?);
    Ok(Rules::from([
        (number(libc::SYS_socket), sockets),
        (
            number(libc::SYS_socketpair),
            vec![one(is(0, libc::AF_UNIX as u64))?],
        ),
        (
            number(libc::SYS_ioctl),
            any_of(1, &mut REQUESTS.iter().copied())?,
        ),
        (
            number(libc::SYS_prctl),
            any_of(0, &mut CONTROLS.iter().map(|control| *control as u64))?,
        ),
        (
            number(libc::SYS_io_uring_register),
            any_of(1, &mut REGISTERED.iter().copied())?,
        ),
        // A library's code is mapped to be read and run. Nothing is both written and run.
        (
            number(libc::SYS_mmap),
            vec![one(lacks(2, execute))?, one(lacks(2, write))?],
        ),
        (number(libc::SYS_mprotect), vec![one(lacks(2, execute))?]),
        (
            number(libc::SYS_clone),
            vec![one(lacks(0, NEW_NAMESPACES))?],
        ),
        (number(libc::SYS_tgkill), vec![one(is(0, own))?]),
        (number(libc::SYS_kill), vec![one(is(0, own))?]),
        (number(libc::SYS_prlimit64), vec![one(is(0, 0))?]),
    ]))
}

/// Flags of clone(2) with which the child would have a world of its own, and in it the powers of root.
const NEW_NAMESPACES: u64 = (libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWUTS) as u64;

/// The kernel takes the lower half of all arguments that are looked at here.
fn condition(
    argument: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(
        argument,
        SeccompCmpArgLen::Dword,
        operator,
        value & u64::from(u32::MAX),
    )
}

fn program(
    rules: Rules,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    SeccompFilter::new(rules, otherwise, matched, target()?)?.try_into()
}

fn target() -> Result<TargetArch, BackendError> {
    std::env::consts::ARCH.try_into()
}

/// `c_long` has the width of the processor's registers.
#[allow(clippy::unnecessary_cast, reason = "it is narrower on some")]
fn number(call: libc::c_long) -> i64 {
    call as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_with_conditions_are_listed_by_their_names() {
        let listed: Vec<i64> = CONDITIONAL.iter().map(|(_, call)| number(*call)).collect();
        let with_conditions = conditions().expect("rules");
        assert_eq!(with_conditions.len(), listed.len());
        assert!(listed.iter().all(|call| with_conditions.contains_key(call)));
    }

    #[test]
    fn no_call_is_both_allowed_and_fatal() {
        let fatal: Vec<_> = FATAL
            .iter()
            .map(|(name, _)| name.trim_start_matches("SYS_"))
            .collect();
        assert!(names().iter().all(|name| !fatal.contains(name)));
    }
}
