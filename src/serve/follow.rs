//! Names of the domain, and static ones wherever they are: their records, or the CNAME that they have
//! and what it leads to. In: an entry of the table. Out: a filled answer, or the name that the
//! forwarder is to ask for. PURE, as `respond` is, and as little may it panic.

use super::Client;
use super::answer::{Answer, POINTER_MAX, record_head};
use super::elsewhere::{self, Place};
use super::respond::{Filled, Turn};
use crate::dns::message::{Query, flag};
use crate::dns::name::{is_at_or_below, is_below};
use crate::dns::{Rcode, rtype};
use crate::limits::CNAME_HOPS_MAX;
use crate::responses::Snapshot;
use crate::responses::layout::{Entry, RrSet};
use crate::responses::zone::Zone;

/// Whose a name is that a CNAME leads to.
enum Owner {
    Domain,
    /// Static records, or those of an address, outside of the domain.
    Table,
    Others,
}

impl Turn<'_> {
    /// A name of the domain, or of the zone of an address; `apex` is whose SOA a negative answer has.
    pub(super) fn fill_name<'s>(
        &mut self,
        snapshot: &'s Snapshot,
        query: &Query,
        client: Client,
        entry: Option<Entry<'s>>,
        apex: &[u8],
        answer: &mut Answer<'_>,
    ) -> Filled {
        let zone = snapshot.table.zone();
        self.is_covered = entry.is_none();
        let Some(entry) = entry.or_else(|| snapshot.table.covering(self.name)) else {
            answer.rcode(Rcode::NxDomain);
            answer.negative(&zone.negative_soa, apex, query);
            return Filled::Answered;
        };
        if self.fill_rrsets(&entry, query, zone, answer) {
            return Filled::Answered;
        }
        if let Some(cname) = cname_of(&entry) {
            return self.follow(snapshot, query, client, cname, answer);
        }
        answer.negative(&zone.negative_soa, apex, query);
        Filled::Answered
    }

    /// SOA and NS stand at the apex, in the answer section (RFC 1034, 4.3.2).
    pub(super) fn fill_apex(
        &mut self,
        snapshot: &Snapshot,
        query: &Query,
        entry: Option<Entry<'_>>,
        answer: &mut Answer<'_>,
    ) {
        let zone = snapshot.table.zone();
        let any = query.qtype == rtype::ANY;
        let mut found = false;
        if any || query.qtype == rtype::SOA {
            found = true;
            answer.own_record(&zone.soa);
        }
        if self.narrows_any {
            return;
        }
        if any || query.qtype == rtype::NS {
            found = true;
            answer.apex_ns(zone);
        }
        if let Some(entry) = entry {
            found |= answer.rrsets(&entry, query.qtype, zone, self.random);
        }
        if !found {
            answer.negative(&zone.negative_soa, &zone.domain, query);
        } else if any || query.qtype == rtype::NS {
            answer.glue(zone, self.random);
        }
    }

    /// Answers with what is asked for; false where there is none.
    #[inline]
    fn fill_rrsets(
        &mut self,
        entry: &Entry<'_>,
        query: &Query,
        zone: &Zone,
        answer: &mut Answer<'_>,
    ) -> bool {
        let mut qtype = query.qtype;
        if self.narrows_any
            && let Some(first) = entry.rrsets().next()
        {
            qtype = first.rtype;
        }
        let found = answer.rrsets(entry, qtype, zone, self.random);
        if found
            && (qtype == rtype::SRV || qtype == rtype::ANY)
            && let Some(rrset) = entry.rrset(rtype::SRV)
        {
            answer.additional(&rrset, zone, self.random);
        }
        found
    }

    /// A name outside of the domain: its static records, if it has some, or the forwarder's. Of a type
    /// that it has not it has nothing (RFC 2308, 2.2, type 3: there is no SOA of ours to give): who
    /// gives a name an address of their own would not have clients take another one from elsewhere.
    pub(super) fn fill_outside<'s>(
        &mut self,
        snapshot: &'s Snapshot,
        query: &Query,
        client: Client,
        entry: Option<Entry<'s>>,
        answer: &mut Answer<'_>,
    ) -> Filled {
        self.is_covered = entry.is_none();
        let Some(entry) = snapshot.table.outside(self.name, entry) else {
            return self.forward(client, answer);
        };
        self.authoritative(answer);
        if self.fill_rrsets(&entry, query, snapshot.table.zone(), answer) {
            return Filled::Answered;
        }
        match cname_of(&entry) {
            Some(cname) => self.follow(snapshot, query, client, cname, answer),
            None => Filled::Answered,
        }
    }

    /// A name of the domain while nothing is known of the cluster. What is not among the static records
    /// may exist: SERVFAIL makes clients ask their next server.
    #[cold]
    pub(super) fn fill_partial<'s>(
        &mut self,
        snapshot: &'s Snapshot,
        query: &Query,
        client: Client,
        entry: Option<Entry<'s>>,
        answer: &mut Answer<'_>,
    ) -> Filled {
        let entry = entry.filter(|entry| {
            let has = |rtype| entry.rrset(rtype).is_some();
            entry.has_statics() && (has(query.qtype) || has(rtype::CNAME))
        });
        if entry.is_none() {
            answer.rcode(Rcode::ServFail);
            return Filled::Answered;
        }
        self.authoritative(answer);
        let domain = &snapshot.table.zone().domain;
        self.fill_name(snapshot, query, client, entry, domain, answer)
    }

    /// Writes CNAMEs until a name has what is asked for, has it not, or is not ours.
    #[cold]
    fn follow<'s>(
        &mut self,
        snapshot: &'s Snapshot,
        query: &Query,
        client: Client,
        mut cname: RrSet<'s>,
        answer: &mut Answer<'_>,
    ) -> Filled {
        let table = &snapshot.table;
        let zone = table.zone();
        for _ in 0..CNAME_HOPS_MAX {
            let Some(target) = cname.name(0) else {
                return Filled::Answered;
            };
            let ttl_seconds = cname.own_ttl_seconds().unwrap_or(zone.ttl_seconds);
            let Some(target_at) = answer.cname(target, ttl_seconds) else {
                return Filled::Answered;
            };
            let (owner, entry) = self.look_up(snapshot, target);
            if let Owner::Others = owner {
                if self.fill_target(snapshot, query, target, answer) {
                    return Filled::Answered;
                }
                // Without RD nobody else is asked (RFC 1034, 4.3.1).
                if query.flags & flag::RD != 0 && self.settings.may_forward(client) {
                    return Filled::Follow { target_at };
                }
                return Filled::Answered;
            }
            let is_apex = target == &*zone.domain;
            let Some(entry) = entry else {
                self.end(snapshot, Rcode::NxDomain, answer);
                return Filled::Answered;
            };
            if self.fill_rrsets(&entry, query, zone, answer)
                || is_apex && apex_record(query, zone, answer)
            {
                return Filled::Answered;
            }
            match (cname_of(&entry), owner) {
                (Some(next), _) => cname = next,
                (None, Owner::Domain) => {
                    self.end(snapshot, Rcode::NoError, answer);
                    return Filled::Answered;
                }
                (None, _) => return Filled::Answered,
            }
        }
        Filled::Answered
    }

    /// A name of others that is nobody's but ours to answer (see `elsewhere`); false: it is another one.
    #[cold]
    #[inline(never)]
    fn fill_target(
        &self,
        snapshot: &Snapshot,
        query: &Query,
        target: &[u8],
        answer: &mut Answer<'_>,
    ) -> bool {
        match elsewhere::place(target, &self.settings.reverse_zones) {
            Place::Special(special) => special.fill(query, answer),
            Place::Reverse(Some(owned)) => owned.deny(snapshot.table.zone(), query, answer),
            Place::Reverse(None) | Place::Outside => return false,
        }
        true
    }

    fn look_up<'s>(&self, snapshot: &'s Snapshot, target: &[u8]) -> (Owner, Option<Entry<'s>>) {
        let table = &snapshot.table;
        let entry = table.find(target);
        if is_at_or_below(target, &table.zone().domain) {
            // What the cluster may have is not known to be ours, nor to be covered, until it is known.
            let entry = match table.marks().partial {
                true => entry.filter(Entry::has_statics),
                false => entry.or_else(|| table.covering(target)),
            };
            return (Owner::Domain, entry);
        }
        let is_address = self.settings.reverse_dns_on
            && (is_below(target, b"\x07in-addr\x04arpa\0")
                || is_below(target, b"\x03ip6\x04arpa\0"));
        if is_address && entry.is_some_and(|entry| entry.rrset_count() > 0) {
            return (Owner::Table, entry);
        }
        match table.outside(target, entry) {
            Some(entry) => (Owner::Table, Some(entry)),
            None => (Owner::Others, None),
        }
    }

    /// A chain ended at a name of the domain that does not exist, or has no such records: the code is
    /// that of the last name (RFC 2308, 2.1).
    fn end(&self, snapshot: &Snapshot, rcode: Rcode, answer: &mut Answer<'_>) {
        if snapshot.table.marks().partial {
            return answer.rcode(Rcode::ServFail);
        }
        answer.rcode(rcode);
        answer.negative_of_domain(snapshot.table.zone());
    }
}

/// Only static records are CNAMEs.
#[inline]
fn cname_of<'e>(entry: &Entry<'e>) -> Option<RrSet<'e>> {
    match entry.has_statics() {
        true => entry.rrset(rtype::CNAME),
        false => None,
    }
}

/// SOA and NS of the apex, which stand in no entry.
fn apex_record(query: &Query, zone: &Zone, answer: &mut Answer<'_>) -> bool {
    match query.qtype {
        rtype::SOA => answer.own_record(&zone.soa),
        rtype::NS => answer.own_record(&zone.ns),
        _ => false,
    }
}

impl Answer<'_> {
    /// A CNAME; the answers that follow are its target's. Returns where that stands, uncompressed.
    fn cname(&mut self, target: &[u8], ttl_seconds: u32) -> Option<usize> {
        let head = record_head(rtype::CNAME, ttl_seconds);
        if !self.pointing(&head, target) {
            self.cut = true;
            return None;
        }
        self.answer_count += 1;
        let target_at = self.length.checked_sub(target.len())?;
        if target_at > POINTER_MAX {
            return None;
        }
        self.owner = (0xc000 | target_at as u16).to_be_bytes();
        Some(target_at)
    }

    /// The SOA of a negative answer to another name than the question's.
    fn negative_of_domain(&mut self, zone: &Zone) {
        if self.put2(&zone.domain, &zone.negative_soa) {
            self.authority_count += 1;
        } else {
            self.cut = true;
        }
    }
}
