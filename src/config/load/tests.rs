//! Tests of `load`.

use super::*;
use crate::limits;

#[test]
fn defaults_are_those_of_mesos_dns_and_of_limits() {
    let config = Config::default();
    assert_eq!(config.state_bytes_max, limits::STATE_BYTES_MAX_DEFAULT);
    assert_eq!(config.soa.mname, "ns1.mesos.");
    assert_eq!(config.soa.rname, "root.ns1.mesos.");
    assert_eq!(config.refresh_interval, Duration::from_secs(60));
    let sources = [IpSource::NetInfo, IpSource::Mesos, IpSource::Host];
    assert_eq!(config.ip_sources, sources);
    assert!(config.masters.is_empty());
}

#[test]
fn debug_text_of_a_configuration_has_no_secret() {
    let variables = [
        ("ROLLCALL_MASTERS", "127.0.0.1:5050"),
        ("ROLLCALL_MESOS_AUTHENTICATION", "basic"),
        ("ROLLCALL_MESOS_CREDENTIALS_SECRET", "s3cret"),
        ("ROLLCALL_ZK", "zk://user:s3cret@127.0.0.1/mesos"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let loaded = Config::load(None, variables.into_iter()).expect("good");
    assert!(!format!("{loaded:?}").contains("s3cret"));
}

/// Loads with these files to look for, in a directory of the test's own, and these variables.
fn load_first(files: &[PathBuf], variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let files: Vec<_> = files
        .iter()
        .map(|file| file.to_str().expect("UTF-8"))
        .collect();
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Config::load_of(None, &files, variables.iter().map(owned))
}

#[test]
fn first_file_that_there_is_is_read_and_no_other() {
    let directory = std::env::temp_dir().join(format!("rollcall-load-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let files = ["here", "package", "before"].map(|name| directory.join(name));
    let masters = [("ROLLCALL_MASTERS", "127.0.0.1:5050")];
    let error = load_first(&files, &[]).expect_err("no file and no variable");
    assert!(error.to_string().contains("here"), "{error}");
    assert_eq!(
        load_first(&files, &masters).expect("good").config.file,
        None
    );
    for (number, file) in files.iter().enumerate().rev() {
        let text = format!(r#"{{"Masters": ["127.0.0.1:5050"], "TTL": {number}}}"#);
        std::fs::write(file, text).expect("written");
        let config = load_first(&files, &[]).expect("good").config;
        assert_eq!(config.file.as_ref(), Some(file));
        assert_eq!(config.ttl_seconds, number as u32);
    }
    std::fs::write(&files[0], "{").expect("written");
    assert!(
        load_first(&files, &masters).is_err(),
        "a bad file is not passed over"
    );
    std::fs::remove_dir_all(directory).expect("removed");
}

#[test]
fn state_directory_of_the_service_manager_is_used_where_the_key_is_not_set() {
    let masters = ("ROLLCALL_MASTERS", "127.0.0.1:5050");
    let unit = ("STATE_DIRECTORY", "/var/lib/rollcall:/var/lib/other");
    let own = ("ROLLCALL_STATE_DIRECTORY", "/srv/rollcall");
    let directory = |variables: &[(&str, &str)]| {
        let loaded = load_first(&[], variables).expect("good");
        loaded.config.state_directory
    };
    assert_eq!(directory(&[masters]), None);
    assert_eq!(
        directory(&[masters, unit]),
        Some("/var/lib/rollcall".into())
    );
    assert_eq!(
        directory(&[masters, unit, own]),
        Some("/srv/rollcall".into())
    );
}
