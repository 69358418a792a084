//! Which socket of a SO_REUSEPORT group gets a datagram. In: the cores of the workers, in the order in
//! which their sockets were bound. Out: a program in the kernel (classic BPF) that chooses the socket by
//! the core on which the datagram came in, so that it stays in that core's caches.

use std::io;
use std::os::fd::AsFd;

use libc::sock_filter as Instruction;

use super::socket;

/// Has the group of this socket steered to its first `cores.len()` sockets, by core. What comes in on
/// a core that none of them has goes to any of them. The last call counts for the whole group. An
/// error leaves the group as it was; without a program the kernel chooses by a hash of the addresses.
pub fn steer(socket: &impl AsFd, cores: &[Option<usize>]) -> io::Result<()> {
    let mut program = program(cores);
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        filter: program.as_mut_ptr(),
    };
    // The kernel reads `len` instructions behind the pointer, which live across the call, and checks
    // them (bpf_check_classic).
    socket::set(
        socket.as_fd(),
        libc::SOL_SOCKET,
        libc::SO_ATTACH_REUSEPORT_CBPF,
        &program,
    )
}

/// Returns the number of a socket (linux/Documentation/networking/filter.rst).
fn program(cores: &[Option<usize>]) -> Vec<Instruction> {
    let count = cores.len().max(1) as u32;
    let mut program = vec![load(libc::SKF_AD_CPU)];
    let are_counted = cores.iter().enumerate().all(|(at, core)| *core == Some(at));
    if are_counted {
        program.push(Instruction {
            // At or above the count the next instruction is passed over.
            jt: 1,
            ..instruction(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, count)
        });
        program.push(instruction(libc::BPF_RET | libc::BPF_A, 0));
    } else {
        for (at, core) in cores.iter().enumerate() {
            let Some(core) = core else { continue };
            program.push(Instruction {
                jf: 1,
                ..instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, *core as u32)
            });
            program.push(instruction(libc::BPF_RET | libc::BPF_K, at as u32));
        }
    }
    program.extend([
        load(libc::SKF_AD_RANDOM),
        instruction(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, count),
        instruction(libc::BPF_RET | libc::BPF_A, 0),
    ]);
    program
}

/// What the kernel knows beside the packet.
fn load(what: libc::c_int) -> Instruction {
    let place = libc::SKF_AD_OFF + what;
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, place as u32)
}

fn instruction(code: u32, k: u32) -> Instruction {
    Instruction {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::limits::WORKERS_MAX;

    #[test]
    fn kernel_takes_every_program_that_is_made() {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None);
        let socket = socket.expect("a socket");
        socket.set_reuse_port(true).expect("SO_REUSEPORT");
        let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(&any.into()).expect("bound");
        let socket = UdpSocket::from(socket);
        steer(&socket, &[Some(0)]).expect("one worker");
        steer(&socket, &[Some(0), Some(1)]).expect("two instructions");
        steer(&socket, &[None, None]).expect("unpinned workers");
        let apart: Vec<_> = (0..WORKERS_MAX).map(|at| Some(2 * at + 1)).collect();
        steer(&socket, &apart).expect("each its own core");
    }

    #[test]
    fn program_for_all_cores_is_as_short_for_many_as_for_few() {
        let many: Vec<_> = (0..WORKERS_MAX).map(Some).collect();
        assert_eq!(program(&many).len(), program(&[Some(0)]).len());
    }
}
