//! Memory: what a task costs while it is known, and what is left of refreshes when they are over.

use std::net::Ipv4Addr;

use rollcall::mesos::state::read_state;
use serde_json::json;

use crate::allocations::held_by;
use crate::support::master::{Behaviour, Master};
use crate::support::process::Rollcall;
use crate::support::state::State;
use crate::support::wait_until;

/// Names of applications are shared, as those of the instances of one are.
fn document(tasks: u16, moved: u8) -> impl Fn(std::net::SocketAddr) -> String {
    move |leader| {
        let state = (0..tasks).fold(State::new(leader), |state, task| {
            let [high, low] = task.to_be_bytes();
            let address = Ipv4Addr::new(10, moved, high, low);
            state.task(&format!("app{}", task % 50), address)
        });
        state.task("web", Ipv4Addr::new(10, moved, 255, 1)).text()
    }
}

/// The task itself, its id and its pointer: 152 octets, some 10 and 8, and twice the pointer while the
/// row that holds it has room to grow. One address and one range of ports cost nothing of their own.
#[test]
fn a_task_of_the_cluster_takes_two_allocations_and_200_octets() {
    const TASKS: u16 = 4_000;
    let text = document(TASKS, 0)(([127, 0, 0, 1], 5050).into());
    let (state, held) = held_by(|| read_state(text.as_bytes(), u64::MAX).expect("a state"));
    assert_eq!(state.cluster.tasks.len(), usize::from(TASKS) + 1);
    // Shards of tasks, names of applications, the agent and the like.
    let allocations = held.allocations - 500;
    assert!(allocations <= 2 * i64::from(TASKS), "{held:?}");
    assert!(held.bytes <= 200 * i64::from(TASKS) + 200_000, "{held:?}");
}

#[test]
fn twenty_refreshes_that_change_every_address_leave_no_more_memory_than_three() {
    const TASKS: u16 = 3_000;
    let master = Master::start(|leader| Behaviour::Serve(document(TASKS, 0)(leader)));
    let settings = json!({"RefreshSeconds": 3600, "Source": "poll"});
    let rollcall = Rollcall::serving(&[master.address()], settings);
    let mut resident = Vec::new();
    for round in 1..=20_u8 {
        master.set(Behaviour::Serve(document(TASKS, round)(master.address())));
        rollcall.signal("USR1");
        let wanted = Ipv4Addr::new(10, round, 255, 1);
        wait_until("the addresses of this round", || {
            rollcall.client().addresses("web.marathon.mesos") == [wanted]
        });
        resident.push(rollcall.memory_and_threads().0);
    }
    let (early, last) = (resident[2], resident[19]);
    // Some replaced shards are kept for the next change, within bounds.
    let allowed = early / 3;
    assert!(last <= early + allowed, "{resident:?}");
}
