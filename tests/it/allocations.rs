//! `respond` allocates nothing: counted by an allocator that counts, and keeps the largest size.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use rollcall::mesos::cluster::{AddressSource, Task};
use rollcall::serve::respond::{Responder, Settings};
use rollcall::serve::{Client, Outcome, Respond, Transport};

use crate::worlds::{settings, snapshot, task, world_of};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static HELD: Cell<Held> = const { Cell::new(Held { allocations: 0, bytes: 0 }) };
}
static LARGEST_BYTES: AtomicUsize = AtomicUsize::new(0);

/// What a thread allocated and did not free.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    pub allocations: i64,
    pub bytes: i64,
}

impl Held {
    fn add(allocations: i64, bytes: i64) {
        HELD.with(|held| {
            let Self {
                allocations: a,
                bytes: b,
            } = held.get();
            held.set(Self {
                allocations: a + allocations,
                bytes: b + bytes,
            });
        });
    }
}

/// What making something leaves allocated.
pub fn held_by<T>(make: impl FnOnce() -> T) -> (T, Held) {
    let before = HELD.with(Cell::get);
    let made = make();
    let after = HELD.with(Cell::get);
    let held = Held {
        allocations: after.allocations - before.allocations,
        bytes: after.bytes - before.bytes,
    };
    (made, held)
}

/// How often this thread allocates meanwhile.
pub fn allocations_of(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

/// The most that any thread of this process allocated at once, if it was over a megabyte.
pub fn largest_allocation_bytes() -> usize {
    LARGEST_BYTES.load(Ordering::Relaxed)
}

// SAFETY: every method passes its arguments on to the system's allocator as they are.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        Held::add(1, layout.size() as i64);
        if layout.size() > 1 << 20 {
            LARGEST_BYTES.fetch_max(layout.size(), Ordering::Relaxed);
        }
        // SAFETY: the caller keeps `alloc`'s contract, which is the same for System.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Held::add(-1, -(layout.size() as i64));
        // SAFETY: the pointer came from System.alloc above with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn answering_allocates_nothing() {
    let tasks = (0..300_u16).map(|n| Task {
        addresses: [(
            AddressSource::NetInfo,
            [10, 1, (n >> 8) as u8, n as u8].into(),
        )]
        .into(),
        port_ranges: [(31000, 31001)].into(),
        ..task(&format!("web.{n}"), "web")
    });
    let world = world_of(tasks.collect());
    let snapshot = snapshot(&world, 1);
    let settings = Settings {
        reverse_dns_on: true,
        ..settings()
    };
    let mut responder = Responder::new(&settings, 1);
    let mut response = vec![0; 65_535];
    let names = [
        "web.marathon.mesos",
        "_web._tcp.marathon.mesos",
        "mesos",
        "no.mesos",
        "x.example",
        "a.*.mesos",
    ];
    let queries: Vec<Vec<u8>> = names
        .iter()
        .flat_map(|name| [1_u16, 28, 33, 255, 6, 2, 12].map(|rtype| (name, rtype)))
        .map(|(name, rtype)| {
            let mut query = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            query.extend(rollcall::dns::name::wire_from_text(name).expect(name));
            query.extend(rtype.to_be_bytes());
            query.extend([0, 1]);
            query
        })
        .collect();
    let before = ALLOCATIONS.with(Cell::get);
    for query in &queries {
        for transport in [Transport::Udp, Transport::Tcp] {
            let outcome = responder.respond(
                Some(&snapshot),
                query,
                Client {
                    transport,
                    address: [127, 0, 0, 1].into(),
                },
                &mut response,
            );
            assert!(matches!(outcome, Outcome::Answer(_)));
        }
    }
    assert_eq!(ALLOCATIONS.with(Cell::get) - before, 0);
}
