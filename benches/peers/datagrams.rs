//! Datagrams in batches. In: queries to one server, each with its ID. Out: what comes back, datagram by
//! datagram. Must never wait for an answer, and never look into one.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg,
    sendmsg, setsockopt, sockopt,
};

/// A socket of the load's, bound to one server.
pub struct Channel {
    socket: UdpSocket,
    incoming: MultiHeaders<SockaddrIn>,
    outgoing: MultiHeaders<SockaddrIn>,
    room: Vec<u8>,
    /// Queries of one length leave as one buffer that the kernel cuts, and answers may come like that.
    is_segmented: bool,
    queue: Vec<u8>,
    lengths: Vec<usize>,
}

impl Channel {
    pub fn connect(server: SocketAddr, is_segmented: bool) -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(server)?;
        // Without the privilege the plain option takes what it gets.
        if setsockopt(&socket, sockopt::RcvBufForce, &BUFFER_BYTES).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &BUFFER_BYTES)?;
        }
        if setsockopt(&socket, sockopt::SndBufForce, &BUFFER_BYTES).is_err() {
            setsockopt(&socket, sockopt::SndBuf, &BUFFER_BYTES)?;
        }
        if is_segmented {
            setsockopt(&socket, sockopt::UdpGroSegment, &true)?;
        }
        let datagram_bytes = if is_segmented {
            MERGED_BYTES
        } else {
            DATAGRAM_BYTES
        };
        Ok(Self {
            socket,
            incoming: MultiHeaders::preallocate(BATCH, None),
            outgoing: MultiHeaders::preallocate(BATCH, None),
            room: vec![0; BATCH * datagram_bytes],
            is_segmented,
            queue: Vec::with_capacity(BATCH * DATAGRAM_BYTES),
            lengths: Vec::with_capacity(BATCH),
        })
    }

    /// Puts a query, with this ID in place of its own, behind those that wait for `send`.
    pub fn queue(&mut self, query: &[u8], id: u16) {
        let begin = self.queue.len();
        self.queue.extend_from_slice(query);
        self.queue[begin..begin + 2].copy_from_slice(&id.to_be_bytes());
        self.lengths.push(query.len());
    }

    pub fn is_full(&self) -> bool {
        self.lengths.len() >= BATCH
    }

    /// Sends what waits. A query that the kernel does not take is missed by the caller as lost.
    pub fn send(&mut self) -> io::Result<()> {
        if self.lengths.is_empty() {
            return Ok(());
        }
        let sent = if self.is_segmented {
            self.send_segments()
        } else {
            self.send_each()
        };
        self.queue.clear();
        self.lengths.clear();
        sent
    }

    fn send_segments(&self) -> io::Result<()> {
        let length = self.lengths[0];
        assert!(
            self.lengths.iter().all(|other| *other == length),
            "segments of one length"
        );
        let segment_bytes = length as u16;
        let vectors = [IoSlice::new(&self.queue)];
        let control = [ControlMessage::UdpGsoSegments(&segment_bytes)];
        let fd = self.socket.as_raw_fd();
        sendmsg::<SockaddrIn>(fd, &vectors, &control, MsgFlags::empty(), None)?;
        Ok(())
    }

    fn send_each(&mut self) -> io::Result<()> {
        let mut rest = &self.queue[..];
        let vectors: [[IoSlice<'_>; 1]; BATCH] = std::array::from_fn(|index| {
            let (first, others) = rest.split_at(self.lengths.get(index).copied().unwrap_or(0));
            rest = others;
            [IoSlice::new(first)]
        });
        let count = self.lengths.len();
        let fd = self.socket.as_raw_fd();
        let to = &NOWHERE_ELSE[..count];
        let headers = &mut self.outgoing;
        let _ = sendmmsg(fd, headers, &vectors[..count], to, [], MsgFlags::empty())?;
        Ok(())
    }

    /// Hands on every datagram of one batch; gives their number, 0 where none is there.
    pub fn receive(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<usize> {
        let mut merging;
        let headers = if self.is_segmented {
            // The kernel writes the length of the control message into its header, and this interface
            // never restores it.
            merging = MultiHeaders::preallocate(BATCH, Some(nix::cmsg_space!(i32)));
            &mut merging
        } else {
            &mut self.incoming
        };
        let datagram_bytes = self.room.len() / BATCH;
        let mut rooms = self.room.chunks_exact_mut(datagram_bytes);
        let mut vectors: [[IoSliceMut<'_>; 1]; BATCH] =
            std::array::from_fn(|_| [IoSliceMut::new(rooms.next().unwrap_or_default())]);
        let fd = self.socket.as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT;
        let messages = match recvmmsg(fd, headers, vectors.iter_mut(), flags, None) {
            Ok(messages) => messages,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        let mut count = 0;
        for message in messages {
            let mut segment_bytes = MERGED_BYTES;
            if self.is_segmented {
                for control in message.cmsgs()? {
                    if let ControlMessageOwned::UdpGroSegments(bytes) = control {
                        segment_bytes = usize::try_from(bytes).unwrap_or(0).max(1);
                    }
                }
            }
            for octets in message.iovs() {
                for datagram in octets.chunks(segment_bytes) {
                    each(datagram);
                    count += 1;
                }
            }
        }
        Ok(count)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Datagrams of one system call; also the most that the kernel cuts out of one buffer.
pub const BATCH: usize = 64;
/// The socket is connected.
const NOWHERE_ELSE: [Option<SockaddrIn>; BATCH] = [None; BATCH];
/// Answers to queries without EDNS have 512 octets at most.
const DATAGRAM_BYTES: usize = 2_048;
/// What the kernel merges into one buffer is as long as a datagram can be.
const MERGED_BYTES: usize = 65_536;
/// Default buffers lose answers in bursts.
const BUFFER_BYTES: usize = 4 << 20;
