//! What the kernel counts of this process, and can do for it. In: /proc. Out: numbers, as many as can
//! be read. It must never be asked by an answering thread: it opens files.

use std::collections::HashSet;
use std::fs;

use super::descriptors;

/// Of the whole process; `None`: it cannot be told here.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// In the processor, for itself and for it in the kernel.
    pub cpu_seconds: Option<f64>,
    pub resident_bytes: Option<u64>,
    pub virtual_bytes: Option<u64>,
    pub threads: Option<u64>,
    /// Since 1970.
    pub start_seconds: Option<f64>,
    pub descriptors: Option<u64>,
    pub descriptors_max: Option<u64>,
    /// Datagrams that the UDP sockets lost, because nobody read them in time.
    pub udp_drops: Option<u64>,
}

impl Usage {
    /// As it is now.
    pub fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
        Self {
            descriptors: fs::read_dir("/proc/self/fd")
                .ok()
                // The list of them is open while it is read.
                .map(|all| (all.count() as u64).saturating_sub(1)),
            descriptors_max: descriptors::limit().ok().map(|limit| limit as u64),
            udp_drops: udp_drops(),
            ..Self::of_texts(&stat, &boot, ticks_per_second(), page_bytes())
        }
    }

    /// From /proc/self/stat and /proc/stat (proc_pid_stat(5), proc_stat(5)).
    fn of_texts(stat: &str, boot: &str, ticks: f64, page_bytes: u64) -> Self {
        // The name is in brackets and may hold anything; the first field behind it is the third.
        let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
        let fields: Vec<&str> = behind.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let seconds = |number| field(number).map(|count| count as f64 / ticks);
        let booted = boot.lines().find_map(|line| line.strip_prefix("btime "));
        let booted = booted.and_then(|text| text.trim().parse::<f64>().ok());
        Self {
            cpu_seconds: seconds(14)
                .zip(seconds(15))
                .map(|(own, kernel)| own + kernel),
            resident_bytes: field(24).map(|pages| pages * page_bytes),
            virtual_bytes: field(23),
            threads: field(20),
            start_seconds: booted.zip(seconds(22)).map(|(boot, since)| boot + since),
            ..Self::default()
        }
    }
}

/// Datagrams that the UDP sockets of this process lost since they were opened, because nobody read them in
/// time. The kernel counts them for each socket; this is the count that SO_RXQ_OVFL would put beside each
/// datagram and SO_MEMINFO tells of one socket, and here it costs those who read datagrams nothing. What is
/// lost is what arrives when the buffer is full.
///
/// /proc/net has the sockets of all processes; ours are those that we have descriptors of. Mostly there is
/// no socket that lost anything, and then nothing more is looked at.
pub fn udp_drops() -> Option<u64> {
    let four = fs::read_to_string("/proc/net/udp").ok()?;
    // There is none without IPv6.
    let six = fs::read_to_string("/proc/net/udp6").unwrap_or_default();
    let losing: Vec<_> = losing(&four).chain(losing(&six)).collect();
    if losing.is_empty() {
        return Some(0);
    }
    let all = fs::read_dir("/proc/self/fd").ok()?.flatten();
    let targets = all.filter_map(|entry| fs::read_link(entry.path()).ok());
    let ours: HashSet<String> = targets
        .filter_map(|target| {
            let inode = target.to_str()?.strip_prefix("socket:[")?;
            Some(inode.strip_suffix(']')?.to_owned())
        })
        .collect();
    let losing = losing.into_iter();
    let drops = losing.filter(|(inode, _)| ours.contains(*inode));
    Some(drops.map(|(_, drops)| drops).sum())
}

/// Inode and drops of the sockets that have any; the columns are those of proc_pid_net(5).
fn losing(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().skip(1).filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (inode, drops) = (words.nth(9)?, words.nth(2)?);
        let drops = drops.parse().ok()?;
        (drops > 0).then_some((inode, drops))
    })
}

/// Whether the kernel can filter system calls. It says so where there is no /proc as well (prctl(2),
/// PR_GET_SECCOMP: EINVAL without CONFIG_SECCOMP).
pub fn has_seccomp() -> bool {
    // SAFETY: PR_GET_SECCOMP takes no further argument, and gives a number.
    unsafe { libc::prctl(libc::PR_GET_SECCOMP) >= 0 }
}

fn ticks_per_second() -> f64 {
    // SAFETY: sysconf takes a number and gives one.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    if ticks > 0 { ticks as f64 } else { 100.0 }
}

pub(super) fn page_bytes() -> u64 {
    // SAFETY: sysconf takes a number and gives one.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(bytes).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_of_system_calls_are_told_of_as_proc_does() {
        let status = fs::read_to_string("/proc/self/status").expect("/proc");
        assert_eq!(has_seccomp(), status.contains("\nSeccomp:"));
    }

    #[test]
    fn fields_are_those_of_the_manual_whatever_the_name_of_the_program() {
        let stat = "7 (a) b 1 2) S 1 7 7 0 -1 4194560 10 0 0 0 250 50 0 0 20 0 4 0 1000 8192 3 \
                    18446744073709551615 1";
        let usage = Usage::of_texts(stat, "cpu 1 2\nbtime 1700000000\n", 100.0, 4096);
        assert_eq!(usage.cpu_seconds, Some(3.0));
        assert_eq!(usage.threads, Some(4));
        assert_eq!(usage.start_seconds, Some(1_700_000_010.0));
        assert_eq!(usage.virtual_bytes, Some(8192));
        assert_eq!(usage.resident_bytes, Some(3 * 4096));
        assert_eq!(Usage::of_texts("", "", 100.0, 4096), Usage::default());
    }

    #[test]
    fn sockets_that_lost_datagrams_are_found_by_their_inode() {
        let text = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  \
                    timeout inode ref pointer drops\n\
              7: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 \
                    41 2 0 12\n\
              8: 0100007F:0036 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 \
                    42 2 0 0\n";
        assert_eq!(losing(text).collect::<Vec<_>>(), [("41", 12)]);
        assert_eq!(losing("").count(), 0);
    }

    /// A socket that nobody reads loses what its buffer does not hold, and this process has it.
    #[test]
    fn datagrams_that_a_socket_lost_are_counted() {
        let receiver = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        let to = receiver.local_addr().expect("an address");
        let before = udp_drops().expect("/proc/net");
        for _ in 0..2_000 {
            let _ = sender.send_to(&[0; 1_400], to);
        }
        assert!(udp_drops().is_some_and(|drops| drops > before));
    }

    #[test]
    fn this_process_has_memory_descriptors_and_a_past() {
        let usage = Usage::read();
        assert!(
            usage.resident_bytes.is_some_and(|bytes| bytes > 1 << 20),
            "{usage:?}"
        );
        assert!(usage.descriptors.is_some_and(|count| count >= 3));
        assert!(usage.descriptors <= usage.descriptors_max);
        assert!(usage.start_seconds.is_some_and(|at| at > 1.7e9));
        assert!(usage.threads.is_some_and(|count| count >= 1));
    }
}
