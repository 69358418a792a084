//! Whether a ring works here. In: nothing. Out: yes, after a query and its answer went through one, or
//! why not, in words that name the cure.

use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::Ring;

/// Why io_uring cannot be used.
#[derive(Debug)]
pub enum Unavailable {
    /// `kernel.io_uring_disabled` is not 0.
    Disabled(u8),
    /// The call is refused: a seccomp filter.
    Filtered(io::Error),
    /// The kernel lacks something that the ring needs.
    TooOld(io::Error),
    /// Not even that, or no memory, descriptors or loopback.
    Failed(io::Error),
}

impl fmt::Display for Unavailable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled(value) => write!(
                formatter,
                "kernel.io_uring_disabled is {value}; set it to 0 (sysctl) to allow it"
            ),
            Self::Filtered(error) => write!(
                formatter,
                "a seccomp filter of the container or the service forbids it ({error})"
            ),
            Self::TooOld(error) => write!(
                formatter,
                "the kernel lacks what is used of it, which Linux 6.2 and later have ({error})"
            ),
            Self::Failed(error) => write!(formatter, "it does not work here: {error}"),
        }
    }
}

impl Unavailable {
    fn of(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => match disabled() {
                Some(value @ 1..) => Self::Disabled(value),
                _ => Self::Filtered(error),
            },
            Some(libc::ENOSYS | libc::EINVAL | libc::EOPNOTSUPP) => Self::TooOld(error),
            _ => Self::Failed(error),
        }
    }
}

/// Sends a datagram to a ring and has it answered, on loopback. Takes well under a millisecond where
/// it works.
pub fn probe() -> Result<(), Unavailable> {
    exchange().map_err(Unavailable::of)
}

fn exchange() -> io::Result<()> {
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    client.connect(server.local_addr()?)?;
    client.set_read_timeout(Some(PATIENCE))?;
    let mut ring = Ring::open(&[server.as_fd()], server.as_fd())?;
    client.send(b"?")?;
    let deadline = Instant::now() + PATIENCE;
    // The watched descriptor is the socket itself, so that it may wake without a message.
    while ring.receive(Some(PATIENCE))? == 0 {
        ring.take_ready();
        if Instant::now() > deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    if let Some(datagram) = ring.datagram(0)
        && let (query, [answer, ..]) = (datagram.query, datagram.response)
    {
        *answer = query.first().map_or(0, |octet| octet ^ 1);
        ring.queue(0, 1);
    }
    ring.receive(Some(Duration::ZERO))?;
    let mut answer = [0];
    client.recv(&mut answer)?;
    match answer == [b'?' ^ 1] {
        true => Ok(()),
        false => Err(io::ErrorKind::InvalidData.into()),
    }
}

const PATIENCE: Duration = Duration::from_secs(1);

/// The setting of the kernel (linux/Documentation/admin-guide/sysctl/kernel.rst).
fn disabled() -> Option<u8> {
    let text = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?;
    text.trim().parse().ok()
}
