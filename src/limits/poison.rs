//! Bounds of what frameworks and tasks choose themselves: their names, ports and addresses. Masters
//! believe what they are told of these, so that one user's task must not cost what a cluster does.

use super::{TARGET_ADDRESSES_MAX, TASK_PORTS_MAX, TCP_MESSAGE_BYTES_MAX};

/// Labels of a framework's name (`cassandra.prod` has two). More are nobody's, and whose a name is must
/// fit beside each record.
pub const FRAMEWORK_LABELS_MAX: usize = 8;
/// Ports of a DiscoveryInfo. It gives each up to a dozen SRV records, which its task's agent need not
/// offer; the largest applications have some dozens.
pub const DISCOVERY_PORTS_MAX: usize = 256;
/// Protocols of one of them: `udp,tcp`, as Marathon writes both, has two.
pub const PORT_PROTOCOLS_MAX: usize = 8;
/// Addresses of one task, from all networks and labels of its status: twice what an answer over TCP holds.
pub const TASK_ADDRESSES_MAX: usize = 8_192;
/// Octets of the texts that names are made from (of tasks, DiscoveryInfo, its ports and protocols), and
/// of a framework's name. No more than 255 can stand in a name; the rest is room for what mangling drops.
pub const NAME_TEXT_BYTES_MAX: usize = 4_096;
/// Faults of one task that are kept as sentences, for `explain`.
pub const TASK_FAULTS_MAX: usize = 8;
/// Records of one name and type that are answered: eight times what an answer over TCP holds of the
/// shortest. More only make the table larger and every change of the name slower.
pub const RRSET_RECORDS_MAX: usize = 32_768;
/// Records that room is reserved for when all are made at once: eight times those of 100,000 tasks. Where
/// there are more the lists grow; a cluster that only says so must not have memory asked for.
pub const RECORDS_ROOM_MAX: usize = 1 << 24;
/// Collisions of names that `/v1/status` lists; it counts them all.
pub const COLLISIONS_SHOWN_MAX: usize = 64;
/// Frameworks of one name that such a line lists.
pub const COLLISION_FRAMEWORKS_SHOWN_MAX: usize = 8;

const _: () = assert!(RRSET_RECORDS_MAX * 16 >= TCP_MESSAGE_BYTES_MAX);
const _: () = assert!(RRSET_RECORDS_MAX >= TARGET_ADDRESSES_MAX);
const _: () = assert!(DISCOVERY_PORTS_MAX <= TASK_PORTS_MAX);
