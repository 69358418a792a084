//! Names outside the domain: who may ask for them, and whom they are asked of. In: a checked Config and
//! what is found on this host (/etc/resolv.conf, the interfaces), which a thread looks at again. Out: the
//! settings that the answering threads follow, and a line that says what is in force.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tracing::{info, warn};

use super::DaemonError;
use super::translate::{forward_settings, respond_settings};
use crate::config::{AllowedClients, Config};
use crate::dns::subnet::Subnet;
use crate::forward::{self, resolv_conf};
use crate::limits::{INTERFACES_CHECK, RESOLV_CONF_CHECK};
use crate::serve::respond;
use crate::sys::interfaces;

/// What of this host counts. Empty where the configuration asks for none of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Host {
    /// Addresses of its interfaces, each with the bits of its subnet.
    networks: Vec<(IpAddr, u8)>,
    /// The text of /etc/resolv.conf, or why there is none.
    resolv_conf: Option<Result<String, String>>,
}

/// What is to be in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub respond: respond::Settings,
    pub forward: forward::Settings,
    /// One line for those who operate it.
    pub line: String,
    /// Why names outside cannot be asked of anybody, and what would help.
    pub warning: Option<String>,
}

/// Keeps the settings in step with the host.
pub struct Outside {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    respond: respond::SharedSettings,
    forward: Arc<forward::Common>,
    followed: Mutex<Followed>,
    /// Told of each change of `followed`.
    changed: Condvar,
}

struct Followed {
    config: Config,
    host: Host,
    plan: Plan,
    is_stopping: bool,
}

impl Host {
    /// As it is now, as far as a configuration has use for it.
    pub fn look(config: &Config) -> Self {
        let resolv_conf =
            reads_resolv_conf(config).then(|| read_resolv_conf(Path::new(resolv_conf::PATH)));
        let has_use = resolv_conf.is_some() || names_interfaces(config);
        let networks = has_use.then(networks).unwrap_or_default();
        Self {
            networks,
            resolv_conf,
        }
    }
}

fn forwards(config: &Config) -> bool {
    config.dns_on && config.external_on
}

fn reads_resolv_conf(config: &Config) -> bool {
    forwards(config) && config.resolvers.is_none()
}

fn names_interfaces(config: &Config) -> bool {
    forwards(config) && config.allow_recursion.contains(&AllowedClients::Interfaces)
}

fn read_resolv_conf(path: &Path) -> Result<String, String> {
    resolv_conf::read(path).map_err(|error| error.to_string())
}

fn networks() -> Vec<(IpAddr, u8)> {
    interfaces::local_networks().unwrap_or_else(|error| {
        warn!(
            "cannot read this host's addresses: {error}; AllowRecursion goes without its interfaces"
        );
        Vec::new()
    })
}

impl Plan {
    pub fn new(config: &Config, host: &Host) -> Result<Self, DaemonError> {
        let allowed = allowed(config, host);
        let own: Vec<IpAddr> = host.networks.iter().map(|(address, _)| *address).collect();
        let (from_file, warning) = match &host.resolv_conf {
            None => (Vec::new(), None),
            Some(Ok(text)) => {
                let found = resolv_conf::nameservers(text, &own, interfaces::index_of);
                let why = found.is_empty().then_some("it names no other host");
                (found, why)
            }
            Some(Err(why)) => (Vec::new(), Some(why.as_str())),
        };
        let warning = warning.map(|why| {
            format!(
                "names outside are SERVFAIL, because Resolvers is empty and {} is of no use: {why}; name \
                 resolvers that are not this host in Resolvers or there",
                resolv_conf::PATH
            )
        });
        let resolvers = config.resolvers.as_deref().unwrap_or(&from_file);
        Ok(Self {
            line: line(config, &allowed, resolvers),
            forward: forward_settings(config, resolvers)?,
            respond: respond_settings(config, &allowed)?,
            warning,
        })
    }

    /// Says what is in force, as far as it was not said of the plan before.
    fn log(&self, before: Option<&Self>) {
        if before.is_none_or(|before| before.line != self.line) {
            info!("{}", self.line);
        }
        if let Some(warning) = &self.warning
            && before.is_none_or(|before| before.warning != self.warning)
        {
            warn!("{warning}");
        }
    }
}

/// The blocks of those who may ask, without such as lie in others of them.
fn allowed(config: &Config, host: &Host) -> Vec<Subnet> {
    let interfaces = || {
        let networks = host.networks.iter();
        networks.map(|&(address, bits)| Subnet::new(address, bits))
    };
    let mut all: Vec<Subnet> = Vec::new();
    for clients in config.allow_recursion.iter().filter(|_| forwards(config)) {
        match clients {
            AllowedClients::Block(block) => all.push(*block),
            AllowedClients::Interfaces => all.extend(interfaces()),
        }
    }
    let mut kept: Vec<Subnet> = Vec::new();
    for (place, block) in all.iter().enumerate() {
        let wider = |other: &Subnet| other != block && other.holds_block(block);
        let is_repeated = all.iter().take(place).any(|other| other == block);
        if !is_repeated && !all.iter().any(wider) {
            kept.push(*block);
        }
    }
    kept
}

/// Who may ask for names outside, and whom they are asked of.
fn line(config: &Config, allowed: &[Subnet], resolvers: &[SocketAddr]) -> String {
    if !config.external_on {
        return "names outside the domain are REFUSED, because ExternalOn is false".to_owned();
    }
    let mut line = String::from("names outside the domain are asked of ");
    match resolvers {
        [] => line.push_str("nobody"),
        _ => line.push_str(&joined(resolvers)),
    }
    for (zone, resolvers) in &config.zone_resolvers {
        _ = write!(line, ", those of {zone} of {}", joined(resolvers));
    }
    match allowed {
        [] => line.push_str("; nobody may ask, because AllowRecursion is empty"),
        _ => _ = write!(line, "; clients of {} may ask", joined(allowed)),
    }
    if allowed.iter().any(Subnet::is_whole_family) {
        line.push_str(": it is open to the world");
    }
    line
}

fn joined(items: &[impl ToString]) -> String {
    let texts: Vec<_> = items.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

impl Outside {
    /// What is in force at first. `host` is what the plan was made from.
    pub fn new(config: Config, host: Host, plan: Plan) -> Self {
        let shared = Arc::new(Shared {
            respond: Arc::new(ArcSwap::from_pointee(plan.respond.clone())),
            forward: Arc::new(forward::Common::new(plan.forward.clone())),
            followed: Mutex::new(Followed {
                config,
                host,
                plan,
                is_stopping: false,
            }),
            changed: Condvar::new(),
        });
        Self {
            shared,
            thread: None,
        }
    }

    /// Has the thread look at the host from now on.
    pub fn watch(&mut self) -> std::io::Result<()> {
        let its_own = Arc::clone(&self.shared);
        let thread = thread::Builder::new()
            .name("outside".into())
            .spawn(move || its_own.follow())?;
        self.thread = Some(thread);
        Ok(())
    }

    pub fn respond_settings(&self) -> &respond::SharedSettings {
        &self.shared.respond
    }

    pub fn forward(&self) -> &Arc<forward::Common> {
        &self.shared.forward
    }

    /// Puts another configuration in force.
    pub fn configure(&self, config: Config, host: Host, plan: Plan) {
        let mut followed = self.shared.followed();
        self.shared.store(&plan);
        followed.config = config;
        followed.host = host;
        followed.plan = plan;
        self.shared.changed.notify_one();
    }

    /// Says what is in force, where DNS is answered at all.
    pub fn log(&self) {
        let followed = self.shared.followed();
        if followed.config.dns_on {
            followed.plan.log(None);
        }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.shared.followed().is_stopping = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // It cannot panic but by a mistake of ours, and there is nothing to lose by then.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// What a thread that panicked left is whole: each change is one assignment after the other.
    fn followed(&self) -> MutexGuard<'_, Followed> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self, plan: &Plan) {
        self.respond.store(Arc::new(plan.respond.clone()));
        self.forward.settings.store(Arc::new(plan.forward.clone()));
    }

    fn follow(&self) {
        let mut followed = self.followed();
        let mut interfaces_seen = Instant::now();
        while !followed.is_stopping {
            let pause = pause(&followed.config);
            followed = match pause {
                Some(pause) => {
                    let waited = self.changed.wait_timeout(followed, pause);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.changed.wait(followed);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
            if followed.is_stopping || pause.is_none() {
                continue;
            }
            let mut host = followed.host.clone();
            if reads_resolv_conf(&followed.config) {
                host.resolv_conf = Some(read_resolv_conf(Path::new(resolv_conf::PATH)));
            }
            if interfaces_seen.elapsed() >= INTERFACES_CHECK {
                interfaces_seen = Instant::now();
                host.networks = networks();
            }
            self.take(&mut followed, host);
        }
    }

    /// Takes what was found on the host, if that changes anything.
    fn take(&self, followed: &mut Followed, host: Host) {
        if host == followed.host {
            return;
        }
        followed.host = host;
        // The configuration was good for a plan before.
        let Ok(plan) = Plan::new(&followed.config, &followed.host) else {
            return;
        };
        if plan != followed.plan {
            self.store(&plan);
            plan.log(Some(&followed.plan));
            followed.plan = plan;
        }
    }
}

/// How long until the host is looked at again; none: a configuration has no use for it.
fn pause(config: &Config) -> Option<Duration> {
    match (reads_resolv_conf(config), names_interfaces(config)) {
        (true, _) => Some(RESOLV_CONF_CHECK),
        (false, true) => Some(INTERFACES_CHECK),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::dns::subnet::Blocks;

    fn config(members: &str) -> Config {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("rollcall-outside-{}-{number}.json", std::process::id());
        let path = std::env::temp_dir().join(name);
        let text = format!(r#"{{"masters":["127.0.0.1:5050"]{members}}}"#);
        std::fs::write(&path, text).expect("a file");
        let loaded = Config::load(Some(&path), std::iter::empty());
        std::fs::remove_file(&path).expect("the file");
        loaded.expect(members).config
    }

    fn host(resolv_conf: &str) -> Host {
        Host {
            networks: vec![
                (Ipv4Addr::new(10, 0, 0, 9).into(), 24),
                (Ipv4Addr::new(203, 0, 113, 9).into(), 25),
                (Ipv4Addr::LOCALHOST.into(), 8),
            ],
            resolv_conf: Some(Ok(resolv_conf.to_owned())),
        }
    }

    fn plan(members: &str, resolv_conf: &str) -> Plan {
        Plan::new(&config(members), &host(resolv_conf)).expect(members)
    }

    /// As the plan of these members has them.
    fn allowed(members: &str) -> Vec<String> {
        let blocks = super::allowed(&config(members), &host(""));
        let respond = plan(members, "").respond;
        let forwarding = respond.forwarding.as_ref().expect("it forwards");
        assert_eq!(forwarding.allowed, Blocks::new(&blocks));
        blocks.iter().map(Subnet::to_string).collect()
    }

    #[test]
    fn private_blocks_and_those_of_the_interfaces_may_ask_unless_told_otherwise() {
        let all = allowed("");
        assert_eq!(all.len(), 10, "{all:?}");
        // Those of the two other interfaces lie in blocks of the default.
        assert_eq!(all.last().map(String::as_str), Some("203.0.113.0/25"));
        let told = r#","AllowRecursion":["192.0.2.0/24","192.0.2.0/25","192.0.2.7/24"]"#;
        assert_eq!(allowed(told), ["192.0.2.0/24"]);
        let nobody = r#","AllowRecursion":[]"#;
        assert!(allowed(nobody).is_empty());
        let nobody = plan(nobody, "");
        assert!(nobody.line.contains("nobody may ask"), "{}", nobody.line);
    }

    #[test]
    fn nothing_is_forwarded_without_external_on() {
        let plan = plan(r#","ExternalOn":false"#, "");
        assert_eq!(plan.respond.forwarding, None);
        assert!(plan.line.contains("REFUSED"), "{}", plan.line);
        assert!(plan.line.contains("ExternalOn"), "{}", plan.line);
    }

    #[test]
    fn line_says_whom_names_are_asked_of_and_whether_all_the_world_may() {
        let zones = r#","ZoneResolvers":{"corp":["10.0.0.3","10.0.0.4:54"]}"#;
        let line = plan(zones, "").line;
        for part in [
            "asked of 8.8.8.8:53, those of corp of 10.0.0.3:53, 10.0.0.4:54; ",
            "clients of 127.0.0.0/8, ::1/128, ",
        ] {
            assert!(line.contains(part), "{line}");
        }
        assert!(!line.contains("world"), "{line}");
        for block in ["0.0.0.0/0", "::/0"] {
            let line = plan(&format!(r#","AllowRecursion":["{block}"]"#), "").line;
            assert!(line.contains("open to the world"), "{line}");
        }
    }

    #[test]
    fn empty_resolvers_are_those_of_the_file_that_are_not_this_host() {
        let empty = r#","Resolvers":[]"#;
        let text = "nameserver 10.0.0.9\nnameserver 127.0.0.53\nnameserver 10.0.0.1\n";
        let found = plan(empty, text);
        assert_eq!(found.forward.routes.all(), [([10, 0, 0, 1], 53).into()]);
        assert_eq!(found.warning, None);
        let own = plan(empty, "nameserver 10.0.0.9\n");
        assert!(own.forward.routes.all().is_empty());
        for part in [resolv_conf::PATH, "no other host", "Resolvers"] {
            assert!(own.warning.as_ref().is_some_and(|text| text.contains(part)));
        }
        let unreadable = Host {
            resolv_conf: Some(Err("permission denied".to_owned())),
            ..host("")
        };
        let plan = Plan::new(&config(empty), &unreadable).expect("a plan");
        assert!(
            plan.warning
                .is_some_and(|text| text.contains("permission denied"))
        );
    }

    #[test]
    fn settings_of_forwarding_are_those_of_the_configuration() {
        let members = r#","Timeout":0,"CacheBytes":7,"CacheMinTTL":3,"CacheMaxTTL":4"#;
        let forward = plan(members, "").forward;
        assert_eq!(forward.timeout, Duration::from_secs(2));
        assert_eq!(forward.cache_bytes, 7);
        assert_eq!((forward.ttl_min_seconds, forward.ttl_max_seconds), (3, 4));
        assert_eq!(plan("", "").forward.timeout, Duration::from_secs(5));
    }

    #[test]
    fn what_changes_on_the_host_is_put_in_force() {
        let config = config(r#","Resolvers":[]"#);
        let (host, later) = (host("nameserver 10.0.0.1"), host("nameserver 10.0.0.2"));
        let plan = Plan::new(&config, &host).expect("a plan");
        let mut outside = Outside::new(config, host, plan);
        outside.watch().expect("a thread");
        let mut followed = outside.shared.followed();
        outside.shared.take(&mut followed, later);
        let routes = &outside.forward().settings.load().routes;
        assert_eq!(routes.all(), [([10, 0, 0, 2], 53).into()]);
    }

    #[test]
    fn host_is_looked_at_only_where_the_configuration_asks_for_it() {
        for (members, expected) in [
            ("", Some(INTERFACES_CHECK)),
            (r#","Resolvers":[]"#, Some(RESOLV_CONF_CHECK)),
            (r#","AllowRecursion":["10.0.0.0/8"]"#, None),
            (r#","ExternalOn":false,"Resolvers":[]"#, None),
            (r#","DnsOn":false,"Resolvers":[]"#, None),
        ] {
            let config = config(members);
            assert_eq!(pause(&config), expected, "{members}");
            let host = Host::look(&config);
            assert_eq!(host == Host::default(), expected.is_none(), "{members}");
        }
    }
}
