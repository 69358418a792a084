//! A real master's manners: what is answered how, leading, following and with credentials. The
//! expected texts are those of a real master 1.11.0.

use std::io::Read;
use std::time::Instant;

use super::*;
use rollcall::simulate::{Credentials, SimulateOptions, Stream};

fn unpacked(octets: &[u8]) -> Vec<u8> {
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(octets)
        .read_to_end(&mut unpacked)
        .expect("gzip");
    unpacked
}

#[test]
fn state_is_served_plain_and_as_gzip_until_a_step_changes_it() {
    let simulator = start(SimulateOptions::default());
    let address = simulator.address();
    let plain = get(address, "/state", "");
    assert_eq!(plain.status, 200);
    for path in ["/master/state/", "/state-summary", "/state"] {
        let packed = get(address, path, "Accept-Encoding: gzip\r\n");
        assert!(
            packed.head.contains("Content-Encoding: gzip"),
            "{path}: {}",
            packed.head
        );
        assert_eq!(get(address, path, "").body, unpacked(&packed.body));
    }
    let step = simulator.step().expect("a step");
    assert!(step.sent_at <= Instant::now());
    assert_ne!(get(address, "/state", "").body, plain.body);
    let head = ask(address, "HEAD /state HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert_eq!(head.status, 200);
    assert!(head.body.is_empty() && !head.head.contains("Content-Length: 0\r"));
}

#[test]
fn calls_are_refused_as_a_real_master_refuses_them() {
    let simulator = start(SimulateOptions::default());
    let address = simulator.address();
    let json = "Content-Type: application/json\r\n";
    let version = r#"{"type":"GET_VERSION"}"#;
    let call_type = "Expecting 'Content-Type' of application/json or application/x-protobuf";
    let accept = "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'";
    let no_type = "Failed to validate master::Call: Expecting 'type' to be present";
    for (fields, body, status, text) in [
        ("Content-Type: text/plain\r\n", version, 415, call_type),
        (
            "Content-Type: application/json; charset=utf-8\r\n",
            version,
            415,
            call_type,
        ),
        ("", version, 400, "Expecting 'Content-Type' to be present"),
        (
            json,
            r#"{"type":"#,
            400,
            "Failed to parse body into JSON: syntax error at line 1 near: ",
        ),
        (json, r#"{"type":"NOSUCH"}"#, 400, no_type),
        (json, "{}", 400, no_type),
        (
            "Content-Type: application/json\r\nAccept: text/plain\r\n",
            version,
            406,
            accept,
        ),
        (
            "Content-Type: application/json\r\nAccept: application/recordio\r\n",
            r#"{"type":"SUBSCRIBE"}"#,
            406,
            accept,
        ),
    ] {
        let answer = post(address, "/api/v1", fields, body);
        assert_eq!((answer.status, answer.text()), (status, text), "{fields}");
    }
    let answer = get(address, "/api/v1", "");
    assert_eq!(answer.status, 405);
    assert_eq!(
        answer.text(),
        "405 Method Not Allowed. Expecting one of { 'POST' }, but received 'GET'."
    );
    assert!(answer.head.contains("Allow: POST\r\n"), "{}", answer.head);
    for fields in ["", "Accept: */*\r\n"] {
        let fields = format!("{json}{fields}");
        for path in ["/api/v1", "/api/v1/", "/master/api/v1"] {
            let answer = post(address, path, &fields, version).json();
            assert_eq!(answer["get_version"]["version_info"]["version"], "1.11.0");
        }
    }
    for path in ["/state.json", "/master/state.json", "/nosuch"] {
        let answer = get(address, path, "");
        assert_eq!((answer.status, answer.text()), (404, "404 Not Found."));
    }
}

#[test]
fn every_call_is_answered_under_its_own_name() {
    let simulator = start(SimulateOptions {
        id: Some("m-1".to_owned()),
        ..SimulateOptions::default()
    });
    let address = simulator.address();
    for (kind, key, present) in [
        ("GET_MASTER", "get_master", "master_info"),
        ("GET_STATE", "get_state", "get_tasks"),
        ("GET_HEALTH", "get_health", "healthy"),
        ("GET_VERSION", "get_version", "version_info"),
        ("GET_AGENTS", "get_agents", "agents"),
        ("GET_FRAMEWORKS", "get_frameworks", "frameworks"),
    ] {
        let answer = call(address, kind, "");
        assert!(answer.head.contains("Content-Type: application/json"));
        let answer = answer.json();
        assert_eq!(answer["type"], kind);
        assert!(!answer[key][present].is_null(), "{answer}");
    }
    let info = &call(address, "GET_MASTER", "").json()["get_master"]["master_info"];
    assert_eq!(info["id"], "m-1");
    assert_eq!(info["ip"], 16_777_343);
    assert_eq!(info["port"], address.port());
    assert_eq!(simulator.id(), "m-1");
    let other = start(SimulateOptions::default());
    let third = start(SimulateOptions::default());
    assert_ne!(other.id(), third.id(), "each process has its own");
    assert_eq!(state(&other), state(&third), "of the same cluster");
}

#[test]
fn state_and_get_state_name_the_same_cluster_after_any_change() {
    let simulator = start(SimulateOptions {
        agents: 12,
        tasks: 400,
        ..SimulateOptions::default()
    });
    let compare = |what: &str| {
        let (state, get_state) = (state(&simulator), get_state(&simulator));
        assert!(state.tasks.len() > 100 && !state.agents.is_empty());
        assert_eq!(state, get_state, "{what}");
    };
    compare("at first");
    for _ in 0..200 {
        assert!(simulator.step().is_some());
    }
    compare("after steps");
    simulator
        .change(|cluster| cluster.lose_agent(3))
        .expect("lost");
    simulator
        .change(|cluster| cluster.remove_agent(4))
        .expect("removed");
    compare("without agents");
    simulator
        .change(|cluster| cluster.return_agent(3))
        .expect("returned");
    simulator
        .change(|cluster| cluster.tear_down(1))
        .expect("torn");
    simulator
        .add_framework("new \"one\"", "a/b.c", 7)
        .expect("added");
    simulator
        .change(|cluster| cluster.update_framework(2, Some("elsewhere"), None))
        .expect("updated");
    compare("after all");
    let known = state(&simulator);
    let frameworks: Vec<_> = known.frameworks.values().collect();
    assert!(frameworks.contains(&&r#""chronos-2.5" "elsewhere""#.to_owned()));
    assert!(!frameworks.iter().any(|one| one.contains("cassandra")));
}

#[test]
fn unreachable_and_ended_tasks_are_where_a_master_keeps_them() {
    let simulator = start(SimulateOptions {
        agents: 4,
        tasks: 200,
        ..SimulateOptions::default()
    });
    let address = simulator.address();
    let of_agent = |known: &Known| {
        let tasks = known.tasks.values();
        tasks.filter(|task| task.contains("-S1|")).count()
    };
    let before = of_agent(&state(&simulator));
    control(address, "agent?index=1&do=lose");
    let document = get(address, "/state", "").json();
    assert_eq!(document["unreachable_slaves"], 1.0);
    assert_eq!(document["activated_slaves"], 3.0);
    assert_eq!(list(&document["slaves"]).len(), 3);
    let frameworks = list(&document["frameworks"]).iter();
    let unreachable = frameworks.flat_map(|framework| list(&framework["unreachable_tasks"]));
    let unreachable: Vec<_> = unreachable.collect();
    assert_eq!(unreachable.len(), before);
    for task in unreachable {
        assert_eq!(task["state"], "TASK_UNREACHABLE");
    }
    let answer = call(address, "GET_STATE", "").json();
    let tasks = &answer["get_state"]["get_tasks"];
    assert_eq!(list(&tasks["unreachable_tasks"]).len(), before);
    control(address, "framework?index=0&do=tear-down");
    let document = get(address, "/state", "").json();
    assert_eq!(list(&document["completed_frameworks"]).len(), 1);
    assert_eq!(document["completed_frameworks"][0]["name"], "marathon");
    assert_eq!(document["completed_frameworks"][0]["active"], false);
    let answer = call(address, "GET_FRAMEWORKS", "").json();
    let completed = &answer["get_frameworks"]["completed_frameworks"];
    assert_eq!(completed[0]["framework_info"]["name"], "marathon");
}

#[test]
fn state_summary_tells_pids_and_counts() {
    let simulator = start(SimulateOptions {
        agents: 5,
        tasks: 300,
        ..SimulateOptions::default()
    });
    let summary = get(simulator.address(), "/master/state-summary", "").json();
    let document = get(simulator.address(), "/state", "").json();
    let pids = |document: &Value| {
        let frameworks = list(&document["frameworks"]).iter();
        let pids = frameworks.map(|one| (text(&one["id"]), one["pid"].clone()));
        pids.collect::<BTreeMap<_, _>>()
    };
    assert_eq!(pids(&summary), pids(&document));
    assert!(pids(&summary).values().any(Value::is_string));
    assert!(pids(&summary).values().any(Value::is_null));
    for kind in ["slaves", "frameworks"] {
        let counts = list(&summary[kind]).iter().map(|one| &one["TASK_RUNNING"]);
        assert_eq!(counts.filter_map(Value::as_u64).sum::<u64>(), 300, "{kind}");
    }
}

#[test]
fn standby_redirects_as_a_master_that_does_not_lead() {
    let simulator = start(SimulateOptions {
        standby: Some("192.0.2.1:5050".to_owned()),
        ..SimulateOptions::default()
    });
    let address = simulator.address();
    for (path, location) in [
        ("/state?a=b%20c", "192.0.2.1:5050/master/state?a=b%20c"),
        ("/master/state", "192.0.2.1:5050/master/state"),
        ("/state-summary", "192.0.2.1:5050/master/state-summary"),
        ("/api/v1", "192.0.2.1:5050/master/api/v1"),
        ("/redirect", "192.0.2.1:5050"),
        ("/master/redirect", "192.0.2.1:5050"),
    ] {
        let answer = get(address, path, "");
        assert_eq!(answer.status, 307, "{path}");
        let field = format!("Location: //{location}\r\n");
        assert!(answer.head.contains(&field), "{path}: {}", answer.head);
    }
    for kind in ["GET_STATE", "SUBSCRIBE"] {
        let answer = call(address, kind, "");
        assert_eq!(answer.status, 307);
        let location = "Location: //192.0.2.1:5050/master/api/v1\r\n";
        assert!(answer.head.contains(location), "{}", answer.head);
    }
    for path in ["/health", "/version"] {
        assert_eq!(get(address, path, "").status, 200, "{path}");
    }
    assert_eq!(get(address, "/state.json", "").status, 404);
    // A step works on it as well, silently.
    control(address, "step?count=3");
    let leader = start(SimulateOptions {
        steps: 3,
        ..SimulateOptions::default()
    });
    let texts = [&simulator, &leader].map(|one| one.with_cluster(|cluster| format!("{cluster:?}")));
    assert_eq!(texts[0], texts[1]);
}

#[test]
fn nobody_is_let_in_without_credentials_and_the_blind_see_no_task() {
    let pair = |text: &str| text.parse::<Credentials>().ok();
    let simulator = start(SimulateOptions {
        credentials: pair("ops:se:cret"),
        blind: pair("limited:x"),
        ..SimulateOptions::default()
    });
    let address = simulator.address();
    let readonly = "WWW-Authenticate: Basic realm=\"mesos-master-readonly\"\r\n";
    let readwrite = "WWW-Authenticate: Basic realm=\"mesos-master-readwrite\"\r\n";
    // ops:bad, rubbish, a scheme that is no Basic.
    for fields in [
        "",
        "Authorization: Basic b3BzOmJhZA==\r\n",
        "Authorization: Basic !!!\r\n",
        "Authorization: Bearer abc\r\n",
    ] {
        for path in ["/state", "/state-summary"] {
            let answer = get(address, path, fields);
            assert_eq!((answer.status, answer.text()), (401, "401 Unauthorized."));
            assert!(answer.head.contains(readonly), "{}", answer.head);
        }
        for kind in ["GET_STATE", "SUBSCRIBE"] {
            let answer = call(address, kind, fields);
            assert_eq!((answer.status, answer.text()), (401, "401 Unauthorized."));
            assert!(answer.head.contains(readwrite), "{}", answer.head);
        }
    }
    for (path, status) in [("/health", 200), ("/version", 200), ("/redirect", 307)] {
        assert_eq!(get(address, path, "").status, status, "{path}");
    }
    assert_eq!(simulator.counts().unauthorized, 16);
    let ops = "Authorization: Basic b3BzOnNlOmNyZXQ=\r\n";
    let full = Known::from_state(&get(address, "/state", ops).json());
    assert!(!full.tasks.is_empty());
    let limited = "Authorization: Basic bGltaXRlZDp4\r\n";
    let document = get(address, "/state", limited);
    assert_eq!(document.status, 200);
    let blind = Known::from_state(&document.json());
    assert_eq!(blind.agents, full.agents);
    assert!(blind.tasks.is_empty() && blind.frameworks.is_empty());
    assert!(document.json()["flags"].is_null());
    let answer = call(address, "GET_STATE", limited).json();
    assert_eq!(Known::from_get_state(&answer["get_state"]), blind);
    let summary = get(address, "/state-summary", limited).json();
    assert!(list(&summary["frameworks"]).is_empty());
    assert_ne!(summary["slaves"][0]["TASK_RUNNING"], 0);

    // A stream of the blind tells of agents alone.
    let mut stream = Subscription::open_with(address, limited);
    let first = stream.event();
    assert_eq!(
        Known::from_get_state(&first["subscribed"]["get_state"]),
        blind
    );
    control(address, "step?count=5");
    control(address, "agent?index=2&do=remove");
    assert_eq!(stream.event()["type"], "AGENT_REMOVED");
}

#[test]
fn old_masters_have_no_stream_or_one_without_heartbeats() {
    let simulator = start(SimulateOptions {
        stream: Stream::None,
        ..SimulateOptions::default()
    });
    for kind in ["SUBSCRIBE", "GET_STATE"] {
        assert_eq!(call(simulator.address(), kind, "").status, 404);
    }
    assert_eq!(get(simulator.address(), "/state", "").status, 200);
    let simulator = start(SimulateOptions {
        stream: Stream::Old,
        heartbeat: Duration::from_millis(1),
        ..SimulateOptions::default()
    });
    let mut stream = Subscription::open(simulator.address());
    let first = stream.record().expect("SUBSCRIBED");
    assert_eq!(first["type"], "SUBSCRIBED");
    assert!(first["subscribed"]["heartbeat_interval_seconds"].is_null());
    // A heartbeat at once would come before this.
    simulator.step();
    assert_eq!(stream.record().expect("an event")["type"], "TASK_UPDATED");
}

#[test]
fn an_address_in_use_is_an_error_with_the_cure() {
    let simulator = start(SimulateOptions::default());
    let options = SimulateOptions {
        listen: simulator.address(),
        ..SimulateOptions::default()
    };
    let error = Simulator::start(&options).err().expect("an error");
    assert!(error.to_string().contains("give another --listen"));
}

#[test]
fn options_that_cannot_be_are_errors_that_name_the_flag() {
    let default = SimulateOptions::default;
    let zk = |text: &str| SimulateOptions {
        zk: Some(text.to_owned()),
        ..default()
    };
    for (options, culprit) in [
        (
            SimulateOptions {
                churn_per_second: 1e9,
                ..default()
            },
            "--churn",
        ),
        (
            SimulateOptions {
                tasks: usize::MAX,
                ..default()
            },
            "--tasks",
        ),
        (
            SimulateOptions {
                heartbeat: Duration::ZERO,
                ..default()
            },
            "--heartbeat-ms",
        ),
        (
            SimulateOptions {
                streams_max: 0,
                ..default()
            },
            "--streams-max",
        ),
        (
            SimulateOptions {
                standby: Some("a:1".to_owned()),
                ..zk("zk://h:1/m")
            },
            "--standby",
        ),
        (zk("127.0.0.1:2181/mesos"), "zk://"),
        (zk("zk://127.0.0.1:2181"), "path"),
        (zk("zk://127.0.0.1:2181/"), "path"),
        (zk("zk://user@127.0.0.1:2181/mesos"), "password"),
    ] {
        let error = Simulator::start(&options).err().expect(culprit).to_string();
        assert!(error.contains(culprit), "{error}");
    }
    let credentials: Credentials = "ops:secret".parse().expect("credentials");
    assert!(!format!("{credentials:?}").contains("secret"));
}

#[test]
fn churn_changes_the_cluster_by_itself() {
    let simulator = start(SimulateOptions {
        churn_per_second: 500.0,
        ..SimulateOptions::default()
    });
    let begin = simulator.with_cluster(|cluster| cluster.clock);
    wait_until("churn", || {
        simulator.with_cluster(|cluster| cluster.clock) != begin
    });
}
