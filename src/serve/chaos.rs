//! Class CHAOS: the names that tell operators which server answers them. In: a name in lower case and
//! the texts. Out: a TXT record, or REFUSED. PURE, like `respond`.

use super::answer::Answer;
use crate::dns::message::{Query, flag};
use crate::dns::{Rcode, rtype};

/// Texts of `version.bind` and `hostname.bind`, at most 255 octets each.
#[derive(Clone, Debug, PartialEq)]
pub struct Chaos {
    pub version: Box<str>,
    pub hostname: Box<str>,
}

impl Chaos {
    pub fn fill(&self, name: &[u8], query: &Query, answer: &mut Answer<'_>) {
        let text = match name {
            b"\x07version\x04bind\0" | b"\x07version\x06server\0" => &self.version,
            b"\x08hostname\x04bind\0" | b"\x02id\x06server\0" => &self.hostname,
            _ => {
                answer.rcode(Rcode::Refused);
                return;
            }
        };
        answer.flag(flag::AA);
        if query.qtype == rtype::TXT || query.qtype == rtype::ANY {
            answer.chaos_text(text);
        }
    }
}
