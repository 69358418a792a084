//! Addresses of host names that stand where Mesos usually gives an address (a scheduler's or an
//! agent's pid, a framework's hostname). In: names. Out: what the system's resolver knows, in time.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};

use super::cluster::{Cluster, Endpoint};
use super::values::{ends_in_number, read_address};
use crate::limits::{HOST_ANSWER_MS, HOST_LOOKUP_THREADS, HOST_NAMES_MAX, NAME_BYTES_MAX};

/// What is known of host names at one moment. Immutable, shared by pointer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hosts {
    by_name: Arc<HashMap<Arc<str>, Arc<[IpAddr]>>>,
}

impl Hosts {
    /// The addresses of a host: itself where it is an address in text, else what its name has. An
    /// empty or unknown name has none.
    pub fn addresses(&self, host: &str) -> Arc<[IpAddr]> {
        match read_address(host) {
            Some(address) => [address].into(),
            None => self.by_name.get(host).cloned().unwrap_or_default(),
        }
    }

    /// Names that were looked up, with what they have.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[IpAddr])> {
        self.by_name.iter().map(|(name, found)| (&**name, &**found))
    }

    /// Whether two are one: cheap, and true only where nothing can differ.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.by_name, &other.by_name)
    }

    /// The same from a list, for tests and for whoever looks names up by other means.
    pub fn from_pairs<N: Into<Arc<str>>>(
        pairs: impl IntoIterator<Item = (N, Vec<IpAddr>)>,
    ) -> Self {
        let pairs = pairs.into_iter();
        let by_name = pairs.map(|(name, addresses)| (name.into(), addresses.into()));
        Self {
            by_name: Arc::new(by_name.collect()),
        }
    }
}

/// The names that a Cluster and its masters need looked up, sorted; addresses are not among them.
pub fn names_needed<'a>(
    cluster: &'a Cluster,
    masters: impl IntoIterator<Item = &'a Endpoint>,
) -> BTreeSet<Arc<str>> {
    let frameworks = cluster
        .frameworks
        .iter()
        .map(|framework| match &framework.pid {
            Some(pid) => &pid.host,
            None => &framework.hostname,
        });
    let agents = cluster.agents.iter().filter_map(|agent| agent.pid.as_ref());
    let endpoints = cluster.leader.iter().chain(agents).chain(masters);
    endpoints
        .map(|endpoint| &endpoint.host)
        .chain(frameworks)
        .filter(|host| is_name(host))
        .cloned()
        .collect()
}

/// Whether the system's resolver may be asked for it.
fn is_name(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= NAME_BYTES_MAX
        && !host.contains('\0')
        && read_address(host).is_none()
        && !ends_in_number(host)
}

/// All addresses that the system knows for a name, sorted, each once.
pub fn look_up(name: &str) -> Option<Arc<[IpAddr]>> {
    let found = (name, 0).to_socket_addrs().ok()?;
    let addresses: BTreeSet<IpAddr> = found.map(|found| found.ip().to_canonical()).collect();
    match addresses.is_empty() {
        true => None,
        false => Some(addresses.into_iter().collect()),
    }
}

type LookUp = fn(&str) -> Option<Arc<[IpAddr]>>;
/// What came of one look-up.
pub type HostAnswer = (Arc<str>, Option<Arc<[IpAddr]>>);

/// Looks names up on threads of its own: the system's resolver may take long and cannot be hurried.
/// Belongs to the refresh thread.
pub struct HostResolver {
    look_up: LookUp,
    /// Started with the first name; most clusters have none.
    threads: Option<(Sender<Arc<str>>, Receiver<HostAnswer>)>,
    known: HashMap<Arc<str>, Known>,
    /// Answers were noted that no call of `resolve` has given yet.
    has_news: bool,
}

/// What is known of one name.
struct Known {
    /// The last good answer.
    addresses: Option<Arc<[IpAddr]>>,
    answered: Option<Instant>,
    asked: bool,
}

impl Default for HostResolver {
    fn default() -> Self {
        Self::new(look_up)
    }
}

impl HostResolver {
    /// With another way to look names up than the system's.
    pub fn new(look_up: LookUp) -> Self {
        Self {
            look_up,
            threads: None,
            known: HashMap::new(),
            has_news: false,
        }
    }

    /// Answers that come between two calls of `resolve`, where any are due.
    pub fn late_answers(&self) -> Option<&Receiver<HostAnswer>> {
        self.threads.as_ref().map(|(_, answers)| answers)
    }

    /// Takes one of them.
    pub fn note_late(&mut self, answer: HostAnswer) {
        self.note(answer, Instant::now());
        self.has_news = true;
    }

    /// Whether the next `resolve` may give something else for the same names.
    pub fn has_news(&self) -> bool {
        self.has_news
    }

    /// Looks up those of `names` whose answer is old, and waits at most `wait_max` for it. What
    /// comes later counts at the next call; a name that fails keeps its last good answer. Of too
    /// many names the last in the alphabet are left out: the second value says how many.
    pub fn resolve(&mut self, names: &BTreeSet<Arc<str>>, wait_max: Duration) -> (Hosts, usize) {
        let now = Instant::now();
        let deadline = now + wait_max;
        let left_out = names.len().saturating_sub(HOST_NAMES_MAX);
        self.collect(now);
        self.has_news = false;
        self.known
            .retain(|name, known| known.asked || names.contains(name));
        let first = || names.iter().take(HOST_NAMES_MAX);
        for name in first() {
            self.ask(name, now);
        }
        let is_due = |name: &&Arc<str>| self.known.get(*name).is_some_and(|known| known.asked);
        let mut due_count = first().filter(is_due).count();
        while due_count > 0 {
            let Some((_, answers)) = &self.threads else {
                break;
            };
            let Ok(answer) = answers.recv_deadline(deadline) else {
                break;
            };
            // An answer to a name that nobody needs any more may come in between.
            due_count -= usize::from(names.contains(&answer.0));
            self.note(answer, Instant::now());
        }
        let by_name = first().filter_map(|name| {
            let addresses = self.known.get(name)?.addresses.clone()?;
            Some((name.clone(), addresses))
        });
        let by_name = Arc::new(by_name.collect());
        (Hosts { by_name }, left_out)
    }

    /// Takes the answers that came since the last call.
    fn collect(&mut self, now: Instant) {
        let late: Vec<HostAnswer> = match &self.threads {
            Some((_, answers)) => answers.try_iter().collect(),
            None => Vec::new(),
        };
        for answer in late {
            self.note(answer, now);
        }
    }

    fn note(&mut self, (name, addresses): HostAnswer, now: Instant) {
        if let Some(known) = self.known.get_mut(&name) {
            known.asked = false;
            known.answered = Some(now);
            if addresses.is_some() {
                known.addresses = addresses;
            }
        }
    }

    fn ask(&mut self, name: &Arc<str>, now: Instant) {
        let known = self.known.entry(name.clone()).or_insert(Known {
            addresses: None,
            answered: None,
            asked: false,
        });
        let fresh =
            |answered: Instant| now.duration_since(answered).as_millis() < HOST_ANSWER_MS.into();
        if known.asked || known.answered.is_some_and(fresh) {
            return;
        }
        let look_up = self.look_up;
        let (requests, _) = self.threads.get_or_insert_with(|| start_threads(look_up));
        // Full only while answers to as many names as are allowed are due; then next time.
        known.asked = requests.try_send(name.clone()).is_ok();
    }
}

/// The threads end when the resolver is dropped, each after the look-up that it is in.
fn start_threads(look_up: LookUp) -> (Sender<Arc<str>>, Receiver<HostAnswer>) {
    let (requests, to_look_up) = bounded::<Arc<str>>(HOST_NAMES_MAX);
    // Holds no more than was asked for, which the first channel bounds.
    let (answered, answers) = unbounded();
    for index in 0..HOST_LOOKUP_THREADS {
        let (to_look_up, answered) = (to_look_up.clone(), answered.clone());
        let body = move || {
            for name in to_look_up {
                let addresses = look_up(&name);
                if answered.send((name, addresses)).is_err() {
                    return;
                }
            }
        };
        let builder = std::thread::Builder::new().name(format!("lookup-{index}"));
        if let Err(error) = builder.spawn(body) {
            tracing::warn!("cannot start a thread to look up host names: {error}");
        }
    }
    (requests, answers)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::cluster::{Agent, Framework};
    use super::*;

    const WAIT: Duration = Duration::from_secs(20);

    fn set(names: &[&str]) -> BTreeSet<Arc<str>> {
        names.iter().map(|&name| name.into()).collect()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn literal_addresses_need_no_look_up() {
        let hosts = Hosts::default();
        assert_eq!(*hosts.addresses("10.0.0.1"), [address("10.0.0.1")]);
        assert_eq!(*hosts.addresses("::ffff:10.0.0.1"), [address("10.0.0.1")]);
        assert!(hosts.addresses("").is_empty());
        assert!(hosts.addresses("unknown.test").is_empty());
    }

    #[test]
    fn only_names_are_looked_up_and_hostnames_only_without_pid() {
        let endpoint = |host: &str| Endpoint {
            host: host.into(),
            port: Some(1),
        };
        let framework = |pid: Option<&str>, hostname: &str| {
            Arc::new(Framework {
                id: "".into(),
                name: "".into(),
                pid: pid.map(endpoint),
                hostname: hostname.into(),
            })
        };
        let agent = Arc::new(Agent {
            id: "".into(),
            hostname: "not.this".into(),
            pid: Some(endpoint("agent.test")),
            domain: None,
        });
        let cluster = Cluster {
            leader: Some(endpoint("leader.test")),
            frameworks: [
                framework(Some("pid.test"), "nor.this"),
                framework(None, "http.test"),
                framework(None, ""),
                framework(Some("10.0.0.1"), "x.test"),
            ]
            .into(),
            agents: [agent].into(),
            ..Cluster::default()
        };
        let masters = [
            endpoint("127.0.0.1"),
            endpoint("127.0.0.01"),
            endpoint("m.test"),
        ];
        let wanted = set(&[
            "agent.test",
            "http.test",
            "leader.test",
            "m.test",
            "pid.test",
        ]);
        assert_eq!(names_needed(&cluster, &masters), wanted);
    }

    #[test]
    fn localhost_is_found_by_the_system() {
        let (hosts, left_out) = HostResolver::default().resolve(&set(&["localhost"]), WAIT);
        assert!(hosts.addresses("localhost").contains(&address("127.0.0.1")));
        assert_eq!(left_out, 0);
    }

    #[test]
    fn answers_are_kept_and_failures_are_not_asked_at_once_again() {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        let mut resolver = HostResolver::new(|name| {
            CALLS.fetch_add(1, Ordering::SeqCst);
            (name == "good.test").then(|| [IpAddr::from([10, 0, 0, 1])].into())
        });
        for _ in 0..3 {
            let (hosts, _) = resolver.resolve(&set(&["good.test", "bad.test"]), WAIT);
            assert_eq!(*hosts.addresses("good.test"), [address("10.0.0.1")]);
            assert!(hosts.addresses("bad.test").is_empty());
        }
        assert_eq!(CALLS.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn failed_look_up_keeps_the_last_good_answer() {
        let mut resolver = HostResolver::new(|_| None);
        let name: Arc<str> = "once.test".into();
        let known = Known {
            addresses: Some([address("10.0.0.9")].into()),
            answered: None,
            asked: false,
        };
        resolver.known.insert(name.clone(), known);
        let (hosts, _) = resolver.resolve(&BTreeSet::from([name]), WAIT);
        assert_eq!(*hosts.addresses("once.test"), [address("10.0.0.9")]);
    }

    #[test]
    fn late_answer_counts_at_a_later_call() {
        static GATE: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let closed = GATE.lock().unwrap();
        let mut resolver = HostResolver::new(|_| {
            drop(GATE.lock());
            Some([IpAddr::from([10, 0, 0, 2])].into())
        });
        let names = set(&["late.test"]);
        let (hosts, _) = resolver.resolve(&names, Duration::from_millis(1));
        assert!(hosts.addresses("late.test").is_empty());
        drop(closed);
        let (hosts, _) = resolver.resolve(&names, WAIT);
        assert_eq!(*hosts.addresses("late.test"), [address("10.0.0.2")]);
    }

    #[test]
    fn names_are_bounded() {
        let many = (0..HOST_NAMES_MAX + 5).map(|index| format!("n{index}.test").into());
        let mut resolver = HostResolver::new(|_| None);
        let (_, left_out) = resolver.resolve(&many.collect(), WAIT);
        assert_eq!(left_out, 5);
        assert_eq!(resolver.known.len(), HOST_NAMES_MAX);
    }
}
