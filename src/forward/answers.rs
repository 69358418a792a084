//! Answers that are made of nothing or of another's. In: the question of the one who asked, a reply. Out:
//! octets in the caller's buffer. Pure.

use super::question::Question;
use super::reply::Reply;
use super::walk::{self, Records};
use crate::dns::Rcode;
use crate::dns::cookie::Judged;
use crate::dns::message::{HEADER_BYTES, OPT_BYTES, flag};
use crate::dns::rtype;
use crate::limits::UDP_EDNS_BYTES_MAX;

/// Where a header's counts of answer, authority and additional records stand.
const ANCOUNT_AT: usize = 6;
const ARCOUNT_AT: usize = 10;
const ARCOUNT_END: usize = 12;

/// Header and question and nothing else, with an RCODE. Without RA, as mesos-dns has it.
pub fn failure(question: &Question<'_>, rcode: Rcode, out: &mut [u8]) -> Option<usize> {
    bare(question, rcode as u16 & 15, out)
}

/// Says that the answer is there over TCP (RFC 2181, 9).
pub fn cut(question: &Question<'_>, reply_flags: u16, out: &mut [u8]) -> Option<usize> {
    let kept = flag::AA | flag::RA | 0x0f;
    bare(question, reply_flags & kept | flag::TC, out)
}

fn bare(question: &Question<'_>, flags: u16, out: &mut [u8]) -> Option<usize> {
    let end = question.question_end;
    out.get_mut(..end)?
        .copy_from_slice(question.message.get(..end)?);
    let copied = question.flags & (flag::OPCODE_MASK | flag::RD | flag::CD);
    let flags = flag::QR | copied | flags;
    out.get_mut(2..4)?.copy_from_slice(&flags.to_be_bytes());
    out.get_mut(ANCOUNT_AT..ARCOUNT_END)?.fill(0);
    let Some(edns) = &question.edns else {
        return Some(end);
    };
    let [t0, t1] = rtype::OPT.to_be_bytes();
    let [s0, s1] = (UDP_EDNS_BYTES_MAX as u16).to_be_bytes();
    let dnssec = u8::from(edns.dnssec_ok) << 7;
    let opt = [0, t0, t1, s0, s1, 0, 0, dnssec, 0, 0, 0];
    out.get_mut(end..end + OPT_BYTES)?.copy_from_slice(&opt);
    out.get_mut(ARCOUNT_AT..ARCOUNT_END)?
        .copy_from_slice(&1_u16.to_be_bytes());
    Some(end + OPT_BYTES)
}

/// Puts our cookie into an answer, the first `bytes` of `out`: at the end of OPT, where that is the last
/// record, as in all that we write. Returns the answer's length.
pub fn with_cookie(cookie: Option<Judged>, out: &mut [u8], bytes: usize) -> usize {
    let mut put = || {
        let option = cookie?.option;
        let message = out.get(..bytes)?;
        let question_end = match walk::counts(message)? {
            [0, ..] => HEADER_BYTES,
            _ => walk::name_end(message, HEADER_BYTES)? + 4,
        };
        let opt = Records::behind(message, question_end)?.last()??;
        if !opt.is_opt() || opt.data.end != bytes {
            return None;
        }
        let data_bytes = u16::try_from(opt.data.len() + option.len()).ok()?;
        let place = out.get_mut(bytes..bytes + option.len())?;
        place.copy_from_slice(&option);
        let place = out.get_mut(opt.data.start.checked_sub(2)?..opt.data.start)?;
        place.copy_from_slice(&data_bytes.to_be_bytes());
        Some(bytes + option.len())
    };
    put().unwrap_or(bytes)
}

/// A reply as it is, for one who asked the same: with its ID and its spelling of the name. Without OPT
/// where it asked without and the reply is to one who asked with it (RFC 6891, 6.1.1); longer than it
/// takes: `cut`.
pub fn passed_on(
    question: &Question<'_>,
    message: &[u8],
    reply: &Reply,
    was_asked_with_edns: bool,
    bytes_max: usize,
    out: &mut [u8],
) -> Option<usize> {
    let (bytes, is_opt_cut) = match &reply.opt_at {
        // What follows it would move.
        Some(opt) if was_asked_with_edns && question.edns.is_none() && opt.end == message.len() => {
            (opt.start, true)
        }
        _ => (message.len(), false),
    };
    let [_, _, f0, f1] = *message.first_chunk()?;
    if bytes > bytes_max {
        return cut(question, u16::from_be_bytes([f0, f1]), out);
    }
    out.get_mut(..bytes)?.copy_from_slice(message.get(..bytes)?);
    out.get_mut(..2)?
        .copy_from_slice(question.message.get(..2)?);
    // A failure may come without the question (RFC 6891, 7).
    if reply.question_end == question.question_end {
        out.get_mut(HEADER_BYTES..reply.question_end)?
            .copy_from_slice(question.message.get(HEADER_BYTES..reply.question_end)?);
    }
    if is_opt_cut {
        let count = out.get_mut(ARCOUNT_AT..ARCOUNT_END)?;
        let before = u16::from_be_bytes(*count.first_chunk()?);
        count.copy_from_slice(&before.saturating_sub(1).to_be_bytes());
    }
    Some(bytes)
}
