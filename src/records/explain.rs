//! Why a name has its records, or why it has none: a World and a name in, an Explanation out. It
//! reads the whole World for each question, so it is for people, never for the answering of DNS.

mod kept;

use std::net::IpAddr;

use super::World;
use super::build::{Data, Emitter, Sink, StaticSink, TaskNaming, Why, framework_addresses};
use super::changes::in_document_order;
use super::claims::{Claims, claims_to};
pub use super::explanation::{Candidate, ExplainedRecord, Explanation, SkippedObject};
use super::labels::LabelRule;
use super::left_out::Reason;
use super::likeness::{Likeness, edit_distance};
use super::rank::Rank;
use super::sources;
use super::suffix::Suffix;
use super::task_names::Scratch;
use super::told_statics::{self, Cover};
use crate::dns::name::text_from_wire;
use crate::limits::{EXPLAIN_CANDIDATES_MAX, EXPLAIN_RECORDS_MAX, EXPLAIN_SOURCES_MAX};
use crate::mesos::cluster::{Agent, Framework, Task};

/// Explains a name given as text, with or without its final dot, in any case.
pub fn explain(world: &World, name: &str) -> Explanation {
    let name = format!(
        "{}.",
        name.trim().trim_end_matches('.').to_ascii_lowercase()
    );
    let emitter = Emitter::new(world);
    let mut watcher = Watcher::new(&emitter, name);
    watcher.say_what_the_name_is();
    emitter.masters(&mut watcher);
    emitter.listener(&mut watcher);
    emitter.statics(&mut watcher);
    for framework in world.cluster.frameworks.iter() {
        watcher.begin(Source::Framework(framework));
        emitter.framework(framework, &mut watcher);
        watcher.end_framework(framework);
    }
    for agent in world.cluster.agents.iter() {
        watcher.begin(Source::Agent(agent));
        emitter.agent(agent, &mut watcher);
    }
    let likeness = Likeness::new(&watcher.explanation.name, &world.naming.domain);
    let mut scratch = Scratch::default();
    for task in in_document_order(world.cluster.tasks.iter()) {
        watcher.begin(Source::Task(task));
        emitter.task(task, &mut watcher, &mut scratch);
        watcher.end_task(task, &likeness);
    }
    watcher.finish(&likeness)
}

/// Looks at all names and records as they go by.
struct Watcher<'w> {
    emitter: &'w Emitter<'w>,
    world: &'w World,
    explanation: Explanation,
    source: Source<'w>,
    /// What the names of the present task are made from.
    naming: String,
    /// Texts of the names of the present source.
    names: String,
    spans: Vec<Span>,
    left_out: Vec<String>,
    /// Of the present source's records.
    rank: Rank,
    /// To the name.
    claims: Claims,
    /// The best of each of the explanation's records.
    ranks: Vec<Rank>,
    /// Types that have a record which is not left out for the rank of its task.
    types: Vec<&'static str>,
    /// The present source gave the name a record.
    is_met: bool,
    /// Distance and name, the nearest first.
    near: Vec<(usize, String)>,
    /// The wildcard that covers the name, where that does not exist.
    cover: Option<Cover>,
}

#[derive(Clone, Copy)]
enum Source<'w> {
    Configuration,
    Framework(&'w Framework),
    Agent(&'w Agent),
    Task(&'w Task),
}

#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

impl<'w> Watcher<'w> {
    fn new(emitter: &'w Emitter<'w>, name: String) -> Self {
        let claims = claims_to(emitter, &[&name]);
        Self {
            emitter,
            world: emitter.world(),
            cover: Cover::of(&emitter.world().naming.statics, &name),
            explanation: Explanation {
                name,
                ..Explanation::default()
            },
            source: Source::Configuration,
            naming: String::new(),
            names: String::new(),
            spans: Vec::new(),
            left_out: Vec::new(),
            rank: Rank::PLAIN,
            claims: claims.first().copied().unwrap_or_default(),
            ranks: Vec::new(),
            types: Vec::new(),
            is_met: false,
            near: Vec::new(),
        }
    }

    fn say_what_the_name_is(&mut self) {
        let apex = format!("{}.", self.world.naming.domain);
        let Explanation {
            name,
            exists,
            notes,
            ..
        } = &mut self.explanation;
        if *name == apex {
            *exists = true;
            notes.push("it is the domain itself, with SOA and NS".to_owned());
        } else if !name.ends_with(&format!(".{apex}")) && !name.ends_with(".arpa.") {
            notes.push(format!("it is outside of the domain {apex}"));
        }
    }

    fn begin(&mut self, source: Source<'w>) {
        self.source = source;
        self.naming.clear();
        self.names.clear();
        self.spans.clear();
        self.left_out.clear();
        self.is_met = false;
    }

    fn text(&self, span: Span) -> &str {
        &self.names[span.start..span.end]
    }

    fn note_name(&mut self, start: usize) -> Span {
        let span = Span {
            start,
            end: self.names.len(),
        };
        self.spans.push(span);
        let (text, name) = (&self.names[start..], &*self.explanation.name);
        if let Some(cover) = &mut self.cover {
            cover.meet(text);
        }
        let is_below = text
            .strip_suffix(name)
            .is_some_and(|rest| rest.ends_with('.'));
        if is_below {
            self.explanation.exists = true;
        }
        span
    }

    /// Keeps the name among the nearest, if it is near.
    fn note_near(&mut self, span: Span) {
        let (text, name) = (&self.names[span.start..span.end], &*self.explanation.name);
        let worst = match self.near.last() {
            Some((worst, _)) if self.near.len() >= NEAREST_MAX => *worst,
            _ => NEAR_DISTANCE_MAX + 1,
        };
        if text == name || text.len().abs_diff(name.len()) >= worst {
            return;
        }
        let distance = edit_distance(text.as_bytes(), name.as_bytes(), worst);
        if distance < worst && self.near.iter().all(|(_, known)| known != text) {
            let text = text.to_owned();
            let place = self.near.partition_point(|(known, _)| *known <= distance);
            self.near.insert(place, (distance, text));
            self.near.truncate(NEAREST_MAX);
        }
    }

    fn end_framework(&mut self, framework: &Framework) {
        let rule = LabelRule::from_flag(self.world.naming.rfc952);
        let labels = rule.domain_fragment(&framework.name);
        let would_be = format!("{labels}.{}.", self.world.naming.domain);
        if self.is_met || would_be != self.explanation.name {
            return;
        }
        let why = if framework_addresses(self.world, framework).is_empty() {
            let host = framework
                .pid
                .as_ref()
                .map_or(&framework.hostname, |pid| &pid.host);
            format!("no address is known of its scheduler's host {host:?}")
        } else {
            self.left_out.join("; ")
        };
        self.explanation.notes.push(format!(
            "framework {:?} would have this name, but {why}",
            framework.name
        ));
    }

    fn end_task(&mut self, task: &Task, likeness: &Likeness) {
        let emitter = self.emitter;
        let is_full = self.explanation.candidates.len() >= EXPLAIN_CANDIDATES_MAX;
        if self.is_met || is_full || !likeness.is_like_task(task, self.world) {
            return;
        }
        let mut why = std::mem::take(&mut self.left_out);
        if let Some(agent) = emitter.agent_addresses(&task.agent_id) {
            if emitter.address_source(task, agent).is_none() {
                let naming = &self.world.naming;
                why.push(format!(
                    "it has no address in any of IPSources ({}){}",
                    sources::words(&naming.ip_sources),
                    sources::passed_over(&naming.rules, &naming.ip_sources, task, agent)
                ));
            }
            if agent.is_empty() {
                why.push(format!(
                    "no address is known of its agent {:?}",
                    task.agent_id
                ));
            }
        } else {
            why.push(format!("its agent {:?} is not registered", task.agent_id));
        }
        let faults = task.faults.iter().flat_map(|faults| faults.iter());
        why.extend(faults.map(|fault| fault.to_string()));
        why.dedup();
        let names = self.spans.iter().map(|&span| self.text(span).to_owned());
        let names = names.take(NAMES_SHOWN_MAX).collect();
        self.explanation.candidates.push(Candidate {
            framework: self.framework_name(task),
            task_id: task.id.to_string(),
            task_name: task.name.to_string(),
            discovery_name: task.discovery.as_ref().map(|info| info.name.to_string()),
            why,
            names,
        });
    }

    fn framework_name(&self, task: &Task) -> String {
        let mut frameworks = self.world.cluster.frameworks.iter();
        let found = frameworks.find(|framework| framework.id == task.framework_id);
        found.map_or_else(|| "?".to_owned(), |framework| framework.name.to_string())
    }

    fn finish(mut self, likeness: &Likeness) -> Explanation {
        self.part_omitted();
        self.say_crowded();
        let cluster = &self.world.cluster;
        let waiting = cluster.waiting.iter().map(|task| task.why_waiting());
        let like = cluster
            .skipped
            .iter()
            .cloned()
            .chain(waiting)
            .filter(|skipped| likeness.is_like(&skipped.name) || likeness.is_like(&skipped.id));
        self.explanation.skipped = like.take(EXPLAIN_CANDIDATES_MAX).map(Into::into).collect();
        let statics = &self.world.naming.statics;
        told_statics::sort_out(statics, &mut self.explanation);
        self.explanation.exists |= self.explanation.record_count > 0;
        if let Some(cover) = self.cover.filter(|_| !self.explanation.exists) {
            cover.tell(statics, &mut self.explanation);
        }
        if !self.explanation.exists {
            self.explanation.nearest = self.near.into_iter().map(|(_, name)| name).collect();
        }
        self.explanation
    }

    /// The sentence that says where a record comes from.
    fn sentence(&self, why: Why) -> String {
        match (self.source, why) {
            (_, Why::Leader) => "the leading master, as the state names it".to_owned(),
            (_, Why::Master(index)) => match self.world.naming.masters.get(index) {
                Some(master) => format!("Masters[{index}] {:?} of the configuration", master.host),
                None => format!("Masters[{index}] of the configuration"),
            },
            (_, Why::Static(number)) => told_statics::place(&self.world.naming.statics, number),
            (_, Why::Listener) => "SOAMname, with the addresses of the listener".to_owned(),
            (Source::Framework(framework), _) => {
                let (from, host) = match &framework.pid {
                    Some(pid) => ("pid", &pid.host),
                    None => ("hostname", &framework.hostname),
                };
                format!("framework {:?}, {from} at {host:?}", framework.name)
            }
            (Source::Agent(agent), _) => {
                let host = agent.pid.as_ref().map_or("?", |pid| &pid.host);
                format!("agent {:?}, pid at {host:?}", agent.id)
            }
            (Source::Task(task), why) => {
                let what = self.task_sentence(task, why);
                format!(
                    "task {:?} of framework {:?} on agent {:?}: {}; {what}",
                    task.id,
                    self.framework_name(task),
                    task.agent_id,
                    self.naming
                )
            }
            (Source::Configuration, _) => "the configuration".to_owned(),
        }
    }

    fn task_sentence(&self, task: &Task, why: Why) -> String {
        match why {
            Why::TaskAddress(source) => {
                let agent = self.emitter.agent_addresses(&task.agent_id);
                sources::told(&self.world.naming, source, task, agent.unwrap_or_default())
            }
            Why::AgentAddress => "address of its agent".to_owned(),
            Why::DiscoveryPort(index) => {
                let mut ports = task.discovery.iter().flat_map(|info| info.ports.iter());
                ports.nth(index).map_or_else(String::new, |port| {
                    format!(
                        "DiscoveryInfo port {} named {:?}, protocol {:?}",
                        port.number, port.name, port.protocol
                    )
                })
            }
            _ => {
                let ranges = task.port_ranges.iter();
                let ranges: Vec<String> = ranges
                    .map(|(first, last)| format!("{first}-{last}"))
                    .collect();
                format!("resources.ports [{}]", ranges.join(", "))
            }
        }
    }
}

impl Sink for Watcher<'_> {
    type Name = Span;

    fn name(&mut self, left: &[u8], suffix: &Suffix) -> Span {
        let start = self.names.len();
        suffix.append_text(left, &mut self.names);
        self.note_name(start)
    }

    fn reverse(&mut self, address: IpAddr) -> Span {
        let start = self.names.len();
        match address {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                self.names
                    .push_str(&format!("{d}.{c}.{b}.{a}.in-addr.arpa."));
            }
            IpAddr::V6(address) => {
                for octet in address.octets().iter().rev() {
                    self.names
                        .push_str(&format!("{:x}.{:x}.", octet & 15, octet >> 4));
                }
                self.names.push_str("ip6.arpa.");
            }
        }
        self.note_name(start)
    }

    fn add(&mut self, owner: Span, data: Data<Span>, why: Why) {
        if self.text(owner) != self.explanation.name {
            return self.note_near(owner);
        }
        if self.is_anothers(data) {
            return self.say_left_out(format!(
                "{} is left out: {}",
                self.text(owner),
                Reason::OfAnother
            ));
        }
        self.is_met = true;
        let (rtype, data) = match data {
            Data::Address(address) if address.is_ipv4() => ("A", address.to_string()),
            Data::Address(address) => ("AAAA", address.to_string()),
            Data::Srv { port, target } => ("SRV", format!("{port} {}", self.text(target))),
            Data::Ptr { target } => ("PTR", self.text(target).to_owned()),
            Data::Cname { target } => ("CNAME", self.text(target).to_owned()),
            Data::Text { number } => {
                told_statics::data(&self.world.naming.statics, number).unwrap_or_default()
            }
        };
        // An address has its names whatever its task's health.
        let rank = match rtype {
            // Whether its target is its framework's is looked at in the end.
            "PTR" => Rank::PLAIN.claimed(self.pointer_claim()),
            "SRV" => self.rank.of_health().bare(),
            _ => self.rank.bare(),
        };
        if !rank.is_omitted() && !self.types.contains(&rtype) {
            self.types.push(rtype);
        }
        let mut known = self.explanation.records.iter();
        let known = known.position(|record| record.rtype == rtype && record.data == data);
        let place = known.unwrap_or_else(|| {
            self.explanation.record_count += 1;
            self.explanation.records.len()
        });
        if place >= EXPLAIN_RECORDS_MAX {
            return;
        }
        if known.is_none() {
            self.ranks.push(rank);
            self.explanation.records.push(ExplainedRecord {
                rtype,
                data,
                sources: Vec::new(),
                source_count: 0,
            });
        }
        self.ranks[place] = self.ranks[place].min(rank);
        let sentence = self.sentence(why) + &rank.explained();
        let record = &mut self.explanation.records[place];
        record.source_count += 1;
        if record.sources.len() < EXPLAIN_SOURCES_MAX {
            record.sources.push(sentence);
        }
    }

    fn left_out(&mut self, reason: Reason, name: Option<(&[u8], &Suffix)>) {
        let text = match name {
            Some(([], suffix)) => format!("{} is left out: {reason}", suffix.text),
            Some((left, suffix)) => {
                let left = String::from_utf8_lossy(left);
                format!("{left}.{} is left out: {reason}", suffix.text)
            }
            None => reason.to_string(),
        };
        self.say_left_out(text);
    }

    fn rank(&mut self, rank: Rank) {
        self.rank = rank;
    }

    fn naming(&mut self, naming: TaskNaming<'_>) {
        let TaskNaming {
            from,
            to,
            discovery,
            mangled,
        } = naming;
        let of = if discovery {
            "DiscoveryInfo name"
        } else {
            "task name"
        };
        let to = String::from_utf8_lossy(to);
        self.naming = match mangled {
            true if from != to => format!("{of} {from:?} -> {to:?}"),
            true => format!("{of} {from:?}"),
            false => format!("{of} {from:?} as it stands"),
        };
    }
}

impl StaticSink for Watcher<'_> {
    fn absolute(&mut self, wire: &[u8]) -> Span {
        let start = self.names.len();
        self.names.push_str(&text_from_wire(wire));
        self.note_name(start)
    }
}

/// Names shown of a task that has not the one asked for.
const NAMES_SHOWN_MAX: usize = 4;
/// Near names shown, and how many octets they may differ in.
const NEAREST_MAX: usize = 8;
const NEAR_DISTANCE_MAX: usize = 4;
