//! The RecordSet: a tree of names by label, each with its records. Kept by the refresh thread from
//! one refresh to the next; `update` changes it in place and says which names were touched.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::World;
use super::build::{Data, Emitter, Sink, StaticSink, Why};
use super::changes;
use super::claims::Claim;
use super::collisions::Refused;
use super::directory::Directory;
use super::left_out::{LeftOut, Reason};
use super::rank::{self, Rank};
use super::statics::Statics;
use super::suffix::Suffix;
use super::task_names::Scratch;
use super::tree::{ROOT, Room, Tree};
use crate::dns::name;
use crate::limits::RECORDS_ROOM_MAX;

/// A name of one RecordSet; stays valid until the name is gone after an `update`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameId(pub(super) u32);

/// The data of one resource record; its TTL, class and SRV weight are the configuration's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Record {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Srv {
        port: u16,
        target: NameId,
    },
    Ptr {
        target: NameId,
    },
    Cname {
        target: NameId,
    },
    /// A TXT record, by its place among the static records.
    Text {
        number: u32,
    },
}

/// Records by their type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordCounts {
    pub a: usize,
    pub aaaa: usize,
    pub srv: usize,
    pub ptr: usize,
    pub cname: usize,
    pub txt: usize,
}

/// Owner names and their data.
pub struct RecordSet {
    pub(super) tree: Tree,
    apex: NameId,
    /// `in-addr.arpa` and `ip6.arpa`.
    reverse_roots: [u32; 2],
    left_out: LeftOut,
    /// Reserved names that frameworks and tasks would have.
    pub(super) refused: Refused,
    /// That of the World whose records these are.
    pub(super) directory: Arc<Directory>,
    pub(super) statics: Statics,
}

impl RecordSet {
    /// All records of a World.
    pub fn build(world: &World) -> Self {
        let mut tree = Tree::new(&room_for(world));
        let arpa = tree.child_or_new(ROOT, b"arpa");
        let reverse_roots = [b"in-addr".as_slice(), b"ip6"].map(|zone| {
            let node = tree.child_or_new(arpa, zone);
            tree.put_above(node);
            node
        });
        tree.put_above(arpa);
        let mut set = Self {
            apex: pin_apex(&mut tree, world),
            tree,
            reverse_roots,
            left_out: LeftOut::default(),
            refused: Refused::default(),
            directory: Arc::new(Directory::new(world)),
            statics: Statics::default(),
        };
        let emitter = Emitter::with(world, set.directory.clone());
        let mut placer = Placer::<true>::new(&mut set, &emitter);
        changes::add_all(&emitter, &mut placer);
        set.know_statics(&world.naming);
        set.tree.track();
        set
    }

    /// Turns the records of `old` (which must be the World that this set was built from or last
    /// updated to) into those of `new` (which must have the same static records), in place. Returns the names whose answers may differ:
    /// those with another set of records, those that began or ceased to exist (empty non-terminals
    /// too), and those with an SRV record whose target's addresses changed.
    pub fn update(&mut self, old: &World, new: &World) -> Vec<NameId> {
        debug_assert!(
            old.naming.statics == new.naming.statics,
            "other static records want a set that is built anew"
        );
        self.tree.bury();
        let before = Emitter::with(old, self.directory.clone());
        if !Directory::is_shared(old, new) {
            self.directory = Arc::new(Directory::new(new));
        }
        let after = Emitter::with(new, self.directory.clone());
        let changes = changes::Changes::between(&before, &after);
        let mut scratch = Scratch::default();
        changes.old_sources(
            &before,
            &mut Placer::<false>::new(self, &before),
            &mut scratch,
        );
        if old.naming.domain != new.naming.domain {
            self.move_apex(new);
        }
        changes.new_sources(&after, &mut Placer::<true>::new(self, &after), &mut scratch);
        self.tree.settle()
    }

    fn move_apex(&mut self, new: &World) {
        self.tree.unpin(self.apex.0);
        let [reverse_ipv4, reverse_ipv6] = self.reverse_roots;
        let arpa = self.tree.child_or_new(ROOT, b"arpa");
        for node in [ROOT, arpa, reverse_ipv4, reverse_ipv6] {
            self.tree.put_above(node);
        }
        self.apex = pin_apex(&mut self.tree, new);
        // Which of them are outside is another matter now.
        self.know_statics(&new.naming);
    }

    /// Every name that exists: it has records, or a name below it has (RFC 8020). The apex always
    /// does; what stands above it, and above the reverse names (`in-addr.arpa`), only where static
    /// records are outside of the domain.
    pub fn names(&self) -> impl Iterator<Item = NameId> + '_ {
        self.tree.names().map(NameId)
    }

    /// How many names exist.
    pub fn name_count(&self) -> usize {
        self.tree.name_count()
    }

    /// How many records there are, each once; those that are left out beside better ones too.
    pub fn record_counts(&self) -> RecordCounts {
        let [a, aaaa, srv, ptr, cname, txt] = self.tree.record_counts();
        RecordCounts {
            a,
            aaaa,
            srv,
            ptr,
            cname,
            txt,
        }
    }

    /// Whether the name has records or names below it; a touched name may have ceased to.
    pub fn exists(&self, name: NameId) -> bool {
        self.tree.is_name(name.0)
    }

    /// The domain itself.
    pub fn apex(&self) -> NameId {
        self.apex
    }

    /// The name in wire format, lower case; `None` where no such name exists.
    pub fn find(&self, wire: &[u8]) -> Option<NameId> {
        let node = self.tree.node(wire)?;
        self.tree.is_name(node).then_some(NameId(node))
    }

    /// Appends the name in wire format, lower case, with the root label; at most 255 octets.
    pub fn append_wire(&self, name: NameId, wire: &mut Vec<u8>) {
        self.tree.append_wire(name.0, wire);
    }

    /// The records of a name, without those of frameworks that do not have it, in no order that means
    /// anything; one that sources give with several ranks comes with each. `rank::choose` tells which are
    /// answered.
    pub fn ranked(&self, name: NameId) -> impl Iterator<Item = (Rank, Record)> + '_ {
        self.tree.answered(name.0)
    }

    /// The records that a name is answered with, each once; those of one type best first.
    pub fn records(&self, name: NameId) -> impl Iterator<Item = Record> + '_ {
        let all: Vec<(Rank, Record)> = self.ranked(name).collect();
        let of_type = move |is_type: fn(&Record) -> bool| {
            let of_type = all.iter().filter(|(_, record)| is_type(record));
            let mut chosen: Vec<(Rank, Record)> = of_type.copied().collect();
            rank::choose(&mut chosen);
            chosen.into_iter().map(|(_, record)| record)
        };
        let types: [fn(&Record) -> bool; 6] = [
            |record| matches!(record, Record::A(_)),
            |record| matches!(record, Record::Aaaa(_)),
            |record| matches!(record, Record::Srv { .. }),
            |record| matches!(record, Record::Ptr { .. }),
            |record| matches!(record, Record::Cname { .. }),
            |record| matches!(record, Record::Text { .. }),
        ];
        types.into_iter().flat_map(of_type)
    }

    /// What was not entered, by reason.
    pub fn left_out(&self) -> LeftOut {
        let beside = self.cnames_left_out().count() as u64;
        let of_another = self.tree.contested().len() as u64;
        let left_out = self.left_out.clone().with(Reason::BesideCname, beside);
        let left_out = left_out.with(Reason::OfAnother, of_another);
        left_out.with(Reason::TooManyRecords, self.tree.crowded_count() as u64)
    }

    #[cfg(test)]
    pub(super) fn slot_counts(&self) -> [usize; 4] {
        self.tree.slot_counts()
    }
}

/// How much a tree will hold, counted generously: room that is not used costs no memory, but arrays
/// that grow are copied, and an index that grows hashes every name again.
fn room_for(world: &World) -> Room {
    let mut room = Room::default();
    for task in world.cluster.tasks.iter() {
        let ranges = task.port_ranges.iter();
        let ports: usize = ranges
            .map(|&(a, b)| usize::from(b.saturating_sub(a)) + 1)
            .sum();
        let (discovery_ports, namings) = match &task.discovery {
            // A name with a dot or an underscore is entered as it stands and mangled.
            Some(info) => (
                info.ports.len(),
                1 + usize::from(info.name.contains(['.', '_'])),
            ),
            None => (0, 1),
        };
        let port_rows = if discovery_ports > 0 { 2 } else { 4 };
        room.names += 2 + 3 * namings;
        room.rows += namings * (5 + ports * port_rows + discovery_ports * 4);
    }
    room.rows += 4 * world.cluster.agents.len();
    room.rows = room.rows.min(RECORDS_ROOM_MAX);
    room.names = room.names.min(RECORDS_ROOM_MAX);
    room.label_bytes = room.names * LABEL_BYTES_HINT;
    room
}

/// Octets of a label, by and large.
const LABEL_BYTES_HINT: usize = 24;

fn pin_apex(tree: &mut Tree, world: &World) -> NameId {
    // A domain that cannot be encoded is refused by the configuration.
    let wire = name::wire_from_text(&world.naming.domain).unwrap_or_default();
    let node = tree.node_or_new(&wire);
    tree.pin(node);
    NameId(node)
}

/// Adds records to the tree, or takes them back.
struct Placer<'s, const ADD: bool> {
    tree: &'s mut Tree,
    left_out: &'s mut LeftOut,
    refused: &'s mut Refused,
    apex: u32,
    reverse_roots: [u32; 2],
    /// By the suffix's index.
    suffixes: Vec<Option<Box<SuffixNode>>>,
    domain_bytes: usize,
    /// Of the records that come.
    rank: Rank,
    /// The last /24 that a reverse name was asked in, and its node.
    reverse_net: Option<([u8; 3], u32)>,
}

/// The node of a suffix, and of the names below it that were asked last: neighbours in the document
/// are tasks of one application, whose names are the same but for one label.
#[derive(Clone, Default)]
struct SuffixNode {
    node: Option<u32>,
    recent: [(Vec<u8>, u32); RECENT_NAMES],
    next: usize,
}

/// Names of one suffix that are remembered; a task asks for three or four of each.
const RECENT_NAMES: usize = 4;

impl SuffixNode {
    fn recent(&self, left: &[u8]) -> Option<u32> {
        let mut recent = self.recent.iter();
        recent.find(|(name, _)| name == left).map(|&(_, node)| node)
    }

    fn remember(&mut self, left: &[u8], node: u32) {
        let (name, place) = &mut self.recent[self.next];
        name.clear();
        name.extend_from_slice(left);
        *place = node;
        self.next = (self.next + 1) % RECENT_NAMES;
    }
}

impl<'s, const ADD: bool> Placer<'s, ADD> {
    fn new(set: &'s mut RecordSet, emitter: &Emitter<'_>) -> Self {
        Self {
            tree: &mut set.tree,
            left_out: &mut set.left_out,
            refused: &mut set.refused,
            apex: set.apex.0,
            reverse_roots: set.reverse_roots,
            suffixes: vec![None; emitter.directory().suffix_count()],
            domain_bytes: emitter.world().naming.domain.len() + 1,
            rank: Rank::PLAIN,
            reverse_net: None,
        }
    }

    /// What is known of a suffix; a change meets few of them, and pays for those alone.
    fn known(&mut self, suffix: &Suffix) -> &mut SuffixNode {
        self.suffixes[suffix.index].get_or_insert_default()
    }

    fn suffix_node(&mut self, suffix: &Suffix) -> u32 {
        let labels = &suffix.text.as_bytes()[..suffix.text.len() - self.domain_bytes];
        let node = self.below(self.apex, labels.strip_suffix(b".").unwrap_or_default());
        self.known(suffix).node = Some(node);
        node
    }

    /// The node of labels below a node; what is taken back is there, and so is found.
    fn below(&mut self, mut node: u32, left: &[u8]) -> u32 {
        if left.is_empty() {
            return node;
        }
        for label in left.rsplit(|&octet| octet == b'.') {
            node = self.tree.child_or_new(node, label);
        }
        node
    }
}

impl<const ADD: bool> Sink for Placer<'_, ADD> {
    type Name = u32;

    fn name(&mut self, left: &[u8], suffix: &Suffix) -> u32 {
        if left.is_empty() {
            return match self.known(suffix).node {
                Some(node) => node,
                None => self.suffix_node(suffix),
            };
        }
        if let Some(node) = self.known(suffix).recent(left) {
            return node;
        }
        let node = self.instance_name(left, suffix);
        self.known(suffix).remember(left, node);
        node
    }

    fn instance_name(&mut self, left: &[u8], suffix: &Suffix) -> u32 {
        let (label, rest) = match left.iter().position(|&octet| octet == b'.') {
            Some(dot) => (&left[..dot], &left[dot + 1..]),
            None => (left, &b""[..]),
        };
        let parent = self.name(rest, suffix);
        self.tree.child_or_new(parent, label)
    }

    fn reverse(&mut self, address: IpAddr) -> u32 {
        match address {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                let node = match self.reverse_net {
                    Some((net, node)) if net == [a, b, c] => node,
                    _ => {
                        let mut node = self.reverse_roots[0];
                        for octet in [a, b, c] {
                            node = self.tree.child_or_new(node, decimal(octet, &mut [0; 3]));
                        }
                        self.reverse_net = Some(([a, b, c], node));
                        node
                    }
                };
                self.tree.child_or_new(node, decimal(d, &mut [0; 3]))
            }
            IpAddr::V6(address) => {
                let mut node = self.reverse_roots[1];
                for octet in address.octets() {
                    for nibble in [octet >> 4, octet & 15] {
                        node = self.tree.child_or_new(node, &[HEX[usize::from(nibble)]]);
                    }
                }
                node
            }
        }
    }

    fn add(&mut self, owner: u32, data: Data<u32>, _why: Why) {
        let (record, rank) = match data {
            Data::Address(IpAddr::V4(address)) => (Record::A(address), self.rank),
            Data::Address(IpAddr::V6(address)) => (Record::Aaaa(address), self.rank),
            Data::Srv { port, target } => {
                let target = NameId(target);
                (Record::Srv { port, target }, self.rank.of_health())
            }
            // An address has its names whatever its task's health.
            Data::Ptr { target } => {
                let target = NameId(target);
                let rank = match self.rank.claim() {
                    Claim::BESIDE => Rank::PLAIN,
                    claim => Rank::PLAIN.claimed(claim),
                };
                (Record::Ptr { target }, rank)
            }
            Data::Cname { target } => {
                let target = NameId(target);
                (Record::Cname { target }, Rank::PLAIN)
            }
            Data::Text { number } => {
                let number = number as u32;
                (Record::Text { number }, Rank::PLAIN)
            }
        };
        if ADD {
            self.tree.add(owner, record, rank);
        } else {
            self.tree.remove(owner, record, rank);
        }
    }

    fn rank(&mut self, rank: Rank) {
        self.rank = rank;
    }

    fn left_out(&mut self, reason: Reason, name: Option<(&[u8], &Suffix)>) {
        if let (Reason::Reserved, Some((left, suffix))) = (reason, name) {
            self.refused.count(ADD, left, suffix);
        }
        if ADD {
            self.left_out.add(reason);
        } else {
            self.left_out.remove(reason);
        }
    }
}

impl<const ADD: bool> StaticSink for Placer<'_, ADD> {
    fn absolute(&mut self, wire: &[u8]) -> u32 {
        self.tree.node_or_new(wire)
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn decimal(octet: u8, text: &mut [u8; 3]) -> &[u8] {
    *text = [octet / 100, octet / 10 % 10, octet % 10].map(|digit| b'0' + digit);
    match octet {
        100.. => &text[..],
        10.. => &text[1..],
        _ => &text[2..],
    }
}
