//! What may be asked of a ring. In: a ring that was made and not started. Out: the same, started, for
//! what this engine asks and nothing else. No filter of system calls sees what goes through a ring.

use std::io;

use io_uring::register::Restriction;
use io_uring::{IoUring, opcode, squeue};

/// All that is ever submitted: see `arm` and `push_answer`.
const SUBMITTED: [u8; 4] = [
    opcode::RecvMsgMulti::CODE,
    opcode::SendMsg::CODE,
    opcode::Send::CODE,
    opcode::PollAdd::CODE,
];
// linux/io_uring.h: all that `stop_receiving` and `drop` ask for, by its number.
const UNREGISTER_FILES: u8 = 3;
const UNREGISTER_BUFFER_RING: u8 = 23;
const SYNC_CANCEL: u8 = 24;

/// A ring that was not built with `setup_r_disabled` is refused.
pub fn start(ring: &IoUring) -> io::Result<()> {
    let flags =
        squeue::Flags::FIXED_FILE | squeue::Flags::BUFFER_SELECT | squeue::Flags::SKIP_SUCCESS;
    let mut restrictions: Vec<Restriction> = SUBMITTED.map(Restriction::sqe_op).into();
    restrictions.push(Restriction::sqe_flags_allowed(flags.bits()));
    let registered = [UNREGISTER_FILES, UNREGISTER_BUFFER_RING, SYNC_CANCEL];
    restrictions.extend(registered.map(Restriction::register_op));
    ring.submitter().register_restrictions(&mut restrictions)?;
    ring.submitter().register_enable_rings()
}
