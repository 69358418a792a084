//! The names and records of one task, in the order in which mesos-dns lists them. In: a task with what
//! its framework and agent add. Out: calls of a `Sink`.

use std::net::IpAddr;

use super::build::{Data, Emitter, Sink, TaskNaming, Why};
use super::directory::Place;
use super::labels::{self, LabelRule};
use super::left_out::Reason;
use super::suffix::Suffix;
use crate::mesos::cluster::{AddressSource, DiscoveryPort, Task};

/// One task, with all that its names are made of.
pub(super) struct TaskNames<'a, 'w> {
    pub(super) emitter: &'a Emitter<'w>,
    pub(super) task: &'a Task,
    pub(super) first_suffix: usize,
    pub(super) agent_addresses: &'a [IpAddr],
    pub(super) address_source: Option<AddressSource>,
    pub(super) tail: &'a str,
    pub(super) hash: [u8; labels::INSTANCE_HASH_BYTES],
}

impl TaskNames<'_, '_> {
    fn at(&self, place: Place) -> &Suffix {
        self.emitter.directory().at(self.first_suffix, place)
    }

    fn place<S: Sink>(&self, sink: &mut S, left: &[u8], place: Place) -> Option<S::Name> {
        self.emitter.place(sink, left, self.at(place))
    }

    fn place_instance<S: Sink>(&self, sink: &mut S, left: &[u8], place: Place) -> Option<S::Name> {
        let suffix = self.at(place);
        match suffix.check(left) {
            Ok(()) => Some(sink.instance_name(left, suffix)),
            Err(reason) => {
                sink.left_out(reason, Some((left, suffix)));
                None
            }
        }
    }

    /// The names made from the mangled text, unless they are those made already.
    pub(super) fn mangled<S: Sink>(
        &self,
        text: &str,
        already: Option<&[u8]>,
        sink: &mut S,
        scratch: &mut Scratch,
    ) {
        scratch.name.clear();
        self.emitter
            .directory()
            .rule
            .append_label(text, &mut scratch.name);
        if scratch.name.is_empty() {
            sink.left_out(Reason::NothingLeft, None);
        } else if already != Some(&scratch.name[..]) {
            self.emit(text, true, sink, scratch);
        }
    }

    /// The names made from `scratch.name`, in the order in which mesos-dns lists their records.
    pub(super) fn emit<S: Sink>(
        &self,
        from: &str,
        mangled: bool,
        sink: &mut S,
        scratch: &mut Scratch,
    ) {
        let Scratch {
            name, canonical, ..
        } = scratch;
        let discovery = self.task.discovery.as_deref();
        sink.naming(TaskNaming {
            from,
            to: name,
            discovery: discovery.is_some(),
            mangled,
        });
        canonical.clear();
        canonical.extend_from_slice(name);
        canonical.push(b'-');
        canonical.extend_from_slice(&self.hash);
        canonical.push(b'-');
        canonical.extend_from_slice(self.tail.as_bytes());
        let canonical_is_askable = labels::is_askable(self.tail.as_bytes());
        let has_ports = !self.task.port_ranges.is_empty();
        let has_discovery_ports = discovery.is_some_and(|info| !info.ports.is_empty());

        let mut plain = None;
        if !canonical_is_askable {
            sink.left_out(Reason::NotAskable, Some((canonical, self.at(Place::Plain))));
        } else if self.address_source.is_some() || has_discovery_ports {
            plain = self.place_instance(sink, canonical, Place::Plain);
        }
        if let Some(source) = self.address_source {
            let short = self.place(sink, name, Place::Plain);
            let emitter = self.emitter;
            for address in emitter.addresses_from(source, self.task, self.agent_addresses) {
                let why = Why::TaskAddress(source);
                for owner in [short, plain].into_iter().flatten() {
                    sink.add(owner, Data::Address(address), why);
                }
                if let Some(target) = short {
                    let reverse = sink.reverse(address);
                    sink.add(reverse, Data::Ptr { target }, why);
                }
            }
        }

        let mut slave = None;
        let has_agent_addresses = !self.agent_addresses.is_empty();
        if canonical_is_askable && (has_agent_addresses || has_ports || has_discovery_ports) {
            slave = self.place_instance(sink, canonical, Place::Slave);
        }
        if has_agent_addresses {
            let short = self.place(sink, name, Place::Slave);
            for &address in self.agent_addresses {
                for owner in [short, slave].into_iter().flatten() {
                    sink.add(owner, Data::Address(address), Why::AgentAddress);
                }
            }
        }

        if let Some(target) = slave.filter(|_| has_ports) {
            self.resource_ports(target, sink, scratch);
        }
        for (index, port) in discovery
            .iter()
            .flat_map(|info| info.ports.iter())
            .enumerate()
        {
            self.discovery_port((index, port), [plain, slave], sink, scratch);
        }
    }

    /// Both protocols: a resource says nothing of them. The names outside of `.slave` are those of
    /// the DiscoveryInfo, where there is one.
    fn resource_ports<S: Sink>(&self, target: S::Name, sink: &mut S, scratch: &mut Scratch) {
        service(&mut scratch.owner, &scratch.name, b"", b"");
        let owner = &scratch.owner;
        let mut owners = [None; 4];
        owners[0] = self.place(sink, owner, Place::TcpSlave);
        owners[1] = self.place(sink, owner, Place::UdpSlave);
        if self.task.discovery.is_none() {
            owners[2] = self.place(sink, owner, Place::Tcp);
            owners[3] = self.place(sink, owner, Place::Udp);
        }
        for &(first, last) in &self.task.port_ranges {
            for port in first.max(1)..=last {
                for owner in owners.into_iter().flatten() {
                    sink.add(owner, Data::Srv { port, target }, Why::ResourcePort);
                }
            }
        }
    }

    fn discovery_port<S: Sink>(
        &self,
        (index, port): (usize, &DiscoveryPort),
        targets: [Option<S::Name>; 2],
        sink: &mut S,
        scratch: &mut Scratch,
    ) {
        let Scratch {
            name,
            owner: text,
            protocols,
            port_name,
            ..
        } = scratch;
        let rule = self.emitter.directory().rule;
        read_protocols(rule, &port.protocol, protocols);
        port_name.clear();
        rule.append_label(&port.name, port_name);
        for (is_slave, target) in [(false, targets[0]), (true, targets[1])] {
            let Some(target) = target.filter(|_| port.number > 0) else {
                continue;
            };
            let data = Data::Srv {
                port: port.number,
                target,
            };
            for (turn, port_name) in [&b""[..], port_name].into_iter().enumerate() {
                if turn > 0 && port_name.is_empty() {
                    continue;
                }
                for protocol in &*protocols {
                    let (place, protocol) = protocol.place(is_slave);
                    service(text, name, port_name, protocol);
                    if let Some(owner) = self.place(sink, text, place) {
                        sink.add(owner, data, Why::DiscoveryPort(index));
                    }
                }
            }
        }
    }
}

impl Protocol {
    /// Where names of this protocol stand, and the label that they have besides.
    fn place(&self, is_slave: bool) -> (Place, &[u8]) {
        match (self, is_slave) {
            (Self::Tcp, false) => (Place::Tcp, b""),
            (Self::Tcp, true) => (Place::TcpSlave, b""),
            (Self::Udp, false) => (Place::Udp, b""),
            (Self::Udp, true) => (Place::UdpSlave, b""),
            (Self::Other(label), false) => (Place::Plain, label),
            (Self::Other(label), true) => (Place::Slave, label),
        }
    }

    fn from_label(label: Vec<u8>) -> Self {
        match &label[..] {
            b"tcp" => Self::Tcp,
            b"udp" => Self::Udp,
            _ => Self::Other(label),
        }
    }
}

/// No protocol is both; `udp,tcp`, as Marathon writes it, is mesos-dns's `udptcp` and each of them.
fn read_protocols(rule: LabelRule, text: &str, protocols: &mut Vec<Protocol>) {
    protocols.clear();
    if text.eq_ignore_ascii_case("tcp") {
        return protocols.push(Protocol::Tcp);
    }
    let mut label = Vec::new();
    rule.append_label(text, &mut label);
    if label.is_empty() {
        protocols.extend([Protocol::Tcp, Protocol::Udp]);
        return;
    }
    protocols.push(Protocol::from_label(label));
    for part in text.split(',').filter(|_| text.contains(',')) {
        let mut label = Vec::new();
        rule.append_label(part, &mut label);
        if !label.is_empty() {
            protocols.push(Protocol::from_label(label));
        }
    }
}

/// `_PORT._NAME._PROTOCOL`, without the parts that are empty.
fn service(text: &mut Vec<u8>, name: &[u8], port_name: &[u8], protocol: &[u8]) {
    text.clear();
    if !port_name.is_empty() {
        text.push(b'_');
        text.extend_from_slice(port_name);
        text.push(b'.');
    }
    text.push(b'_');
    text.extend_from_slice(name);
    if !protocol.is_empty() {
        text.extend_from_slice(b"._");
        text.extend_from_slice(protocol);
    }
}

/// Buffers that are used from task to task.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) name: Vec<u8>,
    canonical: Vec<u8>,
    owner: Vec<u8>,
    protocols: Vec<Protocol>,
    port_name: Vec<u8>,
}

enum Protocol {
    Tcp,
    Udp,
    /// `._sctp`
    Other(Vec<u8>),
}
