//! What an answer from the cache costs. In: one Rollcall for each engine, unbound and dnsmasq, all with
//! one resolver. Out: CPU per query and rate of a cache hit beside an answer of the table, under the same
//! closed load; rounds are interleaved, ratios are medians of same-round pairs. A query that reaches the
//! resolver while it is measured is an error: then it was no hit. Where answers are lost, fewer queries
//! are under way from then on, for that server alone.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::Options;
use crate::figures::{CPU, Figures, RATE, Sample, Spread};
use crate::judge;
use crate::load::{Load, Outcome, Until};
use crate::queries::{Kind, Queries};
use crate::stage::{Server, read_zone};
use crate::stand::Stand;
use crate::upstream::{Upstream, address_of};
use crate::zone::{Type, Zone};

pub fn run(options: &Options, stand: &Stand) -> Result<(), String> {
    let upstream = Upstream::start(Duration::ZERO);
    let ours = stand.engines.iter().map(|engine| {
        let resolvers = [upstream.address];
        stand.rollcall(engine, &resolvers, options.timeout_seconds)
    });
    let ours = ours.collect::<Result<Vec<_>, _>>()?;
    let http = ours.iter().find_map(|server| server.peer.http);
    let table = table_zone(read_zone(http.ok_or("no Rollcall runs")?)?, options.names);
    let outside = outside_zone(&table)?;
    let first = outside.records.keys().next().ok_or("no names")?;
    let (others, notes) = stand.others(upstream.address, first)?;
    for note in notes {
        println!("{note}");
    }
    for server in ours.iter().chain(&others) {
        prime(server, &outside, &upstream)?;
    }
    let asked = Asked {
        table: (Queries::draw(Kind::A, &table, QUERIES), &table),
        outside: (Queries::draw(Kind::A, &outside, QUERIES), &outside),
    };
    let mut subjects = subjects(&ours, &others);
    let mut figures = Figures::default();
    for subject in &mut subjects {
        let _ = ask(subject, &asked, 0, options.time / 4, &upstream)?;
    }
    for round in 0..options.rounds {
        for (index, subject) in subjects.iter_mut().enumerate() {
            let mut sample = ask(subject, &asked, round, options.time, &upstream)?;
            (sample.round, sample.server) = (round, index);
            if options.is_quick && subject.server.peer.is_ours && sample.lost > 0 {
                return Err(format!("{}: {} lost", subject.name, sample.lost));
            }
            figures.0.push(sample);
        }
    }
    print(options, &subjects, &figures, asked.outside.0.names);
    Ok(())
}

/// A server and what it is asked.
struct Subject<'a> {
    name: String,
    server: &'a Server,
    is_hit: bool,
    /// The subject that answers of the table, in the same process or in the first.
    table: usize,
    /// Queries under way.
    window: usize,
}

fn subjects<'a>(ours: &'a [Server], others: &'a [Server]) -> Vec<Subject<'a>> {
    let mut subjects = Vec::new();
    for server in ours {
        let table = subjects.len();
        for (what, is_hit) in [("table", false), ("cache", true)] {
            subjects.push(Subject {
                name: format!("{}, {what}", server.peer.name),
                server,
                is_hit,
                table,
                window: WINDOW,
            });
        }
    }
    subjects.extend(others.iter().map(|server| Subject {
        name: server.peer.name.clone(),
        server,
        is_hit: true,
        table: 0,
        window: WINDOW,
    }));
    subjects
}

struct Asked<'a> {
    table: (Queries, &'a Zone),
    outside: (Queries, &'a Zone),
}

/// So many names of one address, drawn from all.
fn table_zone(mut zone: Zone, count: usize) -> Zone {
    let single = zone.names(Type::A).filter(|(_, count)| *count == 1);
    let mut names: Vec<String> = single.map(|(name, _)| name.to_owned()).collect();
    fastrand::Rng::with_seed(1).shuffle(&mut names);
    names.truncate(count);
    names.sort();
    zone.records
        .retain(|name, _| names.binary_search(name).is_ok());
    zone
}

/// As many names of the same shape, with the addresses that the resolver gives them.
fn outside_zone(table: &Zone) -> Result<Zone, String> {
    let mut addresses = BTreeMap::new();
    for name in table.records.keys() {
        let name = name.strip_suffix("mesos.").unwrap_or(name);
        let name = format!("{name}example.");
        let wire = rollcall::dns::name::wire_from_text(&name).map_err(|_| name.clone())?;
        addresses.insert(name, [address_of(&wire).to_string()]);
    }
    let server = addresses.keys().next().cloned();
    let axfr = json!({
        "Domain": "example", "TTL": 60, "Serial": 1, "Mname": server, "Rname": server,
        "Records": { "As": addresses, "SRVs": {} },
    });
    Zone::from_axfr(axfr.to_string().as_bytes())
}

/// Until a cache has all names.
fn prime(server: &Server, outside: &Zone, upstream: &Upstream) -> Result<(), String> {
    let queries = Queries::addresses(outside, usize::MAX);
    let mut load = load(server, &queries, 0);
    (load.spins, load.patience) = (false, Duration::from_secs(5));
    for _ in 0..PRIMINGS_MAX {
        let before = upstream.asked();
        let until = Until::Asked(queries.len() as u64);
        let outcome = load.closed(until, PRIMING_WINDOW);
        let outcome = outcome.map_err(|error| gone(server, &error))?;
        if outcome.lost == 0 && outcome.wrong == 0 && upstream.asked() == before {
            return Ok(());
        }
    }
    let name = &server.peer.name;
    Err(format!("{name} does not keep {} names", queries.len()))
}

fn load<'a>(server: &Server, queries: &'a Queries, start_at: usize) -> Load<'a> {
    Load {
        server: server.peer.dns,
        queries,
        expect: server.peer.expect,
        sockets: SOCKETS,
        is_segmented: false,
        spins: true,
        sample_every: 1_024,
        patience: Duration::from_secs(1),
        start_at,
    }
}

/// One load of one subject, or several, until nothing is lost.
fn ask(
    subject: &mut Subject<'_>,
    asked: &Asked<'_>,
    round: usize,
    time: Duration,
    upstream: &Upstream,
) -> Result<Sample, String> {
    let (queries, zone) = match subject.is_hit {
        true => &asked.outside,
        false => &asked.table,
    };
    let load = load(subject.server, queries, round * 10_007);
    let (outcome, cpu_ns) = loop {
        let (forwarded, cpu_ns) = (upstream.asked(), subject.server.process.cpu_ns());
        let outcome = load.closed(Until::After(time), subject.window);
        let outcome = outcome.map_err(|error| gone(subject.server, &error))?;
        let cpu_ns = subject.server.process.cpu_ns() - cpu_ns;
        let forwarded = upstream.asked() - forwarded;
        if forwarded > 0 {
            return Err(format!("{}: {forwarded} were no hits", subject.name));
        }
        check(subject, &outcome, queries, zone)?;
        if outcome.lost == 0 || subject.window <= WINDOW_MIN {
            break (outcome, cpu_ns);
        }
        subject.window /= 2;
    };
    let cpu_us = cpu_ns as f64 / 1_000.0 / outcome.answered as f64;
    let values = [(CPU, cpu_us), (RATE, outcome.rate())];
    Ok(Sample {
        kind: Kind::A,
        round,
        server: 0,
        values: values.map(|(name, value)| (name.to_owned(), value)).into(),
        lost: outcome.lost,
        wrong: 0,
        window: subject.window,
    })
}

/// Every answer was looked at; some are compared whole.
fn check(
    subject: &Subject<'_>,
    outcome: &Outcome,
    queries: &Queries,
    zone: &Zone,
) -> Result<(), String> {
    let compared = outcome.samples.iter();
    let mut compared = compared
        .filter_map(|(index, answer)| judge::compare(queries.get(*index), answer, zone).err());
    match outcome.first_wrong.clone().or_else(|| compared.next()) {
        None if outcome.answered == 0 => Err(format!("{}: no answers", subject.name)),
        None => Ok(()),
        Some(wrong) => Err(format!(
            "{}: {}: expected {}, got {}",
            subject.name, wrong.query, wrong.expected, wrong.got
        )),
    }
}

fn gone(server: &Server, error: &std::io::Error) -> String {
    let says = server.process.last_words();
    format!("{} is gone: {error}; {says}", server.peer.name)
}

fn print(options: &Options, subjects: &[Subject<'_>], figures: &Figures, names: usize) {
    let cpu = |index| figures.spread(Kind::A, index, CPU);
    let median = |index| cpu(index).map_or(f64::INFINITY, |spread: Spread| spread.median);
    let peers = (0..subjects.len()).filter(|index| !subjects[*index].server.peer.is_ours);
    let better = peers.min_by(|one, other| median(*one).total_cmp(&median(*other)));
    println!(
        "\n### A of {names} names, {WINDOW} queries under way over {SOCKETS} sockets, {} rounds\n\n\
        | server | CPU ns | queries/s | x own table | x better of unbound, dnsmasq | window | lost |\n\
        | --- | --: | --: | --: | --: | --: | --: |",
        options.rounds
    );
    for (index, subject) in subjects.iter().enumerate() {
        let to = |other: usize| figures.ratio(Kind::A, index, other, CPU);
        let lost = figures.of(Kind::A, index).map(|sample| sample.lost);
        println!(
            "| {} | {} | {} | {} | {} | {} | {} |",
            subject.name,
            shown(cpu(index), 1_000.0, 0),
            shown(figures.spread(Kind::A, index, RATE), 1.0, 0),
            shown(to(subject.table), 1.0, 2),
            shown(better.and_then(to), 1.0, 2),
            subject.window,
            lost.sum::<u64>(),
        );
    }
    println!();
    for (index, subject) in subjects.iter().enumerate() {
        if !subject.is_hit || !subject.server.peer.is_ours {
            continue;
        }
        let asked_for = [
            ("table", Some(subject.table), OF_TABLE_MAX),
            ("the better cache", better, OF_PEER_MAX),
        ];
        for (what, other, max) in asked_for {
            let ratio = other.and_then(|other| figures.ratio(Kind::A, index, other, CPU));
            let verdict = options.verdict(ratio.is_some_and(|ratio| ratio.median <= max));
            let (name, ratio) = (&subject.name, shown(ratio, 1.0, 2));
            println!("{name}: {ratio} of {what}, asked for {max} at most: {verdict}");
        }
    }
}

/// Median, with lowest and highest.
fn shown(spread: Option<Spread>, factor: f64, digits: usize) -> String {
    spread.map_or_else(
        || "-".to_owned(),
        |spread| {
            let [median, min, max] =
                [spread.median, spread.min, spread.max].map(|value| value * factor);
            format!("{median:.digits$} ({min:.digits$} to {max:.digits$})")
        },
    )
}

/// Drawn before a load; a load that asks more begins again.
const QUERIES: usize = 1 << 18;
const WINDOW: usize = 256;
/// It is not made smaller to get rid of losses.
const WINDOW_MIN: usize = 64;
const SOCKETS: usize = 8;
/// Fewer than any of them has under way at a time.
const PRIMING_WINDOW: usize = 64;
/// The last finds all of them.
const PRIMINGS_MAX: usize = 4;
/// CPU of a hit, as parts of others'.
const OF_TABLE_MAX: f64 = 1.1;
const OF_PEER_MAX: f64 = 0.8;
