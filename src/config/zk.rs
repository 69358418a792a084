//! `Zk`: where ZooKeeper is. In: `zk://[user:password@]host[:port],.../path`. Out: members of the
//! ensemble, a path and credentials. It must never show the password.

use std::fmt;
use std::net::IpAddr;

use super::values::{self, Wrong};

/// A ZooKeeper ensemble and the path where masters register.
#[derive(Clone, PartialEq, Eq)]
pub struct ZkUrl {
    /// At least one; in the order written, each once.
    pub members: Vec<ZkMember>,
    /// Begins with '/', does not end with one; no part of it is empty, `.` or `..`.
    pub path: String,
    pub credentials: Option<ZkCredentials>,
    /// As written, without the password.
    shown: String,
}

/// One member of the ensemble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZkMember {
    /// An address in canonical text, or a host name; without brackets.
    pub host: String,
    pub port: u16,
}

/// What ZooKeeper's scheme `digest` wants.
#[derive(Clone, PartialEq, Eq)]
pub struct ZkCredentials {
    pub user: String,
    pub password: String,
}

impl ZkUrl {
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let bad = |problem: &str| (problem.to_owned(), format!("right would be {FORM}"));
        let rest = text
            .strip_prefix(SCHEME)
            .ok_or_else(|| bad("it does not begin with zk://"))?;
        let start = rest.find('/').ok_or_else(|| bad("the path is missing"))?;
        let (authority, path) = rest.split_at(start);
        // Nothing is percent-decoded: Mesos takes the same text as it stands (zookeeper/url.hpp).
        let (credentials, hosts) = match authority.rsplit_once('@') {
            Some((credentials, hosts)) => (Some(read_credentials(credentials)), hosts),
            None => (None, authority),
        };
        let mut members = Vec::new();
        // mesos-dns lives with a comma too many, and asks a member that is listed twice as one.
        for text in hosts.split(',').filter(|text| !text.is_empty()) {
            let member = read_member(text).map_err(bad)?;
            if !members.contains(&member) {
                members.push(member);
            }
        }
        if members.is_empty() {
            return Err(bad("there is no host"));
        }
        Ok(Self {
            members,
            path: read_path(path).map_err(bad)?,
            credentials,
            shown: masked(text),
        })
    }
}

/// As written, with the password masked.
impl fmt::Display for ZkUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for ZkUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ZkUrl({:?})", self.shown)
    }
}

impl fmt::Debug for ZkCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = &self.user;
        write!(f, "ZkCredentials {{ user: {user:?}, password: {MASK} }}")
    }
}

/// `host:port`, with brackets around an IPv6 address.
impl fmt::Display for ZkMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// A text that should be a `Zk`, right or wrong, without what may be its password.
pub fn masked(text: &str) -> String {
    let start = text.find("://").map_or(0, |place| place + "://".len());
    let (scheme, rest) = text.split_at(start);
    // Of several '@' the last one counts, so that a password may hold some.
    let Some((credentials, hosts)) = rest.rsplit_once('@') else {
        return text.to_owned();
    };
    match credentials.split_once(':') {
        Some((user, _)) => format!("{scheme}{user}:{MASK}@{hosts}"),
        None => text.to_owned(),
    }
}

/// mesos-dns takes a user without a password too.
fn read_credentials(text: &str) -> ZkCredentials {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    ZkCredentials {
        user: user.to_owned(),
        password: password.to_owned(),
    }
}

fn read_member(text: &str) -> Result<ZkMember, &'static str> {
    let has_port = !text.ends_with(']') && text.contains(':');
    let (host, port) = match has_port {
        true => {
            let (host, port) = values::split_host_port(text)
                .ok_or("an IPv6 address has no brackets, or too few of them")?;
            let port = values::port_number(port).ok_or("a port is not 1 to 65535")?;
            (host, port)
        }
        false => {
            let bracketed = text
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'));
            (bracketed.unwrap_or(text), DEFAULT_PORT)
        }
    };
    if let Ok(address) = host.parse::<IpAddr>() {
        let host = address.to_canonical().to_string();
        return Ok(ZkMember { host, port });
    }
    if !values::is_host_name(host) {
        return Err("a host is neither an address nor a name");
    }
    let host = host.to_owned();
    Ok(ZkMember { host, port })
}

/// The path as ZooKeeper wants it. Mesos takes a '/' at the end away as well.
fn read_path(text: &str) -> Result<String, &'static str> {
    let path = text.trim_end_matches('/');
    if path.is_empty() {
        return Err("the path is missing");
    }
    let mut parts = path.split('/').skip(1);
    if parts.any(|part| part.is_empty() || part == "." || part == "..") {
        return Err("a part of the path is empty, '.' or '..'");
    }
    if path.chars().any(is_refused_in_paths) {
        return Err("the path has a character that ZooKeeper refuses");
    }
    Ok(path.to_owned())
}

/// ZooKeeper's PathUtils.validatePath.
fn is_refused_in_paths(letter: char) -> bool {
    matches!(letter, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{ffff}')
}

const SCHEME: &str = "zk://";
const FORM: &str = "zk://host1:2181,host2:2181/mesos";
const MASK: &str = super::shown::MASK;
/// ZooKeeper's own.
const DEFAULT_PORT: u16 = 2181;

#[cfg(test)]
mod tests {
    use super::*;

    fn member(host: &str, port: u16) -> ZkMember {
        let host = host.to_owned();
        ZkMember { host, port }
    }

    #[test]
    fn url_gives_members_path_and_credentials() {
        let url = ZkUrl::parse("zk://u:p:w@a.test,10.0.0.1:1,[::1],[0::2]:3/mesos/prod").unwrap();
        let members = [
            member("a.test", 2181),
            member("10.0.0.1", 1),
            member("::1", 2181),
            member("::2", 3),
        ];
        assert_eq!(url.members, members);
        assert_eq!(url.path, "/mesos/prod");
        let credentials = url.credentials.unwrap();
        assert_eq!((&*credentials.user, &*credentials.password), ("u", "p:w"));
        let shown = members.map(|member| member.to_string()).join(",");
        assert_eq!(shown, "a.test:2181,10.0.0.1:1,[::1]:2181,[::2]:3");
    }

    #[test]
    fn what_mesos_and_mesos_dns_take_is_taken() {
        for (text, count, path) in [
            ("zk://a:2181/mesos", 1, "/mesos"),
            ("zk://a/m/", 1, "/m"),
            ("zk://a,,b/m", 2, "/m"),
            ("zk://a:1,a:1,/m", 1, "/m"),
            ("zk://[::ffff:10.0.0.1]:1,10.0.0.1:1/m", 1, "/m"),
            ("zk://u@a/m", 1, "/m"),
            ("zk://u:p@ss@a/m", 1, "/m"),
            ("zk://u:%41@a/%41", 1, "/%41"),
            ("zk://my_host/m", 1, "/m"),
        ] {
            let url = ZkUrl::parse(text).expect(text);
            assert_eq!((url.members.len(), &*url.path), (count, path), "{text}");
        }
        let password = |text: &str| ZkUrl::parse(text).unwrap().credentials.unwrap().password;
        assert_eq!(password("zk://u:p@ss@a/m"), "p@ss");
        assert_eq!(password("zk://u:%41@a/m"), "%41");
        assert_eq!(password("zk://u@a/m"), "");
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for text in [
            "",
            "not-a-url",
            "zk://",
            "zk:///m",
            "zk://,/m",
            "zk://a:1",
            "zk://a:1/",
            "zk://a:1//",
            "zk://a:0/m",
            "zk://a:/m",
            "zk://a:70000/m",
            "zk://::1/m",
            "zk://[::1/m",
            "zk://[]/m",
            "zk://10.0.0.999/m",
            "zk://a, b/m",
            "zk://a//m",
            "zk://a/m/../n",
            "zk://a/m\u{7}",
            "file:///etc/zk",
            "10.0.0.1:5050",
        ] {
            assert!(ZkUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn password_is_never_shown() {
        for (text, shown) in [
            ("zk://u:p@a:1/m", "zk://u:******@a:1/m"),
            ("zk://u:p@ss@a/m/", "zk://u:******@a/m/"),
            ("zk://u:p@a", "zk://u:******@a"),
            ("zk:/u:p@a/m", "zk:******@a/m"),
            ("u:p@a", "u:******@a"),
            ("[\"zk://u:p@a/m\"]", "[\"zk://u:******@a/m\"]"),
            ("zk://u@a/m", "zk://u@a/m"),
            ("zk://a:1/m", "zk://a:1/m"),
        ] {
            assert_eq!(masked(text), shown);
        }
        let url = ZkUrl::parse("zk://u:s3cret@a:1/m").unwrap();
        assert_eq!(url.to_string(), "zk://u:******@a:1/m");
        let texts = format!("{url:?} {:?} {url}", url.credentials);
        assert!(!texts.contains("s3cret"), "{texts}");
    }
}
