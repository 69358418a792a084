//! This machine. In: nothing. Out: the name that the kernel has for it, without a file below `/proc`,
//! which a sandbox may hide.

use std::io;

/// The machine's name.
pub fn name() -> io::Result<String> {
    let mut octets = [0_u8; NAME_BYTES_MAX];
    // SAFETY: the call writes at most the length given, which is that of `octets`, and these live across
    // it.
    let status = unsafe { libc::gethostname(octets.as_mut_ptr().cast(), octets.len()) };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    let name = octets.split(|octet| *octet == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(name).into_owned())
}

/// Linux has names of up to 64 octets, and the zero behind.
const NAME_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    #[test]
    fn name_is_the_kernels() {
        let file = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("Linux");
        assert_eq!(super::name().expect("a name"), file.trim());
    }
}
