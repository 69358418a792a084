//! The order of answers where records are not equally good: the better ones come first, whoever asks
//! and however little room there is, and each group is in random order. Without a rule none of it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::op::Message;
use rollcall::dns::subnet::Blocks;
use rollcall::mesos::cluster::{AddressSource, Agent, FaultDomain, Task};
use rollcall::records::{Naming, RecordSet, Rules, Unhealthy, World};
use rollcall::responses::table::ResponseTable;
use rollcall::serve::respond::{Responder, Settings, SubnetFirst};
use rollcall::serve::{Client, Outcome, Respond, Transport};

use crate::support::client::{A, AAAA, ANY, SRV, query};
use crate::table::contents;
use crate::worlds::{
    agent, answering, framework, naming, settings, snapshot, task, with_statics, world, world_of,
};

const WEB: &str = "web.marathon.mesos";

fn ruled(world: World, rules: Rules) -> World {
    World {
        naming: Arc::new(Naming { rules, ..naming() }),
        ..world
    }
}

fn unhealthy(unhealthy: Unhealthy) -> Rules {
    Rules {
        unhealthy,
        ..Rules::default()
    }
}

/// One instance of `web` with this address; `number` tells it from others.
fn web(number: usize, address: impl Into<IpAddr>, is_unhealthy: bool) -> Task {
    Task {
        addresses: [(AddressSource::NetInfo, address.into())].into(),
        port_ranges: [(31000 + number as u16, 31000 + number as u16)].into(),
        is_unhealthy,
        ..task(&format!("web.{number}"), "web")
    }
}

/// Asks one World, from one place.
struct Asker {
    snapshot: rollcall::responses::Snapshot,
    responder: Responder,
    client: Client,
}

impl Asker {
    fn new(world: &World, settings: &Settings, client: Client) -> Self {
        Self {
            snapshot: snapshot(world, 1),
            responder: Responder::new(settings, 5),
            client,
        }
    }

    fn over_tcp(world: &World) -> Self {
        Self::new(world, &settings(), client(Transport::Tcp, [127, 0, 0, 1]))
    }

    fn ask(&mut self, name: &str, rtype: u16) -> Message {
        let mut response = vec![0; 65_535];
        let (query, snapshot) = (query(name, rtype), Some(&self.snapshot));
        let outcome = self
            .responder
            .respond(snapshot, &query, self.client, &mut response);
        match outcome {
            Outcome::Answer(length) => Message::from_vec(&response[..length]).expect("decodes"),
            _ => panic!("no answer"),
        }
    }

    fn data(&mut self, name: &str, rtype: u16) -> Vec<String> {
        let answer = self.ask(name, rtype);
        answer
            .answers
            .iter()
            .map(|it| it.data.to_string())
            .collect()
    }
}

fn client(transport: Transport, address: [u8; 4]) -> Client {
    Client {
        transport,
        address: address.into(),
    }
}

/// The groups come one after the other, each in every order.
#[track_caller]
fn assert_grouped(asker: &mut Asker, rtype: u16, groups: &[&[&str]]) {
    let mut orders = BTreeSet::new();
    for _ in 0..200 {
        let order = asker.data(WEB, rtype);
        let mut rest = &order[..];
        for group in groups {
            let (now, behind) = rest.split_at(group.len());
            let mut sorted: Vec<&str> = now.iter().map(String::as_str).collect();
            sorted.sort_unstable();
            assert_eq!(sorted, *group, "{order:?}");
            rest = behind;
        }
        assert!(rest.is_empty(), "{order:?}");
        orders.insert(order);
    }
    let factorial = |count: usize| (1..=count).product::<usize>();
    let all: usize = groups.iter().map(|group| factorial(group.len())).product();
    assert_eq!(orders.len(), all, "every order within a group");
}

fn mixed_health() -> World {
    let v6 = |last| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, last]);
    world_of(vec![
        web(0, [10, 1, 0, 1], true),
        web(1, [10, 1, 0, 2], false),
        web(2, [10, 1, 0, 3], false),
        web(3, [10, 1, 0, 4], true),
        web(4, v6(1), true),
        web(5, v6(2), false),
        // The same address by a healthy task and by one that is not.
        web(6, [10, 1, 0, 2], true),
    ])
}

#[test]
fn addresses_of_unhealthy_tasks_are_last() {
    let mut asker = Asker::over_tcp(&ruled(mixed_health(), unhealthy(Unhealthy::Last)));
    let (good, bad) = (["10.1.0.2", "10.1.0.3"], ["10.1.0.1", "10.1.0.4"]);
    assert_grouped(&mut asker, A, &[&good, &bad]);
    assert_grouped(&mut asker, AAAA, &[&["fd00::2"], &["fd00::1"]]);
    assert_eq!(asker.data(WEB, ANY).len(), 6);
}

#[test]
fn addresses_of_unhealthy_tasks_are_left_out_or_all_are_answered() {
    let mut asker = Asker::over_tcp(&ruled(mixed_health(), unhealthy(Unhealthy::Omit)));
    assert_grouped(&mut asker, A, &[&["10.1.0.2", "10.1.0.3"]]);
    assert_grouped(&mut asker, AAAA, &[&["fd00::2"]]);
    let services = asker.ask("_web._tcp.marathon.slave.mesos", SRV);
    assert_eq!(services.answers.len(), 3);
    let all_ill = world_of(vec![
        web(0, [10, 1, 0, 1], true),
        web(1, [10, 1, 0, 2], true),
    ]);
    let mut asker = Asker::over_tcp(&ruled(all_ill, unhealthy(Unhealthy::Omit)));
    assert_grouped(&mut asker, A, &[&["10.1.0.1", "10.1.0.2"]]);
}

#[test]
fn unhealthy_services_have_priority_1_and_no_additional_records() {
    let mut asker = Asker::over_tcp(&ruled(mixed_health(), unhealthy(Unhealthy::Last)));
    for _ in 0..50 {
        let answer = asker.ask("_web._tcp.marathon.mesos", SRV);
        let texts = answer.answers.iter().map(|it| it.data.to_string());
        let priorities: Vec<String> = texts.map(|it| it[..1].to_owned()).collect();
        assert_eq!(priorities, ["0", "0", "0", "1", "1", "1", "1"]);
        let targets: Vec<String> = answer
            .answers
            .iter()
            .take(3)
            .map(|it| it.data.to_string())
            .collect();
        assert!(!answer.additionals.is_empty());
        for extra in &answer.additionals {
            let name = extra.name.to_string();
            assert!(targets.iter().any(|it| it.ends_with(&name)), "{name}");
        }
    }
    let all_ill = world_of(vec![web(0, [10, 1, 0, 1], true)]);
    let mut asker = Asker::over_tcp(&ruled(all_ill, unhealthy(Unhealthy::Last)));
    let services = asker.data("_web._tcp.marathon.mesos", SRV);
    assert!(services[0].starts_with("0 1 31000 "), "{services:?}");
}

#[test]
fn unhealthy_tasks_are_last_even_in_the_clients_subnet() {
    let world = ruled(
        world_of(vec![
            web(0, [192, 0, 2, 1], true),
            web(1, [192, 0, 2, 2], false),
            web(2, [10, 1, 0, 1], true),
            web(3, [10, 1, 0, 2], false),
        ]),
        unhealthy(Unhealthy::Last),
    );
    let near = Settings {
        subnet_first: Some(SubnetFirst {
            believed: Blocks::default(),
        }),
        ..settings()
    };
    let order = ["192.0.2.2", "10.1.0.2", "192.0.2.1", "10.1.0.1"];
    let mut asker = Asker::new(&world, &near, client(Transport::Tcp, [192, 0, 2, 9]));
    for _ in 0..20 {
        assert_eq!(asker.data(WEB, A), order);
        assert_eq!(asker.data(WEB, ANY), order);
    }
}

#[test]
fn static_records_count_as_healthy_and_keep_what_is_their_own() {
    const STATICS: &str = "$ORIGIN marathon.mesos.
web 90 A 10.1.0.1
web 90 A 10.9.0.1
_web._tcp 9 SRV 3 4 31000 db
db A 10.9.0.1
";
    let lines = |answer: Message| {
        let answers = answer.answers.iter();
        let lines = answers.map(|it| format!("{} {}", it.ttl, it.data));
        lines.collect::<Vec<String>>()
    };
    let asker = |rule| {
        let world = ruled(mixed_health(), unhealthy(rule));
        Asker::over_tcp(&with_statics(world, STATICS))
    };
    // 10.1.0.1 is that of an unhealthy task too.
    let good = ["10.1.0.1", "10.1.0.2", "10.1.0.3", "10.9.0.1"];
    assert_grouped(&mut asker(Unhealthy::Omit), A, &[&good]);
    let mut last = asker(Unhealthy::Last);
    assert_grouped(&mut last, A, &[&good, &["10.1.0.4"]]);
    // One TTL for all of an RRset, whatever their ranks: that of the zone is the smaller one.
    let addresses = lines(last.ask(WEB, A));
    assert!(
        addresses.iter().all(|line| line.starts_with("60 ")),
        "{addresses:?}"
    );
    for _ in 0..20 {
        let services = lines(last.ask("_web._tcp.marathon.mesos", SRV));
        let (good, bad) = services.split_at(4);
        let (own, others): (Vec<&String>, Vec<&String>) = good
            .iter()
            .partition(|line| line.ends_with(" db.marathon.mesos."));
        assert_eq!(own, ["9 3 4 31000 db.marathon.mesos."], "{services:?}");
        assert!(
            others.iter().all(|line| line.starts_with("9 0 1 ")),
            "{services:?}"
        );
        assert!(
            bad.len() == 4 && bad.iter().all(|line| line.starts_with("9 1 1 ")),
            "{bad:?}"
        );
    }
}

#[test]
fn truncated_answer_keeps_the_best() {
    let tasks = (0..60).map(|n| web(n, [10, 1, 0, n as u8], n >= 20));
    let world = ruled(world_of(tasks.collect()), unhealthy(Unhealthy::Last));
    let mut asker = Asker::new(&world, &settings(), client(Transport::Udp, [127, 0, 0, 1]));
    for _ in 0..50 {
        let answer = asker.ask(WEB, A);
        assert!(answer.metadata.truncation);
        let is_ill = |text: &String| text.rsplit('.').next() >= Some("20") && text.len() > 8;
        let order: Vec<String> = answer
            .answers
            .iter()
            .map(|it| it.data.to_string())
            .collect();
        assert!(order.len() > 20, "{order:?}");
        assert!(!order[..20].iter().any(is_ill), "{order:?}");
        assert!(order[20..].iter().all(is_ill), "{order:?}");
    }
}

#[test]
fn without_a_rule_the_table_has_the_same_octets() {
    let well: Vec<Task> = (0..9).map(|n| web(n, [10, 1, 0, n as u8], false)).collect();
    let ill = well.iter().enumerate().map(|(n, task)| Task {
        is_unhealthy: n % 2 == 0,
        ..task.clone()
    });
    let table = |world: &World| {
        let records = RecordSet::build(world);
        contents(&ResponseTable::build(&records, &answering(), 1, 7))
    };
    let (well, ill) = (world_of(well.clone()), world_of(ill.collect()));
    assert_eq!(table(&well), table(&ill));
    let last = ruled(ill, unhealthy(Unhealthy::Last));
    assert_ne!(table(&well), table(&last));
}

/// Instances of `web` on agents 0 to 4: on this host; in its zone; in its region; in a zone of that
/// name in another region; nowhere that is known. Each has the address 10.1.AGENT.NUMBER.
fn placed(instances: &[(u8, u8, bool)], prefer_local: bool) -> World {
    let domain = |region: &str, zone: &str| {
        let (region, zone) = (region.into(), zone.into());
        Some(FaultDomain { region, zone })
    };
    let domains = [
        domain("r", "a"),
        domain("r", "a"),
        domain("r", "b"),
        domain("q", "a"),
        None,
    ];
    let agents = domains.into_iter().zip(0..).map(|(domain, index)| Agent {
        domain,
        ..agent(index)
    });
    let tasks = instances.iter().map(|&(agent, number, is_unhealthy)| Task {
        agent_id: format!("20c0-S{agent}").into(),
        ..web(
            usize::from(agent) * 10 + usize::from(number),
            [10, 1, agent, number],
            is_unhealthy,
        )
    });
    let frameworks = vec![framework("f0", "marathon")];
    let world = world(frameworks, agents.collect(), tasks.collect());
    let rules = Rules {
        prefer_local,
        unhealthy: Unhealthy::Last,
        ..Rules::default()
    };
    World {
        naming: Arc::new(Naming {
            rules,
            own_addresses: [[127, 0, 0, 1].into(), [10, 0, 0, 1].into()].into(),
            ..naming()
        }),
        ..world
    }
}

#[test]
fn tasks_on_this_host_come_first_then_those_of_its_zone_and_region() {
    let instances = [
        (4, 1, false),
        (3, 1, false),
        (2, 1, false),
        (2, 2, false),
        (1, 1, false),
        (0, 1, false),
        (0, 2, false),
    ];
    let mut asker = Asker::over_tcp(&placed(&instances, true));
    let groups: [&[&str]; 4] = [
        &["10.1.0.1", "10.1.0.2"],
        &["10.1.1.1"],
        &["10.1.2.1", "10.1.2.2"],
        &["10.1.3.1", "10.1.4.1"],
    ];
    assert_grouped(&mut asker, A, &groups);
    // The order of SRV records says nothing; they are as they were.
    let table = |world: &World| {
        let records = RecordSet::build(world);
        contents(&ResponseTable::build(&records, &answering(), 1, 7))
    };
    let of_srv = |world: &World| {
        let mut table = table(world);
        table.retain(|name, _| name.starts_with(b"\x04_web"));
        table
    };
    let (on, off) = (placed(&instances, true), placed(&instances, false));
    assert_eq!(of_srv(&on), of_srv(&off));
    assert_ne!(table(&on), table(&off));
}

#[test]
fn static_records_stand_with_the_tasks_that_are_nowhere_near() {
    const STATICS: &str = "web.marathon 7 A 10.9.0.1\nweb.marathon 7 A 10.1.0.1\n";
    let instances = [
        (4, 1, false),
        (1, 1, false),
        (0, 1, false),
        (0, 2, false),
        (0, 3, true),
    ];
    let mut asker = Asker::over_tcp(&with_statics(placed(&instances, true), STATICS));
    let groups: [&[&str]; 4] = [
        &["10.1.0.1", "10.1.0.2"],
        &["10.1.1.1"],
        &["10.1.4.1", "10.9.0.1"],
        &["10.1.0.3"],
    ];
    assert_grouped(&mut asker, A, &groups);
    let answer = asker.ask(WEB, A);
    assert!(answer.answers.iter().all(|record| record.ttl == 7));
}

#[test]
fn nearness_orders_neither_across_subnets_nor_before_health() {
    let instances = [
        (0, 1, true),
        (0, 2, false),
        (4, 3, true),
        (4, 4, false),
        (1, 5, false),
    ];
    let world = placed(&instances, true);
    let mut asker = Asker::over_tcp(&world);
    let order = ["10.1.0.2", "10.1.1.5", "10.1.4.4", "10.1.0.1", "10.1.4.3"];
    assert_eq!(asker.data(WEB, A), order);
    let near = Settings {
        subnet_first: Some(SubnetFirst {
            believed: Blocks::default(),
        }),
        ..settings()
    };
    let mut asker = Asker::new(&world, &near, client(Transport::Tcp, [10, 1, 4, 99]));
    let order = ["10.1.4.4", "10.1.0.2", "10.1.1.5", "10.1.4.3", "10.1.0.1"];
    assert_eq!(asker.data(WEB, A), order);
}
