//! The configuration as `/v1/config` shows it: mesos-dns's keys, order and JSON types, with the two
//! of its fork. It must never show a secret.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Authentication, Config};

/// In place of a secret that is set.
pub const MASK: &str = "******";

impl Config {
    /// `Zk` without its password.
    pub fn zk_shown(&self) -> String {
        self.zk
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    /// One as a string, as in mesos-dns; several as a list, which only Rollcall has.
    fn listeners_shown(&self) -> Value {
        match self.listeners.as_slice() {
            [listener] => listener.to_string().into(),
            listeners => listeners.iter().map(ToString::to_string).collect(),
        }
    }

    /// `/v1/config`; `serial` is that of the published table, in `SOASerial`.
    pub fn upstream_json(&self, serial: u32) -> Value {
        let sources: Vec<&str> = self.ip_sources.iter().map(|source| source.name()).collect();
        json!({
            "RefreshSeconds": self.refresh_interval.as_secs(),
            "Port": self.port,
            "Timeout": self.forward_timeout.as_secs(),
            "StateTimeoutSeconds": self.state_timeout.as_secs(),
            "ZkDetectionTimeout": self.zk_detection_timeout.as_secs(),
            "HttpPort": self.http_port,
            "TTL": self.ttl_seconds,
            "SRVRecordDefaultWeight": self.srv_weight,
            "SOASerial": serial,
            "SOARefresh": self.soa.refresh_seconds,
            "SOARetry": self.soa.retry_seconds,
            "SOAExpire": self.soa.expire_seconds,
            "SOAMinttl": self.soa.minimum_seconds,
            "SOAMname": self.soa.mname,
            "SOARname": self.soa.rname,
            "Masters": self.spelled.masters,
            "ZoneResolvers": self.spelled.zone_resolvers,
            "Resolvers": self.spelled.resolvers,
            "IPSources": sources,
            "Zk": self.zk_shown(),
            "Domain": self.domain,
            "File": path_text(&self.file),
            "Listener": self.listeners_shown(),
            "HTTPListener": self.http_listener.to_string(),
            "RecurseOn": self.recurse_on,
            "DnsOn": self.dns_on,
            "ReverseDnsOn": self.reverse_dns_on,
            "HttpOn": self.http_on,
            "ExternalOn": self.external_on,
            "EnforceRFC952": self.enforce_rfc952,
            "SetTruncateBit": self.set_truncate_bit,
            "EnumerationOn": self.enumeration_on,
            "MesosHTTPSOn": self.mesos_https,
            "CACertFile": path_text(&self.ca_cert_file),
            "CertFile": path_text(&self.cert_file),
            "KeyFile": path_text(&self.key_file),
            // Empty stays empty: whether a secret is set is worth seeing.
            "MesosCredentials": {
                "Principal": self.credentials.principal,
                "Secret": if self.credentials.secret.is_set() { MASK } else { "" },
            },
            "IAMConfigFile": path_text(&self.iam_config_file),
            "ResolvSubnetFirst": self.resolv_subnet_first,
            "MesosAuthentication": self.authentication.name(),
        })
    }
}

impl Authentication {
    /// As `MesosAuthentication` spells it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "",
            Self::Basic { .. } => "basic",
            Self::Iam { .. } => "iam",
        }
    }
}

fn path_text(path: &Option<PathBuf>) -> String {
    match path {
        Some(path) => path.display().to_string(),
        None => String::new(),
    }
}
