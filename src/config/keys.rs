//! The table of configuration keys: what `file` and the environment may set, with variable, type,
//! default and meaning. The README's table, the sample file and `check` are held against it.

use crate::limits::{RATE_LIMIT_MAX, RATE_SLIP_MAX};

/// One configuration key.
#[derive(Debug)]
pub struct Key {
    /// As `/v1/config` spells it; a field of an object is written `Object.Field`.
    pub name: &'static str,
    pub variable: &'static str,
    pub kind: Kind,
    /// In the environment's syntax; read by the same code as a variable.
    pub default: &'static str,
    pub since: Since,
    pub meaning: &'static str,
}

/// What a key's value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Integer {
        min: i64,
        max: i64,
    },
    Boolean,
    Text,
    /// Text that is shown as `******`.
    Secret,
    List,
    /// One text or a list of them; in the environment a list has commas.
    Texts,
    /// Zone to list; in the environment `zone=ip,ip;zone2=ip`.
    Zones,
}

/// Who brought a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    MesosDns,
    /// The fork of mesos-dns, 0.10.
    Fork,
    Rollcall,
}

const fn key(
    name: &'static str,
    variable: &'static str,
    kind: Kind,
    default: &'static str,
    since: Since,
    meaning: &'static str,
) -> Key {
    Key {
        name,
        variable,
        kind,
        default,
        since,
        meaning,
    }
}

use Kind::{Boolean, List, Secret, Text, Texts, Zones};
use Since::{Fork, MesosDns, Rollcall};

/// RFC 2181, 8: a TTL has 31 bits. The seconds of our own timers share the bound.
pub const SECONDS_MAX: i64 = 0x7fff_ffff;
const PORT: Kind = Kind::Integer {
    min: 0,
    max: 65_535,
};
const SECONDS: Kind = Kind::Integer {
    min: 0,
    max: SECONDS_MAX,
};
const SECONDS_ABOVE_ZERO: Kind = Kind::Integer {
    min: 1,
    max: SECONDS_MAX,
};
/// RFC 1035, 3.3.13: the SOA's timers are 32 bits.
const SOA_SECONDS: Kind = Kind::Integer {
    min: 0,
    max: 0xffff_ffff,
};

/// Every key, in the order in which they are documented and shown.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("Masters", "ROLLCALL_MASTERS", List, "", MesosDns, "Mesos masters, each `host:port`; beside Zk the fallback while ZooKeeper tells of none"),
    key("Zk", "ROLLCALL_ZK", Text, "", MesosDns, "where masters register: `zk://[user:password@]host[:port],.../path`; the password is shown as `******`"),
    key("ZkDetectionTimeout", "ROLLCALL_ZK_DETECTION_TIMEOUT", SECONDS, "30", MesosDns, "seconds without a leader in ZooKeeper after which `/readyz` turns 503; 0: never"),
    key("ExitOnZkTimeout", "ROLLCALL_EXIT_ON_ZK_TIMEOUT", Boolean, "false", Rollcall, "exit when ZkDetectionTimeout passes without a leader, as mesos-dns does"),
    key("RefreshSeconds", "ROLLCALL_REFRESH_SECONDS", SECONDS_ABOVE_ZERO, "60", MesosDns, "seconds from the end of one fetch of the state to the next"),
    key("Source", "ROLLCALL_SOURCE", Text, "auto", Rollcall, "where changes come from: `stream` (the master's events), `poll` (its state every RefreshSeconds), or `auto`: the stream where the master has one"),
    key("CheckFactor", "ROLLCALL_CHECK_FACTOR", Kind::Integer { min: 1, max: 100_000 }, "5", Rollcall, "with `auto`, the stream is checked against the state every so many RefreshSeconds"),
    key("PublishIntervalMs", "ROLLCALL_PUBLISH_INTERVAL_MS", Kind::Integer { min: 0, max: 1000 }, "5", Rollcall, "changes within so many milliseconds are published together"),
    key("HoldPercent", "ROLLCALL_HOLD_PERCENT", Kind::Integer { min: 1, max: 100 }, "90", Rollcall, "after a failover, names of agents that are not back are held until so many percent are"),
    key("HoldSeconds", "ROLLCALL_HOLD_SECONDS", SECONDS, "600", Rollcall, "the longest time that they are held; 0 holds nothing"),
    key("ReadyAgeSeconds", "ROLLCALL_READY_AGE_SECONDS", SECONDS, "600", Rollcall, "`/readyz` says no when the records are older; 0: whatever their age"),
    key("StateDirectory", "ROLLCALL_STATE_DIRECTORY", Text, "", Rollcall, "directory where the last good records are kept, to be served after a restart until a master speaks; empty: nowhere"),
    key("StateTimeoutSeconds", "ROLLCALL_STATE_TIMEOUT_SECONDS", SECONDS_ABOVE_ZERO, "300", MesosDns, "bound on one fetch of the state, seconds"),
    key("StateBytesMax", "ROLLCALL_STATE_BYTES_MAX", Kind::Integer { min: 1, max: i64::MAX }, "1073741824", Rollcall, "a longer state document is refused, octets"),
    key("MesosHTTPSOn", "ROLLCALL_MESOS_HTTPS_ON", Boolean, "false", MesosDns, "speak https with the masters"),
    key("CACertFile", "ROLLCALL_CA_CERT_FILE", Text, "", MesosDns, "PEM file of the authorities that sign the masters' certificates"),
    key("CertFile", "ROLLCALL_CERT_FILE", Text, "", MesosDns, "PEM file of the client certificate; needs KeyFile"),
    key("KeyFile", "ROLLCALL_KEY_FILE", Text, "", MesosDns, "PEM file of the client certificate's key; needs CertFile"),
    key("MesosAuthentication", "ROLLCALL_MESOS_AUTHENTICATION", Text, "", MesosDns, "empty, `basic` or `iam`"),
    key("MesosCredentials.Principal", "ROLLCALL_MESOS_CREDENTIALS_PRINCIPAL", Text, "", MesosDns, "user name for `basic`"),
    key("MesosCredentials.Secret", "ROLLCALL_MESOS_CREDENTIALS_SECRET", Secret, "", MesosDns, "password for `basic`; shown as `******`"),
    key("MesosCredentials.SecretFile", "ROLLCALL_MESOS_CREDENTIALS_SECRET_FILE", Text, "", Rollcall, "file with that password, in place of Secret; read anew when it changes"),
    key("IAMConfigFile", "ROLLCALL_IAM_CONFIG_FILE", Text, "", MesosDns, "JSON file of the service account for `iam`: uid, private_key, login_endpoint"),
    key("Domain", "ROLLCALL_DOMAIN", Text, "mesos", MesosDns, "the domain that is answered"),
    key("TTL", "ROLLCALL_TTL", SECONDS, "60", MesosDns, "TTL of every record, seconds"),
    key("StaticRecords", "ROLLCALL_STATIC_RECORDS", Text, "", Rollcall, "file of further records, in zone-file syntax; read anew when it changes"),
    key("DnsOn", "ROLLCALL_DNS_ON", Boolean, "true", MesosDns, "answer DNS; DnsOn or HttpOn must be on"),
    key("Port", "ROLLCALL_PORT", PORT, "53", MesosDns, "DNS port, UDP and TCP; 0 takes a free one"),
    key("Listener", "ROLLCALL_LISTENER", Texts, "0.0.0.0", MesosDns, "IP address of the DNS server, or a list of them, IPv4 and IPv6; also those of SOAMname"),
    key("HttpOn", "ROLLCALL_HTTP_ON", Boolean, "true", MesosDns, "serve the HTTP API"),
    key("HttpPort", "ROLLCALL_HTTP_PORT", PORT, "8123", MesosDns, "HTTP port; 0 takes a free one"),
    key("HTTPListener", "ROLLCALL_HTTP_LISTENER", Text, "0.0.0.0", MesosDns, "IP address of the HTTP API"),
    key("HttpToken", "ROLLCALL_HTTP_TOKEN", Secret, "", Rollcall, "what requests that change something, or reveal more than DNS does, have to show as bearer token; empty: nothing; shown as `******`"),
    key("HttpTokenFile", "ROLLCALL_HTTP_TOKEN_FILE", Text, "", Rollcall, "file with that token, in place of HttpToken; read anew when it changes"),
    key("CorsOrigins", "ROLLCALL_CORS_ORIGINS", List, "", Rollcall, "whose pages may read the HTTP API in a browser: each `scheme://host[:port]`, or `*`; empty: nobody's"),
    key("SOAMname", "ROLLCALL_SOA_MNAME", Text, "ns1.DOMAIN", MesosDns, "primary name server in SOA and NS"),
    key("SOARname", "ROLLCALL_SOA_RNAME", Text, "root.ns1.mesos", MesosDns, "mailbox in the SOA; `@` is written as `.`"),
    key("SOARefresh", "ROLLCALL_SOA_REFRESH", SOA_SECONDS, "60", MesosDns, "refresh of the SOA, seconds"),
    key("SOARetry", "ROLLCALL_SOA_RETRY", SOA_SECONDS, "600", MesosDns, "retry of the SOA, seconds"),
    key("SOAExpire", "ROLLCALL_SOA_EXPIRE", SOA_SECONDS, "86400", MesosDns, "expire of the SOA, seconds"),
    key("SOAMinttl", "ROLLCALL_SOA_MINTTL", SOA_SECONDS, "60", MesosDns, "minimum of the SOA: bound on the TTL of negative answers, seconds"),
    key("RecurseOn", "ROLLCALL_RECURSE_ON", Boolean, "true", MesosDns, "set RA in our own answers"),
    key("ExternalOn", "ROLLCALL_EXTERNAL_ON", Boolean, "true", MesosDns, "forward names outside the domain; false: they are REFUSED"),
    key("Resolvers", "ROLLCALL_RESOLVERS", List, "8.8.8.8", MesosDns, "whom names outside are asked of, each `IP` or `IP:port`; empty list: the nameservers of /etc/resolv.conf that are not this host"),
    key("ZoneResolvers", "ROLLCALL_ZONE_RESOLVERS", Zones, "", MesosDns, "resolvers of single zones, the longest zone that holds a name; in the environment `zone=IP,IP;zone2=IP`"),
    key("Timeout", "ROLLCALL_TIMEOUT", SECONDS, "5", MesosDns, "within so many seconds a forwarded query is answered, be it SERVFAIL; 0: 2 seconds, as in mesos-dns"),
    key("AllowRecursion", "ROLLCALL_ALLOW_RECURSION", List, "127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,169.254.0.0/16,fe80::/10,fc00::/7,interfaces", Rollcall, "who may ask for names outside: blocks of addresses, and `interfaces`: the subnets of this host's own"),
    key("ReverseZones", "ROLLCALL_REVERSE_ZONES", List, "", Rollcall, "blocks of addresses whose reverse names are all ours: one that no task has is NXDOMAIN at once"),
    key("CacheBytes", "ROLLCALL_CACHE_BYTES", Kind::Integer { min: 0, max: 1 << 40 }, "33554432", Rollcall, "answers of others that are remembered, octets in all; 0: none"),
    key("CacheMinTTL", "ROLLCALL_CACHE_MIN_TTL", SECONDS, "0", Rollcall, "they are remembered for so many seconds at least, whatever their TTL"),
    key("CacheMaxTTL", "ROLLCALL_CACHE_MAX_TTL", SECONDS, "86400", Rollcall, "and at most"),
    key("IPSources", "ROLLCALL_IP_SOURCES", List, "netinfo,mesos,host", MesosDns, "where task addresses come from, best first: netinfo, mesos, docker, host"),
    key("SkipNetInfoForBridge", "ROLLCALL_SKIP_NETINFO_FOR_BRIDGE", Boolean, "false", Rollcall, "pass over `netinfo` for tasks in Docker's BRIDGE network, whose addresses only their own host reaches"),
    key("IpAllow", "ROLLCALL_IP_ALLOW", List, "", Rollcall, "blocks of addresses that tasks may have; one outside of all is passed over, and the next of IPSources asked; empty: all"),
    key("IpDeny", "ROLLCALL_IP_DENY", List, "", Rollcall, "blocks of addresses that tasks may not have: they are passed over likewise"),
    key("SRVRecordDefaultWeight", "ROLLCALL_SRV_RECORD_DEFAULT_WEIGHT", Kind::Integer { min: 0, max: 65_535 }, "1", MesosDns, "weight of SRV records"),
    key("EnforceRFC952", "ROLLCALL_ENFORCE_RFC952", Boolean, "false", MesosDns, "labels of at most 24 characters that do not begin with a digit"),
    key("SetTruncateBit", "ROLLCALL_SET_TRUNCATE_BIT", Boolean, "true", MesosDns, "set TC when answers were left out"),
    key("EnumerationOn", "ROLLCALL_ENUMERATION_ON", Boolean, "true", MesosDns, "serve /v1/enumerate, /v1/axfr and /v1/names"),
    key("StatusPage", "ROLLCALL_STATUS_PAGE", Boolean, "true", Rollcall, "serve the status page at `/`, and /v1/live for it"),
    key("ReverseDnsOn", "ROLLCALL_REVERSE_DNS_ON", Boolean, "false", Fork, "answer PTR for the addresses of tasks"),
    key("ResolvSubnetFirst", "ROLLCALL_RESOLV_SUBNET_FIRST", Boolean, "false", Fork, "addresses in the client's subnet first"),
    key("ClientSubnetFrom", "ROLLCALL_CLIENT_SUBNET_FROM", List, "127.0.0.0/8,::1/128", Rollcall, "who may state another subnet than its own for ResolvSubnetFirst (RFC 7871)"),
    key("PreferLocal", "ROLLCALL_PREFER_LOCAL", Boolean, "false", Rollcall, "addresses of tasks on this host first, then of those in its zone, then in its region"),
    key("Unhealthy", "ROLLCALL_UNHEALTHY", Text, "serve", Rollcall, "records of tasks whose latest running status says `healthy: false`: `serve` them like others, `last`, or `omit` them unless all of an RRset are"),
    key("RateLimit", "ROLLCALL_RATE_LIMIT", Kind::Integer { min: 0, max: RATE_LIMIT_MAX as i64 }, "50", Rollcall, "answers a second over UDP that say the same to one network (IPv4 /24, IPv6 /56), by each thread; 0: no limit"),
    key("RateLimitSlip", "ROLLCALL_RATE_LIMIT_SLIP", Kind::Integer { min: 0, max: RATE_SLIP_MAX as i64 }, "2", Rollcall, "of those above RateLimit, each so many-th is answered shortly, with TC or BADCOOKIE; 0: none"),
    key("RateLimitExempt", "ROLLCALL_RATE_LIMIT_EXEMPT", List, "127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,169.254.0.0/16,fe80::/10,fc00::/7", Rollcall, "blocks of addresses that are never limited, and have ANY answered in full"),
    key("CookieSecret", "ROLLCALL_COOKIE_SECRET", Secret, "", Rollcall, "32 hexadecimal digits that DNS cookies are made with, for instances behind one address; empty: random, by each process; shown as `******`"),
    key("ChaosOn", "ROLLCALL_CHAOS_ON", Boolean, "false", Rollcall, "answer version.bind and hostname.bind in class CHAOS"),
    key("Engine", "ROLLCALL_ENGINE", Text, "auto", Rollcall, "how datagrams are moved: `epoll`, `uring` (io_uring where the kernel allows it, else epoll), or `auto`: what measures better, which is epoll"),
    key("Workers", "ROLLCALL_WORKERS", Kind::Integer { min: 0, max: 1024 }, "0", Rollcall, "answering threads; 0: one for each core of the affinity mask, fewer under a cgroup's quota"),
    key("LogFormat", "ROLLCALL_LOG_FORMAT", Text, "auto", Rollcall, "lines of the log: `plain`, `json`, `journald` (fields of the journal), or `auto`: the journal's where it has stderr, else plain"),
    key("QueryLog", "ROLLCALL_QUERY_LOG", Kind::Integer { min: 0, max: 0xffff_ffff }, "0", Rollcall, "log one answer in so many; 1: each, 0: none"),
    key("Sandbox", "ROLLCALL_SANDBOX", Text, "on", Rollcall, "what the process may still do once its sockets are open: `on`, what it needs; `log`, the kernel logs other system calls instead of refusing them; `off`, all that its user may"),
];

/// Keys that files in the wild carry and that mesos-dns ignores, or sets itself.
pub const OBSOLETE: &[&str] = &["email", "ns", "SOASerial", "File"];

/// The object in the file whose fields are keys of their own here.
pub const CREDENTIALS: &str = "MesosCredentials";

/// Index in `KEYS` of a key in any case.
pub fn position(name: &str) -> Option<usize> {
    let folded = fold(name);
    KEYS.iter().position(|key| fold(key.name) == folded)
}

/// Go's rule for equal keys: Unicode simple folding, of which only these two letters beyond ASCII
/// meet ASCII ones: the Kelvin sign is a k, the long s an s.
pub fn fold(name: &str) -> String {
    name.chars()
        .map(|letter| match letter {
            '\u{212a}' => 'k',
            '\u{17f}' => 's',
            _ => letter.to_ascii_lowercase(),
        })
        .collect()
}

/// The known key that is nearest to an unknown one by edit distance.
pub fn nearest_name(unknown: &str) -> &'static str {
    nearest(unknown, KEYS.iter().map(|key| key.name))
}

/// The known variable that is nearest to an unknown one by edit distance.
pub fn nearest_variable(unknown: &str) -> &'static str {
    nearest(unknown, KEYS.iter().map(|key| key.variable))
}

fn nearest(unknown: &str, known: impl Iterator<Item = &'static str>) -> &'static str {
    let unknown: Vec<char> = fold(unknown).chars().take(UNKNOWN_CHARS_MAX).collect();
    known
        .min_by_key(|name| edit_distance(&unknown, &fold(name)))
        .unwrap_or_default()
}

/// Enough of an unknown key to find its neighbour; the distance costs its length times the table.
const UNKNOWN_CHARS_MAX: usize = 128;

/// Levenshtein's distance, one row at a time.
fn edit_distance(left: &[char], right: &str) -> usize {
    let mut row: Vec<usize> = (0..=left.len()).collect();
    for (line, letter) in right.chars().enumerate() {
        let mut diagonal = line;
        row[0] = line + 1;
        for (column, other) in left.iter().enumerate() {
            let replaced = diagonal + usize::from(*other != letter);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[left.len()]
}

impl Kind {
    /// The type in words, for messages and tables.
    pub fn wanted(self) -> String {
        match self {
            Self::Integer { min, max: i64::MAX } => format!("a whole number from {min} up"),
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Boolean => "true or false".to_owned(),
            Self::Text | Self::Secret => "a string".to_owned(),
            Self::List => "a list of strings".to_owned(),
            Self::Texts => "a string or a list of strings".to_owned(),
            Self::Zones => "an object of zones, each with a list of resolvers".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_match_in_any_case_as_go_folds_them() {
        for spelled in ["TTL", "ttl", "Ttl"] {
            assert_eq!(position(spelled).map(|i| KEYS[i].name), Some("TTL"));
        }
        let kelvin = position("Z\u{212a}").map(|i| KEYS[i].name);
        assert_eq!(kelvin, Some("Zk"));
        let long_s = position("ma\u{17f}ter\u{17f}").map(|i| KEYS[i].name);
        assert_eq!(long_s, Some("Masters"));
        assert_eq!(position("T T L"), None);
    }

    #[test]
    fn no_two_keys_share_a_name_or_a_variable() {
        for (index, key) in KEYS.iter().enumerate() {
            assert_eq!(position(key.name), Some(index), "{}", key.name);
            let same = KEYS.iter().filter(|other| other.variable == key.variable);
            assert_eq!(same.count(), 1, "{}", key.variable);
            assert!(key.variable.starts_with("ROLLCALL_"));
        }
    }

    #[test]
    fn nearest_key_is_the_one_that_was_meant() {
        assert_eq!(nearest_name("RefreshSecond"), "RefreshSeconds");
        assert_eq!(nearest_name("resolver"), "Resolvers");
        assert_eq!(nearest_name("httpLisener"), "HTTPListener");
        assert_eq!(
            nearest_variable("ROLLCALL_REFRESH_SECS"),
            "ROLLCALL_REFRESH_SECONDS"
        );
        assert_eq!(nearest_name(""), "Zk");
    }
}
