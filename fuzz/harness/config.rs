//! A configuration of file and environment. It is taken or refused with a message that names file or
//! variable; what is taken can be shown, without the secrets in it.

use std::path::PathBuf;
use std::sync::OnceLock;

use rollcall::config::keys::KEYS;
use rollcall::config::{Config, ConfigError, check};

use super::octets::Octets;

/// Stands where a password may.
const SECRET: &str = "Pa55-w0rd";

pub fn run(octets: &[u8]) {
    let mut octets = Octets(octets);
    let mut environment = Vec::new();
    for _ in 0..octets.u8() % 8 {
        let key = &KEYS[usize::from(octets.u8()) % KEYS.len()];
        let value = String::from_utf8_lossy(octets.piece()).into_owned();
        // Files of the machine are none of ours.
        if !value.contains('/') || value.contains("://") {
            environment.push((key.variable.to_owned(), value));
        }
    }
    let path = file();
    std::fs::write(path, octets.0).expect("a file of our own");
    let load = || Config::load(Some(path), environment.iter().cloned());
    match load() {
        Ok(loaded) => {
            assert_eq!(load().map(|it| it.config).as_ref(), Ok(&loaded.config));
            let shown = loaded.config.upstream_json(7).to_string();
            let report = check::report(&loaded, &[]);
            let debug = format!("{:?}", loaded.config.credentials);
            for text in [shown, report, debug] {
                assert!(
                    !text.contains(SECRET) || is_elsewhere(octets.0, &environment),
                    "{text}"
                );
            }
            assert_eq!(loaded.origins.len(), KEYS.len());
        }
        Err(error) => judge_error(&error, path),
    }
}

/// The word stands where no secret is looked for.
fn is_elsewhere(file: &[u8], environment: &[(String, String)]) -> bool {
    let in_file = String::from_utf8_lossy(file).matches(SECRET).count();
    let in_environment = environment
        .iter()
        .filter(|(_, value)| value.contains(SECRET))
        .count();
    in_file + in_environment > 1
        || !String::from_utf8_lossy(file).contains(&format!("\"Secret\": \"{SECRET}\""))
}

fn judge_error(error: &ConfigError, path: &std::path::Path) {
    let text = error.to_string();
    let names_file = text.contains(&path.display().to_string());
    let names_key = KEYS
        .iter()
        .any(|key| text.contains(key.name) || text.contains(key.variable));
    assert!(names_file || names_key, "{text}");
    assert!(text.len() < 100_000);
}

/// One for each process, in memory where the machine has such a place.
fn file() -> &'static PathBuf {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| folder().join(format!("rollcall-fuzz-config-{}", std::process::id())))
}

/// Where files of a moment are written.
pub fn folder() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() {
        memory
    } else {
        std::env::temp_dir()
    }
}
