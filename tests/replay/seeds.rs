//! Makes the fuzzers' first inputs: `cargo test --test replay -- --ignored seeds`. In: what real masters
//! and ZooKeeper said (`tests/recordings`), configurations and documents of `tests/corpus`, and choices
//! written out by hand. Out: `fuzz/corpus`, small files that a reader can tell the meaning of by name.

use std::fs;
use std::path::{Path, PathBuf};

/// Larger documents make a fuzzer slow; what they hold is in smaller ones too.
const SEED_BYTES_MAX: usize = 4 << 10;

#[test]
#[ignore = "writes into the repository"]
fn seeds() {
    messages();
    documents();
    streams();
    texts();
    zookeeper();
    warm_start_files();
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn put(target: &str, name: &str, octets: &[u8]) {
    let folder = root().join("fuzz/corpus").join(target);
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join(name), octets).expect("a seed");
}

fn read(path: &str) -> Vec<u8> {
    fs::read(root().join(path)).expect(path)
}

/// A piece as the harness takes it: its length, below 256, before it.
fn piece(octets: &[u8]) -> Vec<u8> {
    [&[octets.len() as u8][..], octets].concat()
}

/// Queries as the harness makes them: kind, flags, name, change of it, type, class, OPT.
fn messages() {
    // Numbers of the harness's names: those written out there come first.
    let queries: Vec<(String, Vec<u8>)> = (0..40_u8)
        .map(|number| {
            let (kind, rtype) = (if number % 3 == 0 { 16 } else { 0 }, number % 12);
            let edns = [
                number % 9,
                if number % 2 == 0 { 6 } else { 0 },
                0,
                24,
                4,
                172,
                16,
                0,
                0,
            ];
            let mut query = vec![kind, 0, 0, number * 3, number % 4, 0x55, rtype, 0];
            query.extend(edns);
            (format!("built-{number:02}"), query)
        })
        .collect();
    let names: [&[u8]; 6] = [
        b"\x03web\x08marathon\x05mesos\0",
        b"\x04_web\x01*\x04_tcp\x08marathon\x05mesos\0",
        b"\x05mesos\0",
        b"\x01a\x04lab\x07example\0",
        b"\x011\x010\x0216\x03172\x07in-addr\x04arpa\0",
        b"\0",
    ];
    let mut raw = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let mut message = vec![7, 0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        message.extend(*name);
        message.extend([0, [1, 33, 255, 16, 12, 2][number], 0, 1]);
        message.extend(b"\0\0\x29\x04\xd0\0\0\x80\0\0\x0b\0\x08\0\x07\0\x01\x18\0\xac\x10\0");
        raw.push((format!("raw-{number}"), message));
    }
    // Cookies of lengths that they may have, and may not.
    for length in [8, 24, 7, 41_u8] {
        let mut message = vec![7, 0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        message.extend(names[0]);
        message.extend([0, 1, 0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, length + 4]);
        message.extend([0, 10, 0, length]);
        message.extend(1..=length);
        raw.push((format!("cookie-{length}"), message));
    }
    // Strangers who ask for ANY: settings in which most are, UDP, neither of this host nor private.
    for (number, name) in names.iter().enumerate() {
        let head = [
            1, 0x85, 0, 2, 0, 7, 0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0,
        ];
        let message = [&head[..], name, &[0, 255, 0, 1]].concat();
        put("respond", &format!("any-{number}"), &message);
    }
    for (number, (name, query)) in queries.iter().chain(&raw).enumerate() {
        put("parse", name, query);
        let number = number as u8;
        // The World, the settings, the transport, who asks, the seed of the order.
        let head = [
            1 + number % 2,
            0x15_u8.wrapping_mul(number),
            number % 2,
            number % 5,
            number,
        ];
        put("respond", name, &[&head[..], query].concat());
    }
    for number in 0..24_u8 {
        let edns = if number % 3 == 0 { 16 } else { 0 };
        let asked = piece(&[edns, 0, 0, 4, 0, number % 3, 0, number % 9, 2, 0, 0]);
        let types = [0, 1, 2, 3, 4, 5, 6][usize::from(number) % 7];
        // Kind, then records of each section: type, owner, TTL, class, data.
        let answers = [2, types, 0, 3, 1, 9, 9, 1, 201, 0, 3, 1, 1, 210, 2, 9];
        let rest = [1, 3, 0, 2, 1, 210, 1, 0, 30, 1, 0, 0, 1, 0, 7, 1, 7, 0, 0];
        let octets = [&asked[..], &[0], &answers, &rest, &[number, 0, 0, 10, 1]].concat();
        put("forward_reply", &format!("records-{number:02}"), &octets);
    }
    let message = &raw[0].1[1..];
    let framed = [&(message.len() as u16).to_be_bytes()[..], message].concat();
    for (name, sizes, count) in [
        ("whole", &[][..], 3),
        ("octets", &[1], 2),
        ("uneven", &[3, 0, 7], 40),
    ] {
        put(
            "tcp_frames",
            name,
            &[piece(sizes), framed.repeat(count)].concat(),
        );
    }
    put(
        "tcp_frames",
        "largest",
        &[&[0, 0xff, 0xff][..], &[7; 300]].concat(),
    );
    put(
        "tcp_frames",
        "too-short",
        &[&[1, 5, 0, 11][..], &[7; 11]].concat(),
    );
}

fn documents() {
    let mut found = files_below(&root().join("tests/corpus/cases"), "state.json");
    found.extend(files_below(&root().join("tests/recordings"), "state.body"));
    for path in found {
        let octets = fs::read(&path).expect("a document");
        if (40..=SEED_BYTES_MAX).contains(&octets.len()) && octets.starts_with(b"{") {
            put(
                "state",
                &name_of(&path),
                &[&[2, 7, 64][..], &octets].concat(),
            );
        }
    }
    let deep = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        let task = format!(
            "{{\"id\":\"t\",\"state\":\"TASK_RUNNING\",\"slave_id\":\"S\",\"x\":{open}{close}}}"
        );
        let agent = "{\"id\":\"S\",\"pid\":\"slave(1)@10.0.0.1:5051\"}";
        format!(
            "\0{{\"leader\":\"master@10.0.0.1:5050\",\"slaves\":[{agent}],\"frameworks\":[{{\"name\":\"f\",\"tasks\":[{task}]}}]}}"
        )
    };
    put("state", "nested-100", deep(100).as_bytes());
    put("state", "nested-9000", deep(9_000).as_bytes());
}

fn streams() {
    for (name, path) in [
        ("stream", "tests/recordings/10-stream/json.recordio"),
        ("late", "tests/recordings/10-stream/late-json.recordio"),
        ("leader", "tests/recordings/20-ha/leader-stream.recordio"),
        (
            "restart",
            "tests/recordings/60-master-restart/stream-after.recordio",
        ),
    ] {
        // Records one by one: length, line feed, octets.
        let octets = read(path);
        let mut rest = &octets[..];
        for number in 0..12 {
            let Some(end) = rest.iter().position(|octet| *octet == b'\n') else {
                break;
            };
            let length: usize = str::from_utf8(&rest[..end])
                .expect("digits")
                .parse()
                .expect("a length");
            let Some(record) = rest.get(..end + 1 + length) else {
                break;
            };
            rest = &rest[end + 1 + length..];
            if record.len() <= SEED_BYTES_MAX {
                put(
                    "events",
                    &format!("{name}-{number:02}"),
                    &[&[2, 5, 100][..], record].concat(),
                );
            }
        }
    }
    for (name, stream) in [
        ("three", "5\nhello0\n1\nx"),
        ("cut", "12\nhello"),
        ("bad", "3\nabc x\n"),
        ("long", "100001\n"),
    ] {
        put(
            "recordio",
            name,
            &[&[1, 2, 2, 255, 1][..], stream.as_bytes()].concat(),
        );
    }
}

fn texts() {
    for path in files_below(&root().join("tests/corpus/cases"), "config.json")
        .iter()
        .step_by(3)
    {
        let octets = fs::read(path).expect("a configuration");
        put("config", &name_of(path), &[&[0][..], &octets].concat());
    }
    let all = [&[0][..], &read("packaging/config.example.json")].concat();
    put("config", "every-key", &all);
    let secret = br#"{"Masters": ["10.0.0.1:5050"], "MesosAuthentication": "basic", "MesosCredentials": {"Principal": "me", "Secret": "Pa55-w0rd"}}"#;
    put("config", "secret", &[&[0][..], secret].concat());
    put(
        "config",
        "environment",
        &[
            &[2, 0][..],
            &piece(b"10.0.0.1:5050"),
            &[1],
            &piece(b"zk://u:p@h:2181/mesos"),
            b"{}",
        ]
        .concat(),
    );
    let zone = read("fuzz/harness/static.zone");
    put("static_records", "all", &zone);
    for (number, line) in zone.split(|octet| *octet == b'\n').enumerate() {
        if number % 2 == 1 && !line.is_empty() && !line.starts_with(b" ") {
            put("static_records", &format!("line-{number:02}"), line);
        }
    }
    put(
        "static_records",
        "parentheses",
        b"$ORIGIN x.mesos.\n$TTL 1h30m\na ( 5 IN ; c\n  TXT \"a;b\" c\\032d )\n  AAAA ::1\n",
    );
    for (number, name) in [
        "Web.App_1",
        "--a--",
        "9-1lives",
        "a\\.b.c\\000d.",
        "é(x) y",
        "..a",
        "x-S0",
    ]
    .iter()
    .enumerate()
    {
        put("labels", &format!("name-{number}"), name.as_bytes());
    }
    let dashes = format!("{}---bc-def", "a".repeat(60));
    put("labels", "dashes-at-the-cut", dashes.as_bytes());
    put("labels", "wire", b"\x03a.b\x05mesos\0");
    for (number, path) in [
        "/v1/hosts/web.marathon.mesos",
        "/v1/explain/www.mesos",
        "/v1//hosts/../x?a=b",
        "/v1/services/_web._tcp.*.mesos",
        "/v1/hosts/%2e%2E%2f",
        "/v1/hosts/%zz",
        "//evil.example/..",
        "/v1/explain/%00%ff.x.wild.mesos",
    ]
    .iter()
    .enumerate()
    {
        put("paths", &format!("path-{number}"), path.as_bytes());
    }
    for (name, flags, rest) in [
        ("claims", [1, 0, 9, 0], r#"{"exp":1800000600,"uid":"a"}"#),
        ("long", [1, 2, 0, 1], r#"{"exp":1.8e10}"#),
        ("opaque", [0, 0, 4, 1], r#"{"token":"s3cret"}"#),
        ("broken", [0, 0, 0, 0], r#"{"token":"a\r\nX: y"}"#),
    ] {
        put("login", name, &[&flags[..], rest.as_bytes()].concat());
    }
    put(
        "resolv_conf",
        "ordinary",
        b"# made by dhcp\nsearch a b\nnameserver 10.0.0.1\nnameserver 127.0.0.53\noptions edns0\n",
    );
    put(
        "resolv_conf",
        "ipv6",
        b"nameserver fe80::1%eth0\nnameserver\t::ffff:10.0.0.3;x\nnameserver 2001:db8::9\r\n",
    );
}

fn zookeeper() {
    let folder = root().join("tests/recordings/20-ha/b1-znodes");
    for entry in fs::read_dir(folder).expect("recordings").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let octets = fs::read(entry.path()).expect("a node");
        if name.ends_with(".data") && !octets.is_empty() {
            put(
                "zookeeper",
                &name.replace("mesos__", ""),
                &[&[4][..], &octets].concat(),
            );
            let length = (octets.len() as u32).to_be_bytes();
            put(
                "zookeeper",
                &format!("data-{}", name.replace("mesos__", "")),
                &[&[2][..], &length, &octets, &[0; 68]].concat(),
            );
        }
    }
    let children = [
        "json.info_0000000001",
        "info_0000000002",
        "log_replicas",
        "json.info_-000000003",
    ];
    let mut list = vec![3, 0, 0, 0, children.len() as u8];
    for child in children {
        list.extend((child.len() as u32).to_be_bytes());
        list.extend(child.bytes());
    }
    put("zookeeper", "children", &list);
    put(
        "zookeeper",
        "granted",
        &[
            &[1, 0, 0, 0, 0, 0, 0, 0x27, 0x10][..],
            &[9; 8],
            &[0, 0, 0, 16],
            &[1; 16],
            &[0],
        ]
        .concat(),
    );
    put(
        "zookeeper",
        "event",
        &[
            &[0][..],
            &[255; 4],
            &[0; 12],
            &[0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 2],
            b"/m",
        ]
        .concat(),
    );
    let frames = [
        [0, 0, 0, 0],
        [0, 0, 0, 2],
        [7, 8, 0, 0],
        [0, 1, 9, 0],
        [64, 0, 0, 1],
    ]
    .concat();
    put(
        "zookeeper",
        "frames",
        &[&[5, 2, 3, 1][..], &frames].concat(),
    );
    put(
        "zookeeper",
        "answer",
        &[&[0, 0, 0, 0, 3][..], &[0; 12], &[1; 9]].concat(),
    );
}

/// How to damage a file: the harness has the good one. Kind; block; edits less one; place, kind, octets.
fn warm_start_files() {
    put("warm_start_file", "nothing", b"\0ROLLCALL");
    put(
        "warm_start_file",
        "tail-alone",
        b"\0ROLLCALL\0\0\0\0\0\0\0\0\x03\0\0\0ROLLCALL",
    );
    put("warm_start_file", "as-it-is", &[1, 0, 0, 0, 0, 0]);
    for kind in 1..4_u8 {
        for (name, edit) in [("over", 0), ("in", 1), ("out", 2)] {
            for place in [0, 9, 200] {
                let octets = [kind, 0, 0, 0, place, edit, 4, 0xff, 0xff, 0xff, 0x7f];
                // Only of blocks is one chosen.
                let octets = if kind == 2 {
                    octets.to_vec()
                } else {
                    [&octets[..1], &octets[2..]].concat()
                };
                put(
                    "warm_start_file",
                    &format!("{name}-{kind}-{place}"),
                    &octets,
                );
            }
        }
    }
}

fn files_below(folder: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_below(&path, name));
        } else if path.file_name().is_some_and(|it| it == name) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The folder's name, which tells what a document is about.
fn name_of(path: &Path) -> String {
    let folder = path.parent().and_then(Path::file_name);
    folder.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
