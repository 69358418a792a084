//! The parts of a task that take rules to read: its addresses and its DiscoveryInfo. In: the fields
//! of the document. Out: what records need of them. What is wrong is named, and the rest is kept.

use std::net::IpAddr;

use super::cluster::{AddressSource, Discovery, DiscoveryPort, FaultDomain, NO_STATUS};
use super::few::Few;
use super::fields::{
    ContainerInfoFields, DiscoveryFields, DomainFields, LabelFields, Loose, NetworkFields,
    StatusFields,
};
use super::intern::Interner;
use super::skips::shorten;
use super::values::{name_text, note_fault, read_address};
use crate::limits::{DISCOVERY_PORTS_MAX, PORT_PROTOCOLS_MAX, TASK_ADDRESSES_MAX};

/// The state of tasks, and of statuses, that count.
pub const RUNNING: &str = "TASK_RUNNING";

/// What the status of a running task says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    /// The status's time; `NO_STATUS` for none.
    pub since: f64,
    pub addresses: Few<(AddressSource, IpAddr)>,
    /// `healthy` is false; a task without a health check has none.
    pub is_unhealthy: bool,
}

/// A status of a task, in the shapes of `/state` and of the v1 API.
pub trait Status {
    fn state(&self) -> &str;
    fn timestamp(&self) -> f64;
    fn labels(&self) -> &[LabelFields<'_>];
    fn networks(&self) -> &[NetworkFields<'_>];
    fn healthy(&self) -> &Loose<'_>;
}

impl Status for StatusFields<'_> {
    fn state(&self) -> &str {
        &self.state.0
    }

    fn timestamp(&self) -> f64 {
        self.timestamp.0
    }

    fn labels(&self) -> &[LabelFields<'_>] {
        &self.labels.0
    }

    fn networks(&self) -> &[NetworkFields<'_>] {
        &self.container.networks.0
    }

    fn healthy(&self) -> &Loose<'_> {
        &self.healthy
    }
}

/// What the running status with the greatest time says, the first of equal ones.
pub fn read_running(statuses: &[impl Status], faults: &mut Vec<Box<str>>) -> Running {
    let mut latest = None;
    let mut latest_timestamp = NO_STATUS;
    for status in statuses {
        if status.state() == RUNNING && status.timestamp() > latest_timestamp {
            latest_timestamp = status.timestamp();
            latest = Some(status);
        }
    }
    latest.map_or_else(
        || Running {
            since: NO_STATUS,
            addresses: Few::default(),
            is_unhealthy: false,
        },
        |status| running_of(status, faults),
    )
}

/// What one status says of the task that runs.
pub fn running_of(status: &impl Status, faults: &mut Vec<Box<str>>) -> Running {
    Running {
        since: status.timestamp(),
        addresses: addresses_of(status, faults),
        is_unhealthy: matches!(status.healthy(), Loose::Truth(false)),
    }
}

/// Whether Docker runs it in a network of the host's own, which nobody else reaches.
pub fn is_bridge(container: &ContainerInfoFields<'_>) -> bool {
    container.kind.text() == "DOCKER" && container.docker.0.network.text() == "BRIDGE"
}

/// Where an agent stands; `None` where it does not say both.
pub fn read_domain(fields: &DomainFields<'_>, names: &mut Interner) -> Option<FaultDomain> {
    let fault_domain = &fields.fault_domain.0;
    let (region, zone) = (&fault_domain.region.0.name, &fault_domain.zone.0.name);
    let is_known = !region.text().is_empty() && !zone.text().is_empty();
    is_known.then(|| FaultDomain {
        region: names.intern(region.text()).0,
        zone: names.intern(zone.text()).0,
    })
}

/// The addresses of one status, from all sources.
fn addresses_of(status: &impl Status, faults: &mut Vec<Box<str>>) -> Few<(AddressSource, IpAddr)> {
    let mut addresses = Vec::new();
    let mut is_full = false;
    let mut add = |source, text: &str| {
        if let Some(address) = read_address(text) {
            is_full |= addresses.len() >= TASK_ADDRESSES_MAX;
            if !is_full {
                addresses.push((source, address));
            }
        }
    };
    for network in status.networks() {
        if network.addresses.0.is_empty() {
            add(AddressSource::NetInfo, &network.address.0);
        }
        for fields in &network.addresses.0 {
            add(AddressSource::NetInfo, &fields.address.0);
        }
    }
    for (source, key) in LABEL_SOURCES {
        for label in status.labels().iter().filter(|label| label.key.0 == key) {
            add(source, &label.value.0);
        }
    }
    if is_full {
        let what = format!("it has more than {TASK_ADDRESSES_MAX} addresses");
        note_fault(faults, || what);
    }
    addresses.into()
}

const LABEL_SOURCES: [(AddressSource, &str); 2] = [
    (
        AddressSource::Mesos,
        "MesosContainerizer.NetworkSettings.IPAddress",
    ),
    (AddressSource::Docker, "Docker.NetworkSettings.IPAddress"),
];

/// Reads DiscoveryInfo; without a name it counts as none. Ports that are none go to `faults`.
pub fn read_discovery(
    fields: &DiscoveryFields<'_>,
    names: &mut Interner,
    faults: &mut Vec<Box<str>>,
) -> Option<Box<Discovery>> {
    if fields.name.0.is_empty() {
        return None;
    }
    let listed = &fields.ports.ports.0;
    if listed.len() > DISCOVERY_PORTS_MAX {
        note_fault(faults, || {
            format!("discovery ports: those behind the first {DISCOVERY_PORTS_MAX} are left out")
        });
    }
    let mut ports = Vec::with_capacity(listed.len().min(DISCOVERY_PORTS_MAX));
    for port in listed.iter().take(DISCOVERY_PORTS_MAX) {
        let number = match &port.number {
            Loose::Missing => Err("0".to_owned()),
            // 80.0 is 80 (as Go would not have it), 80.5 is no port.
            Loose::Number(number) if number.fract() == 0.0 && (1.0..=65535.0).contains(number) => {
                Ok(*number as u16)
            }
            Loose::Number(number) => Err(number.to_string()),
            Loose::Text(text) => Err(format!("{:?}", shorten(text))),
            Loose::Truth(_) | Loose::Other => Err("what it says".to_owned()),
        };
        match number {
            Ok(number) => ports.push(DiscoveryPort {
                number,
                name: names
                    .intern(name_text(&port.name.0, "name of a discovery port", faults))
                    .0,
                protocol: names.intern(protocols(&port.protocol.0, faults)).0,
            }),
            Err(number) => {
                let name = shorten(&port.name.0);
                note_fault(faults, || {
                    format!("discovery port {name:?}: {number} is not a number of 1 to 65535")
                });
            }
        }
    }
    Some(Box::new(Discovery {
        name: names
            .intern(name_text(&fields.name.0, "DiscoveryInfo name", faults))
            .0,
        ports: ports.into(),
    }))
}

/// A list of protocols, as much of it as is kept.
fn protocols<'a>(text: &'a str, faults: &mut Vec<Box<str>>) -> &'a str {
    let text = name_text(text, "protocol of a discovery port", faults);
    let Some((end, _)) = text.match_indices(',').nth(PORT_PROTOCOLS_MAX - 1) else {
        return text;
    };
    note_fault(faults, || {
        format!("discovery ports: one has more than {PORT_PROTOCOLS_MAX} protocols")
    });
    &text[..end]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::cluster::Task;
    use super::super::state::read_state;
    use super::*;
    use crate::limits::{NAME_TEXT_BYTES_MAX, TASK_FAULTS_MAX};

    /// A running task with these further fields, as it is read from a document.
    fn only_task(fields: &str) -> Arc<Task> {
        let text = format!(
            r#"{{"leader":"master@127.0.0.1:5050","slaves":[{{"id":"S0"}}],"frameworks":[{{"tasks":[
            {{"slave_id":"S0","state":"TASK_RUNNING",{fields}}}]}}]}}"#
        );
        let cluster = read_state(text.as_bytes(), u64::MAX).unwrap().cluster;
        assert_eq!(cluster.tasks.len(), 1, "{fields}: {:?}", cluster.skipped);
        cluster.tasks.iter().next().unwrap().clone()
    }

    #[test]
    fn latest_running_status_gives_the_addresses() {
        let status = |state: &str, timestamp: &str, address: &str| {
            format!(
                r#"{{"state":"{state}","timestamp":{timestamp},"container_status":{{"network_infos":[{{"ip_addresses":[{{"ip_address":"{address}"}}]}}]}}}}"#
            )
        };
        let first = |statuses: &[String]| {
            let task = only_task(&format!(r#""statuses":[{}]"#, statuses.join(",")));
            task.addresses
                .first()
                .map(|(_, address)| address.to_string())
        };
        let some = |address: &str| Some(address.to_owned());
        let (one, two) = (
            status("TASK_RUNNING", "1.5", "10.0.0.1"),
            status("TASK_RUNNING", "2", "10.0.0.2"),
        );
        assert_eq!(first(&[one.clone(), two.clone()]), some("10.0.0.2"));
        assert_eq!(first(&[two.clone(), one.clone()]), some("10.0.0.2"));
        let same = status("TASK_RUNNING", "1.5", "10.0.0.9");
        assert_eq!(first(&[one.clone(), same]), some("10.0.0.1"));
        let failed = status("TASK_FAILED", "9", "10.0.0.9");
        assert_eq!(first(&[failed, one]), some("10.0.0.1"));
        assert_eq!(first(&[status("TASK_RUNNING", "-1.0", "10.0.0.1")]), None);
        assert_eq!(
            first(&[status("TASK_RUNNING", "-0.5", "10.0.0.1")]),
            some("10.0.0.1")
        );
        assert_eq!(
            first(&[status("TASK_RUNNING", "null", "10.0.0.1")]),
            some("10.0.0.1")
        );
        assert_eq!(first(&[]), None);
    }

    #[test]
    fn addresses_come_from_all_sources_in_order() {
        let task = only_task(
            r#""statuses":[{"state":"TASK_RUNNING","timestamp":1,
            "labels":[{"key":"Docker.NetworkSettings.IPAddress","value":"172.17.0.2"},{"key":"x","value":"10.0.0.7"},
              {"key":"MesosContainerizer.NetworkSettings.IPAddress","value":"10.0.0.5"},{"key":"Docker.NetworkSettings.IPAddress","value":""}],
            "container_status":{"network_infos":[null,{"ip_address":"10.0.0.1"},{"ip_address":"10.0.0.8","ip_addresses":[{}]},
              {"ip_addresses":[{"ip_address":"fd22::1/64"},{"ip_address":"fd22::2"},{"ip_address":"10.0.0.2"}]}]}}]"#,
        );
        let found: Vec<_> = task
            .addresses
            .iter()
            .map(|(source, address)| (*source, address.to_string()))
            .collect();
        let wanted = [
            (AddressSource::NetInfo, "10.0.0.1"),
            (AddressSource::NetInfo, "fd22::2"),
            (AddressSource::NetInfo, "10.0.0.2"),
            (AddressSource::Mesos, "10.0.0.5"),
            (AddressSource::Docker, "172.17.0.2"),
        ];
        assert_eq!(
            found,
            wanted.map(|(source, address)| (source, address.to_owned()))
        );
    }

    #[test]
    fn a_task_gives_a_bounded_number_of_ports_protocols_and_addresses() {
        let list = |item: &str, count| vec![item; count].join(",");
        let fault = |task: &Task, part: &str| {
            let faults = task.faults.as_ref().expect("faults");
            assert!(faults.iter().any(|it| it.contains(part)), "{faults:?}");
        };
        let ports = |count| {
            let ports = list(r#"{"number":80}"#, count);
            only_task(&format!(
                r#""discovery":{{"name":"w","ports":{{"ports":[{ports}]}}}}"#
            ))
        };
        let count_of = |task: &Task| task.discovery.as_ref().map(|it| it.ports.len());
        assert_eq!(
            count_of(&ports(DISCOVERY_PORTS_MAX)),
            Some(DISCOVERY_PORTS_MAX)
        );
        assert!(ports(DISCOVERY_PORTS_MAX).faults.is_none());
        let many = ports(DISCOVERY_PORTS_MAX + 1);
        assert_eq!(count_of(&many), Some(DISCOVERY_PORTS_MAX));
        fault(&many, "discovery ports");

        let protocols = list("tcp", PORT_PROTOCOLS_MAX + 1);
        let many = only_task(&format!(
            r#""discovery":{{"name":"w","ports":{{"ports":[{{"number":1,"protocol":"{protocols}"}}]}}}}"#
        ));
        let kept = &many.discovery.as_ref().expect("discovery").ports[0].protocol;
        assert_eq!(kept.split(',').count(), PORT_PROTOCOLS_MAX);
        fault(&many, "protocols");

        let networks = list(r#"{"ip_address":"10.0.0.1"}"#, TASK_ADDRESSES_MAX + 1);
        let many = only_task(&format!(
            r#""statuses":[{{"state":"TASK_RUNNING","timestamp":1,
            "container_status":{{"network_infos":[{networks}]}}}}]"#
        ));
        assert_eq!(many.addresses.len(), TASK_ADDRESSES_MAX);
        fault(&many, "addresses");
    }

    #[test]
    fn texts_that_names_are_made_from_are_cut_between_characters() {
        let text = "é".repeat(NAME_TEXT_BYTES_MAX);
        let task = only_task(&format!(
            r#""name":"x{text}","discovery":{{"name":"{text}"}}"#
        ));
        assert_eq!(task.name.len(), NAME_TEXT_BYTES_MAX - 1);
        let discovery = task.discovery.as_ref().expect("discovery");
        assert_eq!(discovery.name.len(), NAME_TEXT_BYTES_MAX);
        let faults = task.faults.as_ref().expect("faults");
        assert!(faults.iter().any(|it| it.starts_with("task name")));
        assert!(faults.iter().any(|it| it.starts_with("DiscoveryInfo name")));
    }

    #[test]
    fn what_is_wrong_with_a_task_is_kept_in_a_few_sentences() {
        let ports = vec!["x"; 100_000].join(",");
        let task = only_task(&format!(r#""resources":{{"ports":"[{ports}]"}}"#));
        let faults = task.faults.as_ref().map(|faults| faults.len());
        assert_eq!(faults, Some(TASK_FAULTS_MAX));
    }

    #[test]
    fn health_is_that_of_the_latest_running_status_and_only_false_counts() {
        let is_unhealthy = |statuses: &str| {
            let task = only_task(&format!(r#""statuses":[{statuses}]"#));
            task.is_unhealthy
        };
        let status = |state: &str, timestamp: u8, healthy: &str| {
            format!(r#"{{"state":"{state}","timestamp":{timestamp}{healthy}}}"#)
        };
        let (yes, no) = (r#","healthy":true"#, r#","healthy":false"#);
        let run = |timestamp, healthy| status(RUNNING, timestamp, healthy);
        assert!(is_unhealthy(&run(1, no)));
        assert!(is_unhealthy(&[run(1, yes), run(2, no)].join(",")));
        assert!(!is_unhealthy(&[run(2, yes), run(1, no)].join(",")));
        assert!(!is_unhealthy(&[run(1, no), run(2, "")].join(",")));
        assert!(!is_unhealthy(&status("TASK_KILLING", 1, no)));
        for other in [yes, "", r#","healthy":null"#, r#","healthy":"false""#] {
            assert!(!is_unhealthy(&run(1, other)), "{other}");
        }
        assert!(!is_unhealthy(&run(1, r#","healthy":[0]"#)));
    }

    #[test]
    fn bridge_network_is_docker_s_and_no_odd_container_loses_the_task() {
        let is_bridge =
            |container: &str| only_task(&format!(r#""container":{container}"#)).is_bridge;
        assert!(is_bridge(
            r#"{"type":"DOCKER","docker":{"image":"a","network":"BRIDGE"}}"#
        ));
        for other in [
            r#"{"type":"DOCKER","docker":{"network":"HOST"}}"#,
            r#"{"type":"MESOS","docker":{"network":"BRIDGE"}}"#,
            r#"{"type":"DOCKER","docker":{"network":5}}"#,
            r#"{"type":"DOCKER","docker":["BRIDGE"]}"#,
            r#"{"type":{},"docker":true}"#,
            r#"{"type":"DOCKER"}"#,
            r#""BRIDGE""#,
            "[]",
            "5",
            "-5",
            "0.5",
            "null",
            "false",
        ] {
            assert!(!is_bridge(other), "{other}");
        }
    }

    #[test]
    fn real_documents_say_health_network_and_domain() {
        let root = env!("CARGO_MANIFEST_DIR");
        let file = format!("{root}/tests/recordings/13-many-tasks/state.body");
        let state = std::fs::read(file).unwrap();
        let cluster = read_state(&state[..], u64::MAX).unwrap().cluster;
        let named = |what: fn(&Task) -> bool| {
            let tasks = cluster.tasks.iter().filter(|task| what(task));
            let mut names: Vec<&str> = tasks.map(|task| &*task.name).collect();
            names.sort_unstable();
            names
        };
        let unhealthy = named(|task| task.is_unhealthy);
        assert!(unhealthy.contains(&"healthy-false"), "{unhealthy:?}");
        assert!(!unhealthy.contains(&"healthy-true"), "{unhealthy:?}");
        assert_eq!(named(|task| task.is_bridge), ["docker-bridge"]);
        for agent in cluster.agents.iter() {
            let domain = agent.domain.as_ref().unwrap();
            assert_eq!(&*domain.region, "eu-west");
            assert!(domain.zone.starts_with("eu-west-1"), "{domain:?}");
        }
    }

    #[test]
    fn discovery_ports_that_are_none_are_left_out_and_named() {
        let task = only_task(
            r#""discovery":{"name":"w","ports":{"ports":[{"number":80.0,"name":"http","protocol":"tcp"},{"number":8.0e1},
            {"number":"80","name":"text"},{"number":null},{"number":99999999999999999999},{"number":70000},{"number":-1},
            {"number":80.5},{"number":[80]},{"number":{}},{"number":true},null,{"number":65535}]}}"#,
        );
        let discovery = task.discovery.as_ref().unwrap();
        let numbers: Vec<u16> = discovery.ports.iter().map(|port| port.number).collect();
        assert_eq!(numbers, [80, 80, 65535]);
        assert_eq!(
            (&*discovery.ports[0].name, &*discovery.ports[0].protocol),
            ("http", "tcp")
        );
        let faults = task.faults.as_ref().unwrap();
        assert_eq!(faults.len(), TASK_FAULTS_MAX);
        assert!(
            faults[0].contains("\"text\": \"80\" is not a number of 1 to 65535"),
            "{}",
            faults[0]
        );
        assert!(
            only_task(r#""discovery":{"name":"","ports":null}"#)
                .discovery
                .is_none()
        );
        assert!(only_task(r#""discovery":null"#).faults.is_none());
    }
}
