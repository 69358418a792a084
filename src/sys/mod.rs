//! Every system call that socket2 and mio do not offer, and every `unsafe` of the program, a leaf.
//! In and out: plain values and slices. What the kernel writes is checked here, not by callers.

#![allow(unsafe_code)]

pub mod affinity;
pub mod block;
pub mod clock;
pub mod control;
pub mod descriptors;
pub mod host;
pub mod interfaces;
pub mod memory;
pub mod mmsg;
pub mod pages;
pub mod passed;
pub mod prefetch;
pub mod priority;
pub mod process;
pub mod socket;
pub mod steering;
pub mod uring;
pub mod way_back;
