//! What comes into the program from elsewhere. In: both locks, Cargo.toml, `.deny.toml` and what cargo
//! knows of the packages that are here. Out: every licence, second version, place or feature that nobody
//! agreed to. cargo-deny looks closer, and at advisories (`tests/run supply`), but takes long to build; this
//! must never need the network.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use super::none;
use super::scan::{numbered, read};

/// Direct dependencies whose default features are on, and what those are.
const DEFAULT_FEATURES: &[(&str, &str)] = &[
    ("arc-swap", "it has none"),
    ("bytes", "std"),
    ("crc32fast", "std"),
    ("crossbeam", "std, which brings its channels and queues"),
    ("fastrand", "std, for a seed of the thread's own"),
    ("flate2", "which deflate it has, and ureq has it on"),
    ("foldhash", "std"),
    ("http-body-util", "it has none"),
    ("hyper", "it has none"),
    ("hyper-util", "it has none"),
    ("io-uring", "it has none"),
    ("lexopt", "it has none"),
    ("libc", "std"),
    ("mio", "log, which tokio has on"),
    ("prometheus-client", "it has none"),
    ("sd-notify", "it has none"),
    ("serde", "std"),
    ("serde_json", "std"),
    ("signal-hook", "the iterator of signals"),
    ("socket2", "it has none"),
    ("tokio", "it has none"),
    ("tracing", "std; attributes, which zookeeper-client has on"),
    ("tracing-journald", "it has none"),
    ("zookeeper-client", "it has none"),
];

#[test]
fn packages_come_from_one_place_and_are_those_that_were_looked_at() {
    let mut breaches = Vec::new();
    for lock in ["Cargo.lock", "fuzz/Cargo.lock"] {
        for package in packages(&read(lock)) {
            let is_ours = ["rollcall", "rollcall-fuzz"].contains(&package.name);
            let is_known = package
                .source
                .is_some_and(|it| it.ends_with("/crates.io-index"));
            if !(is_ours || is_known && package.is_sealed) {
                breaches.push(format!("{lock}:1: {} comes from elsewhere", package.name));
            }
        }
    }
    none(breaches);
}

#[test]
fn a_second_version_of_a_package_has_a_reason() {
    let deny = read(".deny.toml");
    let skipped: Vec<&str> = deny
        .lines()
        .filter_map(|line| between(line, "{ crate = \"", "\""))
        .collect();
    assert!(!skipped.is_empty());
    let mut breaches = Vec::new();
    let mut met = Vec::new();
    for lock in ["Cargo.lock", "fuzz/Cargo.lock"] {
        let text = read(lock);
        let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for package in packages(&text) {
            versions
                .entry(package.name)
                .or_default()
                .push(package.version);
        }
        for (name, versions) in versions {
            let named = versions.iter().map(|version| format!("{name}@{version}"));
            let (with_reason, left): (Vec<_>, Vec<_>) =
                named.partition(|package| skipped.contains(&package.as_str()));
            if left.len() > 1 {
                let left = left.join(", ");
                breaches.push(format!(
                    "{lock}:1: several versions without a reason: {left}"
                ));
            }
            if versions.len() > 1 {
                met.extend(with_reason);
            }
        }
    }
    for gone in skipped
        .iter()
        .filter(|skipped| !met.iter().any(|met| met == **skipped))
    {
        breaches.push(format!(
            ".deny.toml:1: {gone} is no second version any more"
        ));
    }
    none(breaches);
}

/// It is a lock of its own, which cargo changes only where somebody builds the fuzzers.
#[test]
fn lock_of_the_fuzzers_has_what_the_program_depends_on() {
    let (ours, fuzzers) = (read("Cargo.lock"), read("fuzz/Cargo.lock"));
    let known: Vec<_> = packages(&fuzzers).collect();
    let dependencies = |lock: &str| -> Vec<String> {
        let package = packages(lock).find(|package| package.name == "rollcall");
        let text = package.map(|package| package.text).unwrap_or_default();
        let names = text.lines().filter_map(|line| between(line, " \"", "\","));
        names.map(str::to_owned).collect()
    };
    let theirs = dependencies(&fuzzers);
    let manifest = read("Cargo.toml");
    let tests_alone = manifest
        .split("[dev-dependencies]")
        .nth(1)
        .unwrap_or_default();
    let mut breaches = Vec::new();
    for name in dependencies(&ours) {
        if !theirs.contains(&name) && !tests_alone.contains(&format!("\n{name} = ")) {
            breaches.push(format!(
                "fuzz/Cargo.lock:1: it lacks {name}: cargo metadata --manifest-path fuzz/Cargo.toml"
            ));
        }
    }
    assert!(known.iter().any(|package| package.name == "libfuzzer-sys"));
    none(breaches);
}

#[test]
fn default_features_are_on_where_somebody_looked_at_them() {
    let mut breaches = Vec::new();
    let mut section = "";
    let mut met = Vec::new();
    let manifest = read("Cargo.toml");
    for (number, line) in numbered(&manifest) {
        if line.starts_with('[') {
            section = line;
        }
        let Some((name, value)) = line.split_once(" = ") else {
            continue;
        };
        if section != "[dependencies]" || value.contains("default-features = false") {
            continue;
        }
        met.push(name);
        if !DEFAULT_FEATURES.iter().any(|(listed, _)| *listed == name) {
            breaches.push(format!(
                "Cargo.toml:{number}: default features of {name}: turn them off, or list them in tests/tidy/supply.rs"
            ));
        }
    }
    for (name, _) in DEFAULT_FEATURES
        .iter()
        .filter(|(name, _)| !met.contains(name))
    {
        breaches.push(format!(
            "Cargo.toml:1: {name} has no default features on any more"
        ));
    }
    none(breaches);
}

#[test]
fn licences_are_those_that_are_allowed() {
    let deny = read(".deny.toml");
    let list = between(&deny, "\nallow = [", "]").unwrap_or_default();
    let allowed: Vec<&str> = list
        .lines()
        .filter_map(|line| between(line, "\"", "\""))
        .collect();
    assert!(allowed.contains(&"MIT"));
    let mut breaches = Vec::new();
    let mut met = vec![false; allowed.len()];
    for package in metadata() {
        let (name, licence) = (
            &package["name"],
            package["license"].as_str().unwrap_or_default(),
        );
        if !satisfies(licence, &allowed) {
            breaches.push(format!("Cargo.lock:1: {name} has the licence {licence:?}"));
        }
        for (place, _) in allowed
            .iter()
            .enumerate()
            .filter(|(_, it)| licence.contains(**it))
        {
            met[place] = true;
        }
    }
    for (licence, _) in allowed.iter().zip(met).filter(|(_, met)| !met) {
        breaches.push(format!(".deny.toml:1: nothing has the licence {licence}"));
    }
    none(breaches);
}

/// What is built for this machine, tests included: of others cargo may have nothing here.
fn metadata() -> Vec<Value> {
    let cargo = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO"));
        let output = command
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(args)
            .output();
        let output = output.expect("cargo is there");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    };
    let about = String::from_utf8(cargo(&["version", "--verbose"])).expect("text");
    let machine = between(&about, "\nhost: ", "\n")
        .expect("a machine")
        .to_owned();
    let args = [
        "metadata",
        "--format-version=1",
        "--offline",
        "--locked",
        "--filter-platform",
    ];
    let metadata = cargo(&[&args[..], &[&machine]].concat());
    let mut metadata: Value = serde_json::from_slice(&metadata).expect("JSON");
    let nodes = metadata["resolve"]["nodes"].take();
    let ids: Vec<&Value> = nodes
        .as_array()
        .expect("nodes")
        .iter()
        .map(|node| &node["id"])
        .collect();
    let packages = metadata["packages"].take();
    let packages = packages.as_array().expect("packages").iter();
    packages
        .filter(|package| ids.contains(&&package["id"]))
        .cloned()
        .collect()
}

/// Whether an SPDX expression can be met with these alone. `/` is an old way to write OR.
fn satisfies(licence: &str, allowed: &[&str]) -> bool {
    let spaced = licence
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let met = any_of(&mut words, allowed);
    met && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, allowed: &[&str]) -> bool {
    let mut met = all_of(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        met |= all_of(words, allowed);
    }
    met
}

fn all_of(words: &mut Words<'_>, allowed: &[&str]) -> bool {
    let mut met = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut Words<'_>, allowed: &[&str]) -> bool {
    let Some(word) = words.next() else {
        return false;
    };
    if word == "(" {
        let met = any_of(words, allowed);
        return words.next() == Some(")") && met;
    }
    // What an exception gives on top is for nobody to judge here.
    let is_plain = words
        .next_if_eq(&"WITH")
        .is_none_or(|_| words.next().is_none());
    is_plain && allowed.contains(&word)
}

#[test]
fn licences_are_read_as_written() {
    let allowed = ["MIT", "ISC"];
    for good in [
        "MIT",
        "GPL-3.0 OR MIT",
        "MIT AND (ISC OR GPL-3.0)",
        "Unlicense/MIT",
    ] {
        assert!(satisfies(good, &allowed), "{good}");
    }
    for bad in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "MIT WITH x",
        "(MIT",
        "MIT ISC",
    ] {
        assert!(!satisfies(bad, &allowed), "{bad}");
    }
}

struct Package<'a> {
    name: &'a str,
    version: &'a str,
    source: Option<&'a str>,
    is_sealed: bool,
    text: &'a str,
}

fn packages(lock: &str) -> impl Iterator<Item = Package<'_>> {
    lock.split("[[package]]").skip(1).map(|text| Package {
        name: between(text, "name = \"", "\"").unwrap_or_default(),
        version: between(text, "version = \"", "\"").unwrap_or_default(),
        source: between(text, "source = \"", "\""),
        is_sealed: text.contains("checksum = \""),
        text,
    })
}

fn between<'a>(text: &'a str, before: &str, behind: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(behind)?.0)
}
