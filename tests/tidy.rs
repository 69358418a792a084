//! The rules of the house, as tests. In: the repository's own text. Out: every breach as
//! `file:line: rule`. It must never need a network, a build or a clock.

#[path = "tidy/scan.rs"]
mod scan;
#[path = "tidy/supply.rs"]
mod supply;

use std::fs;
use std::path::Path;

use rollcall::config::keys::{CREDENTIALS, KEYS, Kind, Since};
use rollcall::http::metrics::FAMILIES;

use scan::{
    Source, all_sources, all_texts, crate_paths, files_below, indexes, numbered, read, sources,
    words,
};

/// No file may be longer; those over `LINES_ARGUED` are listed in `LONG_FILES`.
const LINES_MAX: usize = 800;
const LINES_ARGUED: usize = 500;
/// Files over 500 lines, with the length that each may not pass. Entries may only shrink or go.
const LONG_FILES: &[(&str, usize)] = &[("tests/it/respond.rs", 529)];
/// Files that are a map or a switch and must stay one.
const SHORT_FILES: &[(&str, usize)] = &[("src/lib.rs", 80), ("src/main.rs", 60)];

/// Which modules of the crate a module may name. One that is not listed may name all: `daemon`
/// and what stands beside the way.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("clients", &[]),
    ("dns", &["limits"]),
    ("sys", &["limits"]),
    (
        "mesos",
        &["dns", "sys", "limits", "config", "stats", "watched"],
    ),
    ("watched", &["limits"]),
    ("zonefile", &["dns", "limits"]),
    ("records", &["mesos", "dns", "limits", "zonefile"]),
    ("responses", &["records", "dns", "limits", "zonefile"]),
    ("feed", &["responses", "dns", "limits"]),
    ("stats", &["limits", "sys", "dns"]),
    ("config", &["dns", "limits", "zonefile"]),
    ("cli", &["config", "limits", "simulate"]),
    (
        "serve",
        &[
            "responses",
            "clients",
            "dns",
            "sys",
            "limits",
            "stats",
            "config",
            "forward",
        ],
    ),
    ("service", &["responses", "limits", "stats"]),
    ("confine", &["config", "stats", "sys", "limits"]),
    ("forward", &["clients", "dns", "sys", "limits", "stats"]),
    (
        "http",
        &[
            "clients",
            "feed",
            "forward",
            "responses",
            "records",
            "dns",
            "sys",
            "limits",
            "stats",
            "config",
            "watched",
        ],
    ),
    (
        "refresh",
        &[
            "feed",
            "mesos",
            "records",
            "responses",
            "dns",
            "sys",
            "limits",
            "stats",
            "config",
            "zonefile",
        ],
    ),
];

/// Sockets, clocks and chance: none of them in the pure parts.
const IMPURE: &[&str] = &[
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "Instant",
    "SystemTime::now",
    "std::fs",
    "std::env",
    // Only a generator that was handed in, with its seed.
    "fastrand::Rng::new",
    "fastrand::u",
    "fastrand::f",
    "std::thread",
];

#[test]
fn dependencies_run_one_way() {
    let mut breaches = Vec::new();
    for file in sources("src") {
        let module = file.module();
        let Some((_, allowed)) = MAY_NAME.iter().find(|(name, _)| *name == module) else {
            continue;
        };
        let mut lines = file.code_without_tests().into_iter();
        while let Some((number, mut line)) = lines.next() {
            // A group of imports may go over several lines.
            while line.contains("crate::{") && !line.contains('}') {
                let Some((_, more)) = lines.next() else { break };
                line.push_str(&more);
            }
            for named in crate_paths(&line) {
                if named != module && !allowed.contains(&named.as_str()) {
                    let rule = format!("`{module}` must not name `crate::{named}`");
                    breaches.push(file.breach(number, &rule));
                }
            }
        }
    }
    none(breaches);
}

#[test]
fn pure_parts_touch_no_socket_file_or_clock() {
    let mut breaches = Vec::new();
    for file in sources("src") {
        // A Snapshot carries the time of its publication; only reading the clock is impure.
        let pure = matches!(
            file.module().as_str(),
            "records" | "responses" | "dns" | "zonefile"
        ) || [
            "respond",
            "answer",
            "chaos",
            "elsewhere",
            "follow",
            "options",
            "settings",
            "shuffle",
        ]
        .map(|name| format!("src/serve/{name}.rs"))
        .contains(&file.name);
        for (number, line) in file.code_without_tests().into_iter().filter(|_| pure) {
            for word in IMPURE {
                if line.contains(*word) {
                    breaches.push(file.breach(number, &format!("a pure part must not use {word}")));
                }
            }
        }
    }
    none(breaches);
}

#[test]
fn unsafe_is_in_sys_alone_and_says_why_it_is_safe() {
    let mut breaches = Vec::new();
    for file in all_sources() {
        for (number, line) in file.code() {
            if !words(&line).any(|word| word == "unsafe") {
                continue;
            }
            if !file.name.starts_with("src/sys/") && !allocates_for_counting(&file) {
                breaches.push(file.breach(number, "unsafe belongs to src/sys"));
            }
            let block = line.contains("unsafe {") || line.contains("unsafe impl");
            if block && !file.has_safety_above(number) {
                breaches.push(file.breach(number, "no SAFETY comment above unsafe"));
            }
        }
    }
    none(breaches);
}

/// A counting allocator for tests cannot be written without unsafe.
fn allocates_for_counting(file: &Source) -> bool {
    !file.name.starts_with("src/") && file.text.contains("GlobalAlloc")
}

#[test]
fn files_are_short_enough_to_read() {
    let mut breaches = Vec::new();
    for file in all_sources() {
        let lines = file.text.lines().count();
        let listed = LONG_FILES.iter().find(|(name, _)| *name == file.name);
        for (_, length) in SHORT_FILES.iter().filter(|(name, _)| *name == file.name) {
            if lines >= *length {
                breaches.push(file.breach(lines, &format!("{length} lines or more")));
            }
        }
        match listed {
            _ if lines > LINES_MAX => breaches.push(file.breach(lines, "over 800 lines")),
            Some((_, length)) if lines > *length => {
                breaches
                    .push(file.breach(lines, "longer than LONG_FILES allows; it may only shrink"));
            }
            Some(_) if lines <= LINES_ARGUED => {
                breaches
                    .push(file.breach(lines, "no longer over 500 lines: take it off LONG_FILES"));
            }
            None if lines > LINES_ARGUED => {
                breaches
                    .push(file.breach(lines, "over 500 lines: split it, or list it in LONG_FILES"));
            }
            _ => {}
        }
    }
    none(breaches);
}

#[test]
fn packet_code_cannot_panic() {
    let mut breaches = Vec::new();
    for file in sources("src") {
        if !matches!(file.module().as_str(), "serve" | "dns" | "forward") {
            continue;
        }
        for (number, line) in file.code_without_tests() {
            for call in [".unwrap()", ".expect(", "panic!(", "unreachable!("] {
                if line.contains(call) {
                    breaches.push(file.breach(number, &format!("{call} can panic on a packet")));
                }
            }
            if indexes(&line) {
                breaches.push(file.breach(number, "indexing can panic on a packet; use get"));
            }
        }
    }
    none(breaches);
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file does not find itself.
    let markers = ["TO", "FIX", "XX", "HA"]
        .into_iter()
        .zip(["DO", "ME", "X", "CK"]);
    let mut markers: Vec<String> = markers
        .map(|(left, right)| format!("{left}{right}"))
        .collect();
    markers.extend(
        ["unimple", "to", "db"]
            .into_iter()
            .zip(["mented!", "do!(", "g!("])
            .map(|(l, r)| format!("{l}{r}")),
    );
    markers.push(format!("(to be {})", "written"));
    let mut breaches = Vec::new();
    for file in all_texts() {
        for (number, line) in numbered(&file.text) {
            for marker in &markers {
                let word = !marker.ends_with(['!', '(', ')']);
                let found = line.match_indices(marker.as_str()).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    let after = line[at + marker.len()..].chars().next();
                    let letter =
                        |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
                    let goes_on = word && letter(after);
                    !letter(before) && !goes_on
                });
                if found {
                    breaches.push(file.breach(number, &format!("{marker} is left over")));
                }
            }
        }
    }
    none(breaches);
}

#[test]
fn no_path_of_a_machine_is_in_the_text() {
    let paths: Vec<String> = ["work", "root", "home"]
        .iter()
        .map(|name| format!("/{name}/"))
        .collect();
    let mut breaches = Vec::new();
    for file in all_texts() {
        for (number, line) in numbered(&file.text) {
            for path in &paths {
                let absolute = line.match_indices(path.as_str()).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    !before.is_some_and(|c| c.is_alphanumeric() || "._-$}/".contains(c))
                });
                if absolute {
                    breaches.push(file.breach(number, &format!("{path} is a path of one machine")));
                }
            }
            if line.contains(&format!("../{}", "shared")) {
                breaches.push(file.breach(number, "a path outside the repository"));
            }
        }
    }
    none(breaches);
}

#[test]
fn every_source_file_says_what_it_is() {
    let mut breaches = Vec::new();
    for file in all_sources() {
        if !file.text.starts_with("//!") {
            breaches.push(file.breach(1, "no module doc at the top"));
        }
    }
    none(breaches);
}

#[test]
fn readme_has_every_configuration_key_as_the_code_has_it() {
    let readme = read("README.md");
    let mut breaches = Vec::new();
    for key in KEYS {
        let default = match (key.kind, key.default) {
            (_, "") => String::new(),
            (_, default) => format!("`{default}`"),
        };
        let row = format!(
            "| {} | {default} | `{}` | {} |",
            key.name, key.variable, key.meaning
        );
        if !readme.lines().any(|line| line == row) {
            breaches.push(format!("README.md:1: the table has no line\n{row}"));
        }
    }
    let rows = readme
        .lines()
        .filter(|line| line.contains("| `ROLLCALL_"))
        .count();
    if rows != KEYS.len() {
        breaches.push(format!("README.md:1: {rows} rows for {} keys", KEYS.len()));
    }
    let words = readme.split_whitespace().collect::<Vec<_>>().join(" ");
    for (since, rest) in [
        (Since::Rollcall, "are Rollcall's own."),
        (Since::Fork, "come from the fork of mesos-dns."),
    ] {
        let keys = KEYS.iter().filter(|key| key.since == since);
        let names: Vec<&str> = keys
            .filter_map(|key| key.name.split('.').next_back())
            .collect();
        let (last, first) = names.split_last().expect("a key");
        let sentence = format!("{} and {last} {rest}", first.join(", "));
        if !words.contains(&sentence) {
            breaches.push(format!("README.md:1: nowhere does it say\n{sentence}"));
        }
    }
    none(breaches);
}

#[test]
fn sample_configuration_has_every_key_with_its_default() {
    let sample = "packaging/config.example.json";
    let json: serde_json::Value = serde_json::from_str(&read(sample)).expect(sample);
    let mut breaches = Vec::new();
    for key in KEYS {
        let value = match key.name.strip_prefix(CREDENTIALS) {
            Some(field) => &json[CREDENTIALS][field.trim_start_matches('.')],
            None => &json[key.name],
        };
        let shown = match (value, key.kind) {
            (serde_json::Value::String(text), _) => text.clone(),
            (serde_json::Value::Array(items), Kind::List | Kind::Texts) => {
                let items = items.iter().map(|item| item.as_str().unwrap_or("?"));
                items.collect::<Vec<_>>().join(",")
            }
            (serde_json::Value::Object(zones), Kind::Zones) if zones.is_empty() => String::new(),
            (other, _) => other.to_string(),
        };
        let example = matches!(key.name, "Masters" | "SOAMname");
        if shown != key.default && (!example || value.is_null()) {
            breaches.push(format!(
                "{sample}:1: {} is {shown}, default {}",
                key.name, key.default
            ));
        }
    }
    none(breaches);
}

#[test]
fn readme_has_every_family_of_metrics_as_the_code_has_it() {
    let readme = read("README.md");
    let mut breaches = Vec::new();
    for family in FAMILIES {
        let (name, kind) = (family.shown(), family.kind.label());
        let row = format!("| `{name}` | {kind} | {} |", family.help);
        if !readme.lines().any(|line| line == row) {
            breaches.push(format!("README.md:1: the table has no line\n{row}"));
        }
    }
    let kinds = ["| counter |", "| gauge |", "| histogram |"];
    let is_row = |line: &&str| kinds.iter().any(|kind| line.contains(kind));
    let rows = readme.lines().filter(is_row).count();
    if rows != FAMILIES.len() {
        breaches.push(format!(
            "README.md:1: {rows} rows for {} families",
            FAMILIES.len()
        ));
    }
    none(breaches);
}

#[test]
fn changelog_names_the_present_version() {
    let changelog = read("packaging/CHANGELOG.md");
    assert!(changelog.contains(&format!("## [{}]", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn every_fuzz_target_has_seeds_a_harness_and_a_line_in_the_readme() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (readme, manifest) = (read("README.md"), read("fuzz/Cargo.toml"));
    let replayed = read("tests/replay/main.rs");
    let mut breaches = Vec::new();
    let targets = files_below(&root.join("fuzz/fuzz_targets"), &["rs"]);
    assert!(!targets.is_empty());
    for target in targets {
        let name = target.file_stem().unwrap_or_default().to_string_lossy();
        let text = fs::read_to_string(&target).unwrap_or_default();
        let has_seeds = !files_below(&root.join("fuzz/corpus").join(&*name), &[]).is_empty();
        let rules = [
            (has_seeds, "no seeds in fuzz/corpus"),
            (
                root.join(format!("fuzz/harness/{name}.rs")).is_file(),
                "no harness in fuzz/harness",
            ),
            (
                text.contains(&format!("rollcall_fuzz::{name}::run(")),
                "it does not run its harness",
            ),
            (text.lines().count() == 3, "a target has three lines"),
            (
                readme.contains(&format!("| `{name}` | ")),
                "no line in README.md",
            ),
            (
                manifest.contains(&format!("name = \"{name}\"")),
                "not in fuzz/Cargo.toml",
            ),
            (
                replayed.contains(&format!("    {name}")),
                "tests/replay does not replay it",
            ),
        ];
        for (_, rule) in rules.iter().filter(|(holds, _)| !holds) {
            breaches.push(format!("fuzz/fuzz_targets/{name}.rs:1: {rule}"));
        }
    }
    none(breaches);
}

fn none(breaches: Vec<String>) {
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}
