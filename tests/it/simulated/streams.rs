//! Streams: the snapshot and every later event, none twice and none missed; heartbeats; and what
//! becomes of subscribers that are too many, too slow or gone.

use std::time::Instant;

use super::*;
use rollcall::simulate::SimulateOptions;
use rollcall::simulate::cluster::Standing;

#[test]
fn a_stream_begins_with_the_cluster_and_a_heartbeat_at_once() {
    let simulator = start(SimulateOptions {
        heartbeat: Duration::from_millis(1500),
        ..SimulateOptions::default()
    });
    let mut stream = Subscription::open_with(simulator.address(), "Accept-Encoding: gzip\r\n");
    let head =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n";
    assert_eq!(stream.head, head);
    let first = stream.record().expect("SUBSCRIBED");
    assert_eq!(first["type"], "SUBSCRIBED");
    assert_eq!(first["subscribed"]["heartbeat_interval_seconds"], 1.5);
    let known = Known::from_get_state(&first["subscribed"]["get_state"]);
    assert_eq!(known, state(&simulator));
    assert_eq!(
        stream.chunk().expect("a chunk"),
        b"20\n{\"type\":\"HEARTBEAT\"}"
    );
    let counts = simulator.counts();
    assert_eq!(
        (
            counts.of("SUBSCRIBE"),
            counts.subscribed,
            counts.streams_open
        ),
        (1, 1, 1)
    );
}

#[test]
fn heartbeats_go_on_at_their_interval() {
    let simulator = start(SimulateOptions {
        heartbeat: Duration::from_millis(100),
        ..SimulateOptions::default()
    });
    let begin = Instant::now();
    let mut stream = Subscription::open(simulator.address());
    assert_eq!(stream.record().expect("a record")["type"], "SUBSCRIBED");
    for _ in 0..6 {
        assert_eq!(stream.record().expect("a record")["type"], "HEARTBEAT");
    }
    // The first came at once, five after their interval.
    assert!(begin.elapsed() >= Duration::from_millis(500), "too early");
}

#[test]
fn a_step_is_the_end_of_one_task_and_the_start_of_another() {
    let simulator = start(SimulateOptions::default());
    let mut stream = Subscription::open(simulator.address());
    let first = stream.event();
    let mut known = Known::from_get_state(&first["subscribed"]["get_state"]);
    let step = simulator.step_app("cassandra-seed").expect("a step");
    let events: Vec<_> = (0..4).map(|_| stream.event()).collect();
    assert!(step.sent_at < Instant::now());
    let [killed, added, starting, running] = events.as_slice() else {
        panic!("four events")
    };
    for (event, state) in [
        (killed, "TASK_KILLED"),
        (starting, "TASK_STARTING"),
        (running, "TASK_RUNNING"),
    ] {
        assert_eq!(event["type"], "TASK_UPDATED");
        let update = &event["task_updated"];
        assert_eq!(update["state"], state);
        assert_eq!(update["status"]["state"], state);
        assert_eq!(update["status"]["source"], "SOURCE_EXECUTOR");
        // As a real master has them, in its order.
        let keys: Vec<_> = update.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["framework_id", "status", "state"]);
        let status = update["status"].as_object().expect("an object");
        let keys: Vec<_> = status.keys().filter(|key| *key != "message").collect();
        let expected = [
            "task_id",
            "state",
            "source",
            "agent_id",
            "executor_id",
            "timestamp",
            "uuid",
            "container_status",
        ];
        assert_eq!(keys, expected);
    }
    let task = &added["task_added"]["task"];
    assert_eq!(added["type"], "TASK_ADDED");
    assert_eq!(task["state"], "TASK_STAGING");
    assert_eq!(task["name"], "cassandra-seed");
    assert!(task["statuses"].is_null());
    assert_eq!(
        task["task_id"],
        running["task_updated"]["status"]["task_id"]
    );
    assert_eq!(
        addresses(Some(&running["task_updated"]["status"])),
        step.new.to_string()
    );
    assert_ne!(killed["task_updated"]["status"]["task_id"], task["task_id"]);
    for event in &events {
        known.apply(event);
    }
    assert_eq!(known, get_state(&simulator));
    assert_eq!(known, state(&simulator));
}

#[test]
fn snapshot_and_events_give_the_state_whenever_somebody_subscribes() {
    let simulator = start(SimulateOptions {
        agents: 30,
        tasks: 1_500,
        ..SimulateOptions::default()
    });
    let follow = || {
        let mut stream = Subscription::open(simulator.address());
        let first = stream.event();
        let mut known = Known::from_get_state(&first["subscribed"]["get_state"]);
        loop {
            let event = stream.event();
            known.apply(&event);
            if event["type"] == "FRAMEWORK_ADDED" {
                return known;
            }
        }
    };
    let done = std::sync::atomic::AtomicUsize::new(0);
    let results = std::thread::scope(|scope| {
        let followers: Vec<_> = (0..6)
            .map(|number| {
                let done = &done;
                scope.spawn(move || {
                    // One after the other, while changes go on.
                    wait_until("changes", || {
                        done.load(std::sync::atomic::Ordering::Relaxed) >= 100 * number
                    });
                    follow()
                })
            })
            .collect();
        let mut rng = fastrand::Rng::with_seed(3);
        for _ in 0..600 {
            simulator.step().expect("a step");
            if rng.u8(..) < 16 {
                let agent = rng.usize(..30);
                // Whatever it is, it can be one of the two.
                let _ = simulator
                    .change(|cluster| cluster.lose_agent(agent))
                    .or_else(|_| simulator.change(|cluster| cluster.return_agent(agent)));
            }
            done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        wait_until("all subscribed", || simulator.counts().subscribed == 6);
        // A lost agent is known to those who subscribed before, and not to the others.
        let lost = simulator.with_cluster(|cluster| {
            let agents = cluster.agents.iter().enumerate();
            let lost = agents.filter(|(_, agent)| agent.standing == Standing::Unreachable);
            lost.map(|(index, _)| index).collect::<Vec<_>>()
        });
        assert!(!lost.is_empty());
        for agent in lost {
            simulator
                .change(|cluster| cluster.return_agent(agent))
                .expect("returned");
        }
        simulator.add_framework("the end", "app", 0).expect("added");
        followers
            .into_iter()
            .map(|follower| follower.join().expect("a follower"))
            .collect::<Vec<_>>()
    });
    let expected = get_state(&simulator);
    assert_eq!(expected, state(&simulator));
    for known in results {
        assert_eq!(known, expected);
    }
}

#[test]
fn the_oldest_stream_is_closed_when_there_are_too_many() {
    let simulator = start(SimulateOptions {
        streams_max: 2,
        ..SimulateOptions::default()
    });
    let mut streams: Vec<_> = (0..3)
        .map(|_| {
            let mut stream = Subscription::open(simulator.address());
            assert_eq!(stream.event()["type"], "SUBSCRIBED");
            stream
        })
        .collect();
    assert_eq!(simulator.counts().streams_open, 2);
    simulator.step();
    while streams[0].record().is_some() {}
    for stream in &mut streams[1..] {
        assert_eq!(stream.event()["type"], "TASK_UPDATED");
    }
}

#[test]
fn a_subscriber_that_left_is_noticed_without_any_event() {
    let simulator = start(SimulateOptions::default());
    let mut stream = Subscription::open(simulator.address());
    assert_eq!(stream.event()["type"], "SUBSCRIBED");
    assert_eq!(simulator.counts().streams_open, 1);
    drop(stream);
    wait_until("end of the stream", || simulator.counts().streams_open == 0);
    assert_eq!(simulator.counts().subscribed, 1);
}

#[test]
fn a_subscriber_that_takes_nothing_is_dropped_and_the_others_stay() {
    let simulator = start(SimulateOptions::default());
    let slow = Subscription::open(simulator.address());
    let mut quick = Subscription::open(simulator.address());
    assert_eq!(quick.event()["type"], "SUBSCRIBED");
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut states = 0;
            while let Some(record) = quick.record() {
                states += usize::from(record["type"] == "TASK_ADDED");
                if record["type"] == "AGENT_REMOVED" {
                    return states;
                }
            }
            panic!("the quick one is dropped");
        });
        let (mut steps, mut longest) = (0, Duration::ZERO);
        // The kernel takes some megabytes before the slow one is noticed.
        wait_until("the slow one is dropped", || {
            for _ in 0..100 {
                let begin = Instant::now();
                simulator.step().expect("a step");
                longest = longest.max(begin.elapsed());
                steps += 1;
            }
            simulator.counts().streams_open == 1
        });
        assert!(longest < Duration::from_secs(5), "held up for {longest:?}");
        simulator
            .change(|cluster| cluster.remove_agent(0))
            .expect("removed");
        assert_eq!(reader.join().expect("a reader"), steps);
    });
    drop(slow);
}

#[test]
fn streams_end_with_the_master_and_without_a_last_chunk() {
    let simulator = start(SimulateOptions::default());
    let mut stream = Subscription::open(simulator.address());
    assert_eq!(stream.event()["type"], "SUBSCRIBED");
    simulator.stop();
    // Heartbeats apart; a last chunk would be one of length 0.
    while let Some(chunk) = stream.chunk() {
        assert!(!chunk.is_empty());
    }
}
