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
