//! What is asked. In: the zone and a kind of queries. Out: queries on the wire in the order in which
//! they are sent, drawn at random over the whole zone, each with what its answer must be like. Made
//! before the load runs, so that a query costs the load a copy and an answer a comparison.

use std::collections::BTreeMap;
use std::fmt;

use crate::datagrams::BATCH;
use crate::zone::{Type, Zone};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    A,
    Srv,
    Mixed,
    Nxdomain,
    /// Names as in `A`, but many queries of one socket's at once.
    Many,
}

impl Kind {
    pub const ALL: [Self; 5] = [Self::A, Self::Srv, Self::Mixed, Self::Nxdomain, Self::Many];

    pub fn from_text(text: &str) -> Option<Self> {
        let mut kinds = Self::ALL.into_iter();
        kinds.find(|kind| kind.to_string() == text)
    }

    pub fn meaning(self) -> &'static str {
        match self {
            Self::A => "addresses of names with up to 8",
            Self::Srv => "SRV records of names with 4 targets",
            Self::Mixed => "60 % A, 30 % SRV, 5 % AAAA without a record, 5 % no such name",
            Self::Nxdomain => "names that do not exist",
            Self::Many => {
                "A from one socket, 64 queries of one length at a time (UDP_SEGMENT, UDP_GRO)"
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::A => "a",
            Self::Srv => "srv",
            Self::Mixed => "mixed",
            Self::Nxdomain => "nxdomain",
            Self::Many => "many",
        })
    }
}

/// One query and what answers it.
#[derive(Clone, Copy)]
pub struct Query<'a> {
    pub octets: &'a [u8],
    pub response_code: u8,
    pub answers: u16,
}

/// Queries in the order of asking; after the last comes the first.
pub struct Queries {
    octets: Vec<u8>,
    places: Vec<Place>,
    /// Names that they were drawn from.
    pub names: usize,
}

struct Place {
    begin: u32,
    bytes: u16,
    answers: u16,
    response_code: u8,
}

impl Queries {
    /// So many queries, drawn at random.
    pub fn draw(kind: Kind, zone: &Zone, count: usize) -> Self {
        let pools = Pools::new(zone);
        let mut random = fastrand::Rng::with_seed(1);
        let mut queries = Self {
            octets: Vec::new(),
            places: Vec::with_capacity(count),
            names: match kind {
                Kind::Srv => pools.srv.len(),
                Kind::Mixed => pools.a.len() + pools.srv.len(),
                _ => pools.a.len(),
            },
        };
        assert!(queries.names > 0, "no name of kind {kind} is in the zone");
        while queries.places.len() < count {
            match kind {
                Kind::A => queries.add_a(&pools, &mut random),
                Kind::Srv => queries.add_srv(&pools, &mut random),
                Kind::Nxdomain => queries.add_absent(&pools, zone, &mut random),
                Kind::Many => queries.add_group(&pools, &mut random),
                Kind::Mixed => match random.u8(..100) {
                    0..60 => queries.add_a(&pools, &mut random),
                    60..90 => queries.add_srv(&pools, &mut random),
                    90..95 => queries.add_empty(&pools, zone, &mut random),
                    _ => queries.add_absent(&pools, zone, &mut random),
                },
            }
        }
        queries
    }

    /// Every name with addresses or targets once, up to a bound, and as many of the other kinds.
    pub fn every(zone: &Zone, count_max: usize) -> Self {
        let pools = Pools::new(zone);
        let mut random = fastrand::Rng::with_seed(1);
        let mut queries = Self::addresses(zone, count_max);
        queries.names += pools.srv.len();
        for &(name, count) in pools.srv.iter().take(count_max) {
            queries.add(name, Type::Srv, 0, count);
        }
        for _ in 0..queries.len() / 8 {
            queries.add_empty(&pools, zone, &mut random);
            queries.add_absent(&pools, zone, &mut random);
        }
        queries
    }

    /// The addresses of every name that `A` draws from, once, up to a bound.
    pub fn addresses(zone: &Zone, count_max: usize) -> Self {
        let pools = Pools::new(zone);
        let mut queries = Self {
            octets: Vec::new(),
            places: Vec::new(),
            names: pools.a.len(),
        };
        for &(name, count) in pools.a.iter().take(count_max) {
            queries.add(name, Type::A, 0, count);
        }
        queries
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn get(&self, index: usize) -> Query<'_> {
        let place = &self.places[index];
        let begin = place.begin as usize;
        Query {
            octets: &self.octets[begin..begin + usize::from(place.bytes)],
            response_code: place.response_code,
            answers: place.answers,
        }
    }

    fn add(&mut self, name: &str, kind: Type, response_code: u8, answers: usize) {
        let mut query = crate::wire::query(name);
        let type_at = query.len() - 4;
        query[type_at..type_at + 2].copy_from_slice(&(kind as u16).to_be_bytes());
        self.places.push(Place {
            begin: u32::try_from(self.octets.len()).expect("fewer queries"),
            bytes: query.len() as u16,
            answers: answers as u16,
            response_code,
        });
        self.octets.extend(query);
    }

    fn add_a(&mut self, pools: &Pools<'_>, random: &mut fastrand::Rng) {
        let (name, count) = pools.a[random.usize(..pools.a.len())];
        self.add(name, Type::A, 0, count);
    }

    fn add_srv(&mut self, pools: &Pools<'_>, random: &mut fastrand::Rng) {
        let (name, count) = pools.srv[random.usize(..pools.srv.len())];
        self.add(name, Type::Srv, 0, count);
    }

    /// A name that exists, a type that it lacks.
    fn add_empty(&mut self, pools: &Pools<'_>, zone: &Zone, random: &mut fastrand::Rng) {
        let (name, _) = pools.a[random.usize(..pools.a.len())];
        let count = zone.values(name, Type::Aaaa).len();
        self.add(name, Type::Aaaa, 0, count);
    }

    /// A name beside one that exists.
    fn add_absent(&mut self, pools: &Pools<'_>, zone: &Zone, random: &mut fastrand::Rng) {
        let (name, _) = pools.a[random.usize(..pools.a.len())];
        let parent = name.split_once('.').map_or("", |(_, parent)| parent);
        let absent = format!("nx{}.{parent}", random.u32(..1_000_000_000));
        assert!(!zone.records.contains_key(&absent), "{absent} exists");
        self.add(&absent, Type::A, NXDOMAIN, 0);
    }

    /// As many of one length as are sent at once; lengths come as often as names have them.
    fn add_group(&mut self, pools: &Pools<'_>, random: &mut fastrand::Rng) {
        let (first, _) = pools.a[random.usize(..pools.a.len())];
        let group = &pools.a_by_length[&first.len()];
        for _ in 0..BATCH {
            let (name, count) = group[random.usize(..group.len())];
            self.add(name, Type::A, 0, count);
        }
    }
}

/// Names to draw from, each with its number of records.
struct Pools<'a> {
    a: Vec<(&'a str, usize)>,
    srv: Vec<(&'a str, usize)>,
    a_by_length: BTreeMap<usize, Vec<(&'a str, usize)>>,
}

impl<'a> Pools<'a> {
    fn new(zone: &'a Zone) -> Self {
        let a: Vec<_> = zone
            .names(Type::A)
            .filter(|(_, count)| *count <= ADDRESSES_MAX)
            .collect();
        let srv = zone
            .names(Type::Srv)
            .filter(|(_, count)| *count == TARGETS)
            .collect();
        let mut a_by_length: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for &(name, count) in &a {
            a_by_length
                .entry(name.len())
                .or_default()
                .push((name, count));
        }
        Self {
            a,
            srv,
            a_by_length,
        }
    }
}

pub const NXDOMAIN: u8 = 3;
/// More addresses may not fit 512 octets with a long name.
const ADDRESSES_MAX: usize = 8;
/// An application of four instances.
const TARGETS: usize = 4;
