//! Datagrams. In: a batch from the socket. Out: their answers, in one call. One bad datagram never
//! costs another its answer.

use std::io;
use std::os::fd::BorrowedFd;

use super::worker::Answering;
use super::{Client, Respond, Transport};
use crate::sys::mmsg::Batch;

/// Answers what is there, up to one batch. False: nothing was there, or receiving failed.
#[inline]
pub fn answer_batch<R: Respond>(
    batch: &mut Batch,
    socket: BorrowedFd<'_>,
    answering: &mut Answering<'_, R>,
) -> bool {
    let stats = answering.stats;
    let count = match batch.receive(socket) {
        Ok(count) => count,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
        // A signal, though workers take none: try again.
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return true,
        Err(_) => {
            stats.receive_errors.add(1);
            return false;
        }
    };
    stats.queries_udp.add(count as u64);
    for index in 0..count {
        if let Some(query) = batch.query_octets(index) {
            answering.read(index, query);
        }
    }
    // Memory is waited for once and not for each query. A query alone has nothing to wait beside.
    if count > 1 {
        answering.fetch(count);
    }
    for index in 0..count {
        let Some(datagram) = batch.datagram(index) else {
            break;
        };
        let answer = if datagram.truncated {
            answering.answer_truncated(datagram.query, datagram.response)
        } else {
            let client = Client {
                transport: Transport::Udp,
                address: datagram.peer,
            };
            answering.answer_read(index, datagram.query, client, datagram.response)
        };
        if let Some(bytes) = answer {
            batch.queue(index, bytes);
        }
    }
    let sent = batch.send(socket);
    if sent.short + sent.errors > 0 {
        stats.short_sends.add(sent.short);
        stats.send_errors.add(sent.errors);
    }
    true
}
