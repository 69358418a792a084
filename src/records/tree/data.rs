//! Data of records as rows hold them. In: a Record. Out: two numbers beside its kind, and back.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::row::{Class, Kind, Row};
use super::{ROOT, Tree};
use crate::dns::name;
use crate::records::rank::Rank;
use crate::records::set::{NameId, Record};

impl Tree {
    /// The node of a name in wire format, whether it exists or not.
    pub(in crate::records) fn node(&self, wire: &[u8]) -> Option<u32> {
        let labels: Vec<&[u8]> = name::labels(wire).collect();
        let mut labels = labels.into_iter().rev();
        labels.try_fold(ROOT, |node, label| self.child(node, label))
    }

    /// The same, made if need be.
    pub(in crate::records) fn node_or_new(&mut self, wire: &[u8]) -> u32 {
        let labels: Vec<&[u8]> = name::labels(wire).collect();
        let labels = labels.into_iter().rev();
        labels.fold(ROOT, |node, label| self.child_or_new(node, label))
    }

    /// What a new row of the record holds: port and data.
    pub(super) fn encoded(&mut self, record: &Record) -> (u16, u32) {
        match *record {
            Record::A(address) => (0, u32::from(address)),
            Record::Aaaa(address) => (0, self.store_ipv6(address)),
            Record::Srv { port, target } => (port, target.0),
            Record::Ptr { target } | Record::Cname { target } => (0, target.0),
            Record::Text { number } => (0, number),
        }
    }

    pub(super) fn record(&self, row: &Row) -> Record {
        let target = NameId(row.data);
        match row.class.kind() {
            Kind::A => Record::A(Ipv4Addr::from(row.data)),
            Kind::Aaaa => Record::Aaaa(self.ipv6[row.data as usize]),
            Kind::Srv => Record::Srv {
                port: row.port,
                target,
            },
            Kind::Ptr => Record::Ptr { target },
            Kind::Cname => Record::Cname { target },
            Kind::Text => Record::Text { number: row.data },
        }
    }

    pub(super) fn row_is(&self, row: &Row, record: &Record, rank: Rank) -> bool {
        row.class == Class::new(Kind::of(record), rank)
            && match *record {
                Record::A(address) => row.data == u32::from(address),
                Record::Aaaa(address) => self.ipv6[row.data as usize] == address,
                Record::Srv { port, target } => row.port == port && row.data == target.0,
                Record::Ptr { target } | Record::Cname { target } => row.data == target.0,
                Record::Text { number } => row.data == number,
            }
    }

    fn store_ipv6(&mut self, address: Ipv6Addr) -> u32 {
        if let Some(place) = self.free_ipv6.pop() {
            self.ipv6[place as usize] = address;
            return place;
        }
        self.ipv6.push(address);
        (self.ipv6.len() - 1) as u32
    }
}
