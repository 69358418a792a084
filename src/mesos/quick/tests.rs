//! Tests of `quick`: it reads what the decoder reads, or leaves it to that.

use super::super::decode::Decoder;
use super::super::fields::{AgentFields, TaskFields};
use super::*;

const TASK: &str = r#"{"id":"web.1","name":"w\/eb","slave_id":"S0","state":"TASK_RUNNING",
    "resources":{"cpus":0.5,"mem":2.5e+2,"ports":"[31000-31001]","x":null},"container":{"a":[{},[],true,-0]},
    "statuses":[{"state":"TASK_RUNNING","timestamp":1700000001.25,"labels":[{"key":"k","value":"\u00e9\ud83d\ude00"}],
    "container_status":{"network_infos":[{"ip_addresses":[{"ip_address":"10.0.0.1","protocol":"IPv4"}],"name":"dcos"},null]}}],
    "discovery":{"name":"web","visibility":"CLUSTER","ports":{"ports":[{"number":80,"name":"http","protocol":"tcp"},
    {"number":"x"},{"number":[1]},{"number":8.0e1}]}},"labels":[{"key":"a\\","value":"b\"{"}]}"#;

/// What it reads is what the decoder reads; whether it reads it at all.
fn agrees(octets: &[u8]) -> bool {
    let mut decoder = Decoder::default();
    let task: Option<TaskFields<'_>> = read(octets);
    if let Some(task) = &task {
        let decoded: TaskFields<'_> = decoder.decode_any(octets).expect("the decoder takes it");
        let wanted = format!("{decoded:?}");
        assert_eq!(format!("{task:?}"), wanted);
    }
    let agent: Option<AgentFields<'_>> = read(octets);
    if let Some(agent) = agent {
        let decoded: AgentFields<'_> = decoder.decode_any(octets).expect("the decoder takes it");
        assert_eq!(format!("{agent:?}"), format!("{decoded:?}"));
    }
    task.is_some()
}

#[test]
fn ordinary_tasks_are_read_without_the_decoder() {
    assert!(agrees(TASK.as_bytes()));
    assert!(agrees(b" {} "));
    assert!(agrees(b"null"));
    let root = env!("CARGO_MANIFEST_DIR");
    let file = format!("{root}/tests/recordings/13-many-tasks/state.body");
    let state = std::fs::read(file).expect("the recording");
    let state: serde_json::Value = serde_json::from_slice(&state).expect("JSON");
    let frameworks = state["frameworks"].as_array().expect("a list");
    let tasks = frameworks.iter().flat_map(|it| it["tasks"].as_array());
    let mut count = 0;
    for task in tasks.flatten() {
        assert!(agrees(task.to_string().as_bytes()), "{task}");
        count += 1;
    }
    assert!(count > 0);
}

#[test]
fn what_is_out_of_the_ordinary_is_left_to_the_decoder() {
    for text in [
        r#"{"Name":"a"}"#,
        r#"{"\u006eame":"a"}"#,
        r#"{"name":5}"#,
        r#"{"name":"\ud800"}"#,
        "{\"name\":\"a\tb\"}",
        "{\"x\":\"a\tb\"}",
        r#"{"x":"\q"}"#,
        r#"{"x":01}"#,
        r#"{"x":1.}"#,
        r#"{"x":-}"#,
        r#"{"x":tru}"#,
        r#"{"x":[1,]}"#,
        r#"{"x":{1:2}}"#,
        r#"{"x":1,}"#,
        r#"{"x":1}}"#,
        r#"{"x":1"#,
        r#"{"x""#,
        r#"{"statuses":[{"timestamp":1e999}]}"#,
        "",
    ] {
        assert!(!agrees(text.as_bytes()), "{text}");
    }
}

#[test]
fn changed_octets_are_read_as_the_decoder_reads_them_or_left_to_it() {
    let mut random = fastrand::Rng::with_seed(1);
    let texts: Vec<&[u8]> = vec![
        TASK.as_bytes(),
        br#"{"id":"S0","hostname":"a","pid":"slave(1)@10.0.0.1:5051"}"#,
    ];
    let odd = b"\"\\{}[],:nul-0.eE1x \t\x00\x1f\x7f\xc3\xff";
    let mut read_count = 0;
    for _ in 0..20_000 {
        let mut octets = texts[random.usize(..texts.len())].to_vec();
        for _ in 0..random.usize(1..3) {
            let place = random.usize(..octets.len());
            match random.u8(..3) {
                0 => octets[place] = odd[random.usize(..odd.len())],
                1 => drop(octets.remove(place)),
                _ => octets.insert(place, odd[random.usize(..odd.len())]),
            }
        }
        read_count += u32::from(agrees(&octets));
    }
    assert!(read_count > 1_000, "{read_count}");
}
