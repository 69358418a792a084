//! Replays what the fuzzers begin with and what they found, without a fuzzer: every file of
//! `fuzz/corpus` and of `fuzz/regressions`, and some of their neighbours. What is in the way of a
//! panic must be seen with every change, not only where somebody lets a fuzzer run.

#[path = "../../fuzz/harness/lib.rs"]
mod harness;
mod seeds;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use harness::TARGETS;

/// Tries of each file with some octets changed.
const NEIGHBOURS: u64 = 4;
/// Larger ones are replayed as they are.
const NEIGHBOUR_BYTES_MAX: usize = 4_096;

/// A test for each target, so that they run side by side.
macro_rules! replay {
    ($($target:ident),*) => {
        $(#[test]
        fn $target() {
            replay(stringify!($target));
        })*

        #[test]
        fn every_target_is_replayed() {
            let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($target)),*]);
        }
    };
}

replay!(
    config,
    events,
    forward_reply,
    labels,
    login,
    parse,
    paths,
    recordio,
    resolv_conf,
    respond,
    state,
    static_records,
    tcp_frames,
    warm_start_file,
    zookeeper
);

fn replay(target: &str) {
    let run = TARGETS.iter().find(|(name, _)| *name == target);
    let (_, run) = run.expect("a target");
    let try_it = |octets: &[u8], what: &str| {
        let outcome = catch_unwind(AssertUnwindSafe(|| run(octets)));
        assert!(
            outcome.is_ok(),
            "{target}: {what}: {}",
            octets.escape_ascii()
        );
    };
    try_it(&[], "nothing");
    let files = files(target);
    assert!(files.len() > 1, "no seeds for {target}");
    for path in files {
        let octets = fs::read(&path).expect("a file");
        let shown = path.display().to_string();
        try_it(&octets, &shown);
        if octets.is_empty() || octets.len() > NEIGHBOUR_BYTES_MAX {
            continue;
        }
        for seed in 0..NEIGHBOURS {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut other = octets.clone();
            for _ in 0..=seed {
                let at = random.usize(..other.len());
                other[at] = random.u8(..);
            }
            try_it(&other, &format!("a neighbour of {shown}"));
        }
    }
}

/// Those of both folders, in a fixed order.
fn files(target: &str) -> Vec<PathBuf> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let folders = ["corpus", "regressions"].map(|folder| fuzz.join(folder).join(target));
    let entries = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).into_iter().flatten());
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}
