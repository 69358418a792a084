//! What static records have of their own beside their data: TTL, priority and weight. In: the static
//! records of a name. Out: the octets before the data of its RRsets (see `layout`).

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::compile::{Encoder, RankedSrv};
use super::layout::OWN_SRV_BYTES;
use crate::dns::rtype;
use crate::records::{NameId, RecordSet};
use crate::zonefile::{Data, StaticRecord};

/// The static records of a name that has some.
pub(super) struct Own<'r>(Vec<&'r StaticRecord>);

impl<'r> Own<'r> {
    pub(super) fn of(records: &'r RecordSet, name: NameId) -> Option<Self> {
        let mut own = records.statics_of(name).peekable();
        own.peek()?;
        Some(Self(own.collect()))
    }

    /// The TTL of the name's so many records of a type: where the cluster has records in it too, no
    /// longer than theirs, which is the zone's.
    pub(super) fn ttl_seconds(&self, rtype: u16, record_count: usize, zone: u32) -> u32 {
        let of_type = self.0.iter().filter(|record| record.data.rtype() == rtype);
        let own = of_type.clone().map(|record| record.ttl_seconds).min();
        match own {
            Some(own) if of_type.count() >= record_count => own,
            Some(own) => own.min(zone),
            None => zone,
        }
    }

    /// Appends what stands before an RRset's data; `weigh` fills in priorities and weights.
    pub(super) fn append_front(
        rtype: u16,
        record_count: usize,
        ttl_seconds: u32,
        entries: &mut Vec<u8>,
    ) {
        if rtype == rtype::SRV {
            entries.resize(entries.len() + record_count * OWN_SRV_BYTES, 0);
        }
        entries.extend(ttl_seconds.to_le_bytes());
    }

    /// Priority and weight of its SRV records, by port and target.
    fn priorities_and_weights(&self) -> HashMap<(u16, &[u8]), (u16, u16), FixedState> {
        let numbers = self.0.iter().filter_map(|record| match &record.data {
            Data::Srv {
                priority,
                weight,
                port,
                target,
            } => Some(((*port, &**target), (*priority, *weight))),
            _ => None,
        });
        numbers.collect()
    }
}

impl Encoder {
    /// Fills in priorities and weights of the SRV records whose data was just written; `priority` is
    /// that of the cluster's among them.
    pub(super) fn weigh(
        &self,
        records: &RecordSet,
        own: &Own<'_>,
        (srv, priority): (&[RankedSrv], u16),
        front: &mut [u8],
    ) {
        let in_order = self.targets.iter();
        let in_order = in_order.flat_map(|(_, ports)| srv.get(ports.clone()));
        let in_order = in_order.flatten();
        let own = own.priorities_and_weights();
        let mut wire = Vec::new();
        for (place, &(_, (target, port))) in front.chunks_exact_mut(OWN_SRV_BYTES).zip(in_order) {
            wire.clear();
            records.append_wire(target, &mut wire);
            // What is not among them is the cluster's.
            let numbers = own.get(&(port, &*wire)).copied();
            let (priority, weight) = numbers.unwrap_or((priority, self.srv_weight));
            let (first, second) = place.split_at_mut(2);
            first.copy_from_slice(&priority.to_le_bytes());
            second.copy_from_slice(&weight.to_le_bytes());
        }
    }

    /// Where an address has static PTR records, they are what it is called: those of the cluster are
    /// left out, of which there may be many.
    pub(super) fn prefer_static_pointers(&mut self, records: &RecordSet, name: NameId) {
        if self.names.is_empty() {
            return;
        }
        let own = records.statics_of(name);
        let own = own.filter_map(|record| match &record.data {
            Data::Ptr(target) => Some(target.to_vec()),
            _ => None,
        });
        let mut own: Vec<Vec<u8>> = own.collect();
        if !own.is_empty() {
            own.sort_unstable();
            self.names = own;
        }
    }
}
