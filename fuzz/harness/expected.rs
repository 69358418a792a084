//! What a query ought to be answered with, by the rules of the README alone. In: what is known of the
//! names, the settings, the question. Out: every record of the whole answer, or whose the name is. It
//! looks names up one by one, and knows nothing of tables, limits and compression.

use super::wire::{
    A, AAAA, ANY, AXFR, CNAME, IXFR, NS, Record, SOA, SRV, TXT, ancestors, is_within, wire,
};
use super::world::{Known, TTL};

pub const NO_ERROR: u16 = 0;
pub const SERV_FAIL: u16 = 2;
pub const NX_DOMAIN: u16 = 3;
pub const REFUSED: u16 = 5;

/// The configuration's part.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub reverse_dns_on: bool,
    pub has_reverse_zones: bool,
    pub chaos_on: bool,
    /// This client may ask for names outside.
    pub may_forward: bool,
}

#[derive(Debug)]
pub struct Asked<'a> {
    /// In lower case.
    pub spelled: &'a [u8],
    /// Without `*` labels but the first.
    pub name: &'a [u8],
    pub rtype: u16,
    pub class: u16,
    pub wants_recursion: bool,
}

#[derive(Debug, Default)]
pub struct Expected {
    pub rcode: u16,
    pub is_authoritative: bool,
    pub answers: Vec<Record>,
    /// Whose SOA is in the authority section.
    pub soa_owner: Option<Vec<u8>>,
    /// The question is the forwarder's.
    pub forward: bool,
    /// And so is the name where the answers end.
    pub follow: Option<Vec<u8>>,
}

impl Expected {
    pub fn of(known: Option<&Known>, rules: Rules, asked: &Asked<'_>) -> Self {
        let mut expected = Self::default();
        expected.fill(known, rules, asked);
        expected
    }

    fn fill(&mut self, known: Option<&Known>, rules: Rules, asked: &Asked<'_>) {
        let domain = wire("mesos");
        if asked.class != 1 {
            return self.other_class(rules, asked);
        }
        if [AXFR, IXFR].contains(&asked.rtype) {
            self.rcode = REFUSED;
            return;
        }
        if !is_within(asked.name, &domain) {
            return self.elsewhere(known, rules, asked);
        }
        let Some(known) = known else {
            self.rcode = SERV_FAIL;
            return;
        };
        if known.is_partial {
            let is_answered = |it: &Record| [CNAME, asked.rtype].contains(&it.rtype);
            let statics = known
                .exact(asked.name)
                .filter(|_| known.has_statics(asked.name));
            if !statics.is_some_and(|(_, records)| records.iter().any(is_answered)) {
                self.rcode = SERV_FAIL;
                return;
            }
        }
        self.is_authoritative = true;
        if asked.name == domain {
            let own = apex_records().into_iter();
            self.answers
                .extend(own.filter(|it| [it.rtype, ANY].contains(&asked.rtype)));
            let others = known.exact(&domain).map_or(&[][..], |(_, records)| records);
            self.take(others, asked.rtype, asked.spelled);
            if self.answers.is_empty() {
                self.soa_owner = Some(domain);
            }
            self.answers
                .iter_mut()
                .for_each(|it| it.owner = asked.spelled.to_vec());
            return;
        }
        self.name(known, rules, asked, &domain);
    }

    /// A name of a zone of ours.
    fn name(&mut self, known: &Known, rules: Rules, asked: &Asked<'_>, apex: &[u8]) {
        let Some((_, records)) = known.covering(asked.name) else {
            self.rcode = NX_DOMAIN;
            self.soa_owner = Some(apex.to_vec());
            return;
        };
        if self.take(records, asked.rtype, asked.spelled) {
            return;
        }
        match records.iter().find(|it| it.rtype == CNAME) {
            Some(cname) => self.chain(known, rules, asked, cname),
            None => self.soa_owner = Some(apex.to_vec()),
        }
    }

    /// Adds the records of a type; false where there are none.
    fn take(&mut self, records: &[Record], rtype: u16, owner: &[u8]) -> bool {
        let before = self.answers.len();
        let wanted = records.iter().filter(|it| [it.rtype, ANY].contains(&rtype));
        self.answers.extend(wanted.map(|it| Record {
            owner: owner.to_vec(),
            ..it.clone()
        }));
        self.answers.len() > before
    }

    fn chain(&mut self, known: &Known, rules: Rules, asked: &Asked<'_>, first: &Record) {
        let domain = wire("mesos");
        let mut owner = asked.spelled.to_vec();
        let mut cname = first;
        for _ in 0..8 {
            self.answers.push(Record {
                owner,
                ..cname.clone()
            });
            let target = &cname.data;
            owner = target.clone();
            let is_ours = is_within(target, &domain);
            let found = match is_ours && known.is_partial {
                true => known
                    .exact(target)
                    .filter(|(owner, _)| known.has_statics(owner)),
                false => known.covering(target),
            };
            let is_reverse = is_below_arpa(target) && target.len() > wire("in-addr.arpa").len();
            let is_address = rules.reverse_dns_on
                && is_reverse
                && known
                    .exact(target)
                    .is_some_and(|(_, records)| !records.is_empty());
            let found =
                found.filter(|(owner, _)| is_ours || is_address || known.has_statics(owner));
            let Some((_, records)) = found else {
                let owned = owned_zone(target).filter(|_| rules.has_reverse_zones);
                if is_ours {
                    self.end(known, NX_DOMAIN);
                } else if self.special(target, target, asked.rtype) {
                } else if let Some(owned) = owned {
                    self.deny(owned);
                } else if asked.wants_recursion && rules.may_forward {
                    self.follow = Some(target.clone());
                }
                return;
            };
            if self.take(records, asked.rtype, target) {
                return;
            }
            if *target == domain {
                let own = apex_records()
                    .into_iter()
                    .find(|it| it.rtype == asked.rtype);
                if let Some(own) = own {
                    return self.answers.push(own);
                }
            }
            match records.iter().find(|it| it.rtype == CNAME) {
                Some(next) => cname = next,
                None if is_ours => return self.end(known, NO_ERROR),
                None => return,
            }
        }
    }

    fn end(&mut self, known: &Known, rcode: u16) {
        if known.is_partial {
            self.rcode = SERV_FAIL;
            return;
        }
        self.rcode = rcode;
        self.soa_owner = Some(wire("mesos"));
    }

    fn elsewhere(&mut self, known: Option<&Known>, rules: Rules, asked: &Asked<'_>) {
        if self.special(asked.name, asked.spelled, asked.rtype) {
            self.is_authoritative = true;
            return;
        }
        let is_reverse = is_below_arpa(asked.name);
        let owned = owned_zone(asked.name).filter(|_| rules.has_reverse_zones);
        if let Some(known) = known.filter(|_| is_reverse && rules.reverse_dns_on)
            && known
                .exact(asked.name)
                .is_some_and(|(_, records)| !records.is_empty())
        {
            self.is_authoritative = true;
            let apex = owned.map_or(asked.name.to_vec(), |(apex, _)| apex);
            return self.name(known, rules, asked, &apex);
        }
        if let Some(known) = known.filter(|known| known.has_statics_outside())
            && let Some((owner, records)) = known.covering(asked.name)
            && known.has_statics(owner)
        {
            self.is_authoritative = true;
            if !self.take(records, asked.rtype, asked.spelled)
                && let Some(cname) = records.iter().find(|it| it.rtype == CNAME)
            {
                self.chain(known, rules, asked, cname);
            }
            return;
        }
        match owned {
            Some(owned) if known.is_some() => {
                self.is_authoritative = true;
                self.deny(owned);
            }
            Some(_) => self.rcode = SERV_FAIL,
            None if rules.may_forward => self.forward = true,
            None => self.rcode = REFUSED,
        }
    }

    /// Names that every name server answers itself (RFC 6761, RFC 7686); false: it is none.
    fn special(&mut self, name: &[u8], owner: &[u8], rtype: u16) -> bool {
        let nowhere = ["invalid", "onion"].map(wire);
        if let Some(apex) = nowhere.into_iter().find(|apex| is_within(name, apex)) {
            self.rcode = NX_DOMAIN;
            self.soa_owner = Some(apex);
            return true;
        }
        let localhost = wire("localhost");
        if !is_within(name, &localhost) {
            return false;
        }
        let mut ipv6 = vec![0; 16];
        ipv6[15] = 1;
        let own = [(A, vec![127, 0, 0, 1]), (AAAA, ipv6)].map(|(rtype, data)| Record {
            owner: owner.to_vec(),
            rtype,
            class: 1,
            ttl: 10_800,
            data,
        });
        if !self.take(&own, rtype, owner) {
            self.soa_owner = Some(localhost);
        }
        true
    }

    /// A name of a reverse zone that is ours in full and holds no such address.
    fn deny(&mut self, (apex, is_inner): (Vec<u8>, bool)) {
        self.rcode = if is_inner { NO_ERROR } else { NX_DOMAIN };
        self.soa_owner = Some(apex);
    }

    fn other_class(&mut self, rules: Rules, asked: &Asked<'_>) {
        let texts: [(&[u8], &[u8]); 4] = [
            (b"\x07version\x04bind\0", b"\x08rollcall"),
            (b"\x07version\x06server\0", b"\x08rollcall"),
            (b"\x08hostname\x04bind\0", b"\x04host"),
            (b"\x02id\x06server\0", b"\x04host"),
        ];
        let text = texts.iter().find(|(name, _)| *name == asked.name);
        let Some((_, text)) = text.filter(|_| rules.chaos_on && asked.class == 3) else {
            self.rcode = REFUSED;
            return;
        };
        self.is_authoritative = true;
        if [TXT, ANY].contains(&asked.rtype) {
            self.answers.push(Record {
                owner: asked.spelled.to_vec(),
                rtype: TXT,
                class: 3,
                ttl: 0,
                data: text.to_vec(),
            });
        }
    }

    /// Addresses of what the answers lead to: all that the additional section may hold.
    pub fn additional(&self, known: Option<&Known>) -> Vec<Record> {
        let mut found = Vec::new();
        // Behind a CNAME the name server's addresses are left for who asks.
        let is_chain = self.answers.iter().any(|it| it.rtype == CNAME);
        for answer in &self.answers {
            let target = match answer.rtype {
                SRV => answer.data.get(6..).unwrap_or_default(),
                NS if !is_chain => &answer.data,
                _ => continue,
            };
            let records = known.and_then(|known| known.exact(target));
            let records = records.map_or(&[][..], |(_, records)| records);
            // Those of a TTL of their own are left for who asks.
            let is_told = |it: &&Record| [A, AAAA].contains(&it.rtype) && it.ttl == TTL;
            found.extend(records.iter().filter(is_told).cloned());
        }
        found.sort();
        found.dedup();
        found
    }
}

fn is_below_arpa(name: &[u8]) -> bool {
    ["in-addr.arpa", "ip6.arpa"]
        .iter()
        .any(|apex| is_within(name, &wire(apex)))
}

/// The zone of the harness's ReverseZones that has the name, and whether the name stands for a block
/// of addresses.
fn owned_zone(name: &[u8]) -> Option<(Vec<u8>, bool)> {
    let mut zones = vec![wire("10.in-addr.arpa"), wire("8.b.d.0.1.0.0.2.ip6.arpa")];
    zones.extend((16..32).map(|octet| wire(&format!("{octet}.172.in-addr.arpa"))));
    let apex = zones.into_iter().find(|apex| is_within(name, apex))?;
    let is_ipv4 = is_within(name, &wire("in-addr.arpa"));
    let labels = ancestors(name).map(|it| &it[1..1 + usize::from(it[0])]);
    let mut labels: Vec<&[u8]> = labels.collect();
    // The last one: those before it may be called so too.
    let is_tree = |label: &&[u8]| *label == b"in-addr" || *label == b"ip6";
    labels.truncate(labels.iter().rposition(is_tree)?);
    let is_part = |label: &&[u8]| {
        let text = str::from_utf8(label).unwrap_or_default();
        match is_ipv4 {
            true => text
                .parse::<u8>()
                .is_ok_and(|octet| octet.to_string() == text),
            false => matches!(label, [b'0'..=b'9' | b'a'..=b'f']),
        }
    };
    let is_inner = labels.iter().all(is_part) && labels.len() < if is_ipv4 { 4 } else { 32 };
    Some((apex, is_inner))
}

/// SOA and NS of the domain.
fn apex_records() -> [Record; 2] {
    let mut soa = [wire("ns1.mesos"), wire("root.ns1.mesos")].concat();
    for number in [7_u32, 60, 600, 86_400, 30] {
        soa.extend(number.to_be_bytes());
    }
    [(SOA, soa), (NS, wire("ns1.mesos"))].map(|(rtype, data)| Record {
        owner: wire("mesos"),
        rtype,
        class: 1,
        ttl: TTL,
        data,
    })
}
