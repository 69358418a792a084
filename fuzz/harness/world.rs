//! A small cluster with everything in it that answers differ by. In: nothing. Out: its Snapshots, and
//! a list of what its names have, made from the RecordSet and the static records one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use rollcall::mesos::cluster::{AddressSource, Cluster};
use rollcall::mesos::state::read_state;
use rollcall::records::{Naming, Record as Data, RecordSet, Rules, World};
use rollcall::responses::Snapshot;
use rollcall::responses::table::ResponseTable;
use rollcall::responses::zone::Answering;
use rollcall::zonefile::{self, Around, StaticRecords};
use serde_json::{Value, json};

use super::wire::{A, AAAA, CNAME, PTR, Record, SRV, ancestors, is_within, wire};

pub const TTL: u32 = 60;
const STATIC_RECORDS: &str = include_str!("static.zone");

/// A World published, and what is known of it.
pub struct Known {
    pub snapshot: Snapshot,
    pub records: BTreeMap<Vec<u8>, Vec<Record>>,
    /// Names with records or with names below them, wherever they are.
    pub existing: BTreeSet<Vec<u8>>,
    /// Owners of static records.
    pub static_owners: BTreeSet<Vec<u8>>,
    pub is_partial: bool,
}

/// The cluster alone; with static records; and those before anything is known of the cluster.
pub fn worlds() -> &'static [Known; 3] {
    static WORLDS: OnceLock<[Known; 3]> = OnceLock::new();
    WORLDS.get_or_init(|| {
        // More addresses than a message over TCP holds.
        let document = document(2_400);
        let cluster = world(&document, "");
        let both = world(&document, STATIC_RECORDS);
        let empty = json!({"leader": "master@127.0.0.1:5050", "slaves": [], "frameworks": []});
        let mut partial = world(&empty, STATIC_RECORDS);
        partial.cluster.leader = None;
        [
            known(cluster, false),
            known(both, false),
            known(partial, true),
        ]
    })
}

/// A World without the many.
pub fn small() -> &'static World {
    static SMALL: OnceLock<World> = OnceLock::new();
    SMALL.get_or_init(|| world(&document(0), STATIC_RECORDS))
}

/// Names to ask for: those that exist, and some that do not.
pub fn names() -> &'static [Vec<u8>] {
    static NAMES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let others = [
            "",
            "mesos",
            "nobody.marathon.mesos",
            "x.web.marathon.mesos",
            "example.com",
            "localhost",
            "a.localhost",
            "invalid",
            "onion",
            "x.onion",
            "version.bind",
            "hostname.bind",
            "id.server",
            "arpa",
            "in-addr.arpa",
            "10.in-addr.arpa",
            "0.16.172.in-addr.arpa",
            "7.0.16.172.in-addr.arpa",
            "1.0.0.10.in-addr.arpa",
            "x.1.0.0.10.in-addr.arpa",
            "5.7.9.10.in-addr.arpa",
            "ip6.arpa",
            "d.f.ip6.arpa",
            "8.b.d.0.1.0.0.2.ip6.arpa",
            "anything.wild.mesos",
            "b.wild.mesos",
            "c.b.wild.mesos",
            "x.y.wild.mesos",
            "x.cwild.mesos",
            "x.lab.example",
            "example",
            "x.text.mesos",
        ];
        let known = &worlds()[1];
        let [few, many]: [Vec<_>; 2] = [false, true].map(|is_many| {
            let of_many =
                |name: &&Vec<u8>| name.starts_with(b"\x04huge") || name.starts_with(b"\x03big");
            let names = known
                .existing
                .iter()
                .filter(|name| of_many(name) == is_many);
            names.cloned().collect()
        });
        let asked = [
            "huge.marathon.mesos",
            "_huge._tcp.marathon.mesos",
            "big.marathon.mesos",
        ];
        let mut names: Vec<Vec<u8>> = others.iter().chain(&asked).map(|text| wire(text)).collect();
        names.extend(few);
        names.extend(many.into_iter().step_by(97));
        names
    })
}

/// The cluster with so many tasks of one name.
fn document(huge_count: u16) -> Value {
    let ports = |ports: &str| json!({"ports": ports});
    let task = |id: &str, name: &str, agent: u16, ips: &[String], more: Value| {
        let ips: Vec<Value> = ips.iter().map(|ip| json!({"ip_address": ip})).collect();
        let mut task = json!({
            "id": id, "name": name, "slave_id": format!("S{agent}"), "state": "TASK_RUNNING",
            "statuses": [{"state": "TASK_RUNNING", "timestamp": 1.5, "healthy": name != "sick",
                "container_status": {"network_infos": [{"ip_addresses": ips}]}}],
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            task[key] = value.clone();
        }
        task
    };
    let ip = |text: &str| vec![text.to_owned()];
    let mut tasks = vec![
        task(
            "w1",
            "web",
            0,
            &ip("172.16.0.1"),
            json!({"resources": ports("[31000-31001]")}),
        ),
        task(
            "w2",
            "web",
            1,
            &[ip("172.16.0.2"), ip("fd00::2")].concat(),
            json!({}),
        ),
        task(
            "w3",
            "web",
            2,
            &ip("172.16.1.3"),
            json!({"resources": ports("[31002-31002]")}),
        ),
        task(
            "s1",
            "sick",
            0,
            &ip("172.16.0.4"),
            json!({"resources": ports("[31003-31003]")}),
        ),
        task(
            "d1",
            "db",
            2,
            &ip("172.16.0.9"),
            json!({"discovery": {"name": "store.prod",
            "ports": {"ports": [{"number": 5432, "name": "sql", "protocol": "tcp"},
                {"number": 53, "protocol": "udp,tcp"}]}}}),
        ),
        task("l1", "leader", 0, &ip("172.16.0.66"), json!({})),
        task("v6", "web6", 2, &ip("fd00::6"), json!({})),
        task(
            "e1",
            "done",
            0,
            &ip("172.16.0.10"),
            json!({"state": "TASK_FINISHED"}),
        ),
    ];
    for number in 0..60_u16 {
        let (id, port) = (format!("b{number}"), 31_100 + number);
        let mut ips = ip(&format!("10.1.0.{}", number + 1));
        if number % 3 == 0 {
            ips.push(format!("fd00:1::{number:x}"));
        }
        let resources = json!({"resources": ports(&format!("[{port}-{port}]"))});
        tasks.push(task(&id, "big", number % 3, &ips, resources));
    }
    for number in 0..4_u16 {
        let resources = json!({"resources": ports("[32000-32010]")});
        let (id, address) = (format!("n{number}"), ip(&format!("10.2.0.{number}")));
        tasks.push(task(&id, &"l".repeat(63), number % 3, &address, resources));
    }
    for number in 0..huge_count {
        let (id, address) = (format!("h{number}"), ip(&format!("fd00:2::{number:x}")));
        tasks.push(task(&id, "huge", number % 3, &address, json!({})));
    }
    let agent = |number: u16| {
        json!({"id": format!("S{number}"), "hostname": format!("agent-{number}.example.com"),
            "pid": format!("slave(1)@10.0.0.{}:5051", number + 1)})
    };
    json!({
        "id": "m1", "leader": "master@127.0.0.1:5050",
        "slaves": (0..3).map(agent).collect::<Vec<_>>(),
        "frameworks": [
            {"id": "F0", "name": "marathon", "pid": "scheduler@10.9.0.1:9000", "tasks": tasks},
            {"id": "F1", "name": "kafka.x", "pid": "scheduler@10.9.0.2:9000", "tasks": []},
        ],
    })
}

pub fn around() -> Around {
    Around {
        domain: "mesos".into(),
        soa_mname: "ns1.mesos.".into(),
        ttl_seconds: TTL,
    }
}

fn world(document: &Value, statics: &str) -> World {
    let read = read_state(document.to_string().as_bytes(), u64::MAX).expect("a state");
    let statics = zonefile::parse("static.zone", statics.as_bytes(), &around());
    world_of(
        read.cluster,
        statics.unwrap_or_else(|fault| panic!("{fault}")),
    )
}

/// The World of a cluster and of static records, with the configuration's defaults.
pub fn world_of(cluster: Cluster, statics: StaticRecords) -> World {
    let naming = Naming {
        domain: "mesos".into(),
        rfc952: false,
        ip_sources: [AddressSource::NetInfo, AddressSource::Host].into(),
        masters: cluster.leader.iter().cloned().collect(),
        soa_mname: "ns1.mesos.".into(),
        listener_addresses: [[127, 0, 0, 1].into()].into(),
        statics: Arc::new(statics),
        rules: Rules::default(),
        own_addresses: Box::default(),
    };
    World {
        cluster,
        hosts: Default::default(),
        naming: Arc::new(naming),
    }
}

pub fn answering() -> Answering {
    Answering {
        domain: wire("mesos").into(),
        ttl_seconds: TTL,
        srv_weight: 1,
        soa_mname: wire("ns1.mesos").into(),
        soa_rname: wire("root.ns1.mesos").into(),
        soa_refresh_seconds: 60,
        soa_retry_seconds: 600,
        soa_expire_seconds: 86_400,
        soa_minimum_seconds: 30,
    }
}

/// The table of a World, as it is published, with each of its answers read again (debug assertions).
pub fn table_of(world: &World) -> ResponseTable {
    ResponseTable::build(&RecordSet::build(world), &answering(), 7, 1)
}

fn known(world: World, is_partial: bool) -> Known {
    let all = RecordSet::build(&world);
    let table = ResponseTable::build(&all, &answering(), 7, 1);
    let mut cluster = world.clone();
    let naming = Arc::make_mut(&mut cluster.naming);
    let statics = std::mem::take(&mut naming.statics);
    let mut records = records_of(&RecordSet::build(&cluster));
    let mut existing: BTreeSet<Vec<u8>> = records.keys().cloned().collect();
    let mut static_owners = BTreeSet::new();
    for it in &statics.records {
        let rtype = it.data.rtype();
        let owned = records.entry(it.owner.to_vec()).or_default();
        let is_new = static_owners.insert(it.owner.to_vec());
        existing.extend(
            ancestors(&it.owner)
                .filter(|it| *it != [0])
                .map(<[u8]>::to_vec),
        );
        match rtype {
            // The cluster's records stand in its way; PTR records of the file stand in the cluster's.
            CNAME if !owned.is_empty() => continue,
            PTR if is_new => owned.retain(|it| it.rtype != PTR),
            _ => {}
        }
        owned.push(Record {
            owner: it.owner.to_vec(),
            rtype,
            class: 1,
            ttl: it.ttl_seconds,
            data: data_of(&it.data),
        });
        let of_type = |it: &&mut Record| it.rtype == rtype;
        let least = owned.iter_mut().filter(of_type).map(|it| it.ttl).min();
        owned
            .iter_mut()
            .filter(of_type)
            .for_each(|it| it.ttl = least.unwrap_or(it.ttl));
    }
    Known {
        snapshot: Snapshot {
            generation: 1,
            serial: 7,
            published_at: SystemTime::UNIX_EPOCH,
            record_counts: all.record_counts(),
            collisions: Default::default(),
            table: if is_partial {
                table.into_partial()
            } else {
                table
            },
            world: Arc::new(world),
        },
        records,
        existing,
        static_owners,
        is_partial,
    }
}

/// What the names of a cluster have, and the empty ones between.
fn records_of(set: &RecordSet) -> BTreeMap<Vec<u8>, Vec<Record>> {
    let name_of = |name| {
        let mut wire = Vec::new();
        set.append_wire(name, &mut wire);
        wire
    };
    let names = set.names().map(|name| {
        let owner = name_of(name);
        let records = set.records(name).map(|record| {
            let (rtype, data) = match record {
                Data::A(address) => (A, address.octets().to_vec()),
                Data::Aaaa(address) => (AAAA, address.octets().to_vec()),
                Data::Srv { port, target } => {
                    let [p0, p1] = port.to_be_bytes();
                    (SRV, [&[0, 0, 0, 1, p0, p1][..], &name_of(target)].concat())
                }
                Data::Ptr { target } => (PTR, name_of(target)),
                Data::Cname { .. } | Data::Text { .. } => unreachable!("none of the cluster's"),
            };
            let owner = owner.clone();
            Record {
                owner,
                rtype,
                class: 1,
                ttl: TTL,
                data,
            }
        });
        (owner.clone(), records.collect())
    });
    names.collect()
}

fn data_of(data: &zonefile::Data) -> Vec<u8> {
    match data {
        zonefile::Data::A(address) => address.octets().to_vec(),
        zonefile::Data::Aaaa(address) => address.octets().to_vec(),
        zonefile::Data::Cname(name) | zonefile::Data::Ptr(name) => name.to_vec(),
        zonefile::Data::Srv {
            priority,
            weight,
            port,
            target,
        } => {
            let numbers = [priority, weight, port].map(|number| number.to_be_bytes());
            [numbers.as_flattened(), target].concat()
        }
        zonefile::Data::Txt(text) => text.to_vec(),
    }
}

impl Known {
    /// The records of a name as it stands; none where it does not exist.
    pub fn exact(&self, name: &[u8]) -> Option<(&[u8], &[Record])> {
        let name = self.existing.get(name)?;
        let records = self.records.get(name).map_or(&[][..], Vec::as_slice);
        Some((name, records))
    }

    /// The same, or those of the wildcard that covers it (RFC 4592, 3.3.1): that below the nearest name
    /// above it that exists.
    pub fn covering(&self, name: &[u8]) -> Option<(&[u8], &[Record])> {
        self.exact(name).or_else(|| {
            let above = ancestors(name).skip(1).filter(|it| *it != [0]);
            let nearest = above
                .into_iter()
                .find(|above| self.existing.contains(*above))?;
            self.exact(&[b"\x01*", nearest].concat())
        })
    }

    pub fn has_statics_outside(&self) -> bool {
        let mut owners = self.static_owners.iter();
        owners.any(|owner| !is_within(owner, &wire("mesos")))
    }

    /// The name of that entry if static records are at it.
    pub fn has_statics(&self, owner: &[u8]) -> bool {
        self.static_owners.contains(owner)
    }
}
