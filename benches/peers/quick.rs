//! Asks every server for every name of a small cluster, and decodes every answer. In: what is installed.
//! Out: a line for each server; an error where an answer of Rollcall is wrong or missing. Judges no times.
//! That a wrong answer would be seen is tried each time, with a server that gives none and with a zone
//! that differs in one record.

use std::time::Duration;

use crate::judge::{self, Expect, Wrong};
use crate::load::{Load, Until};
use crate::queries::{Kind, Queries};
use crate::rounds::{Mistakes, failed};
use crate::stage::{Server, Stage};
use crate::zone::{Type, Zone};

pub fn run() -> Result<(), String> {
    let mut stage = Stage::start(TASKS, &[1])?;
    let queries = Queries::every(&stage.zone, NAMES_MAX);
    let many = Queries::draw(Kind::Many, &stage.zone, 4_096);
    for note in &stage.notes {
        println!("{note}");
    }
    for server in &stage.servers {
        let mut mistakes = Mistakes::default();
        let (mut asked, mut wrong, mut lost) = (0, 0, 0);
        // With a group of 64 the other way of sending and receiving is tried as well.
        for (queries, is_segmented) in [(&queries, false), (&many, true)] {
            let load = load(server, queries, is_segmented);
            let until = match is_segmented {
                true => Until::After(Duration::from_millis(100)),
                false => Until::Asked(queries.len() as u64),
            };
            let outcome = failed(server, load.closed(until, WINDOW))?;
            asked += outcome.asked;
            lost += outcome.lost;
            wrong += mistakes.check(server, queries, &stage.zone, &outcome);
        }
        let name = &server.peer.name;
        println!(
            "{name:<16} {asked} asked, {wrong} wrong, {lost} lost; {}",
            server.peer.version
        );
        mistakes.verdict()?;
        if server.peer.is_ours && lost > 0 {
            return Err(format!("{name}: {lost} of {asked} queries have no answer"));
        }
    }
    mistakes_are_seen(&mut stage, &queries)
}

fn load<'a>(server: &Server, queries: &'a Queries, is_segmented: bool) -> Load<'a> {
    Load {
        server: server.peer.dns,
        queries,
        expect: server.peer.expect,
        sockets: if is_segmented { 1 } else { 4 },
        is_segmented,
        spins: false,
        sample_every: 1,
        patience: Duration::from_secs(5),
        start_at: 0,
    }
}

/// A check that cannot fail is none.
fn mistakes_are_seen(stage: &mut Stage, queries: &Queries) -> Result<(), String> {
    let ours = stage.servers.iter().find(|server| server.peer.is_ours);
    let ours = ours.ok_or("no Rollcall runs")?;
    let until = Until::Asked(queries.len() as u64);
    let outcome = failed(ours, load(ours, queries, false).closed(until, WINDOW))?;
    let echo = stage
        .servers
        .iter()
        .find(|server| server.peer.expect == Expect::Echo)
        .ok_or("no echo runs")?;
    let mut load = load(echo, queries, false);
    load.expect = Expect::Answers;
    let echoed = failed(echo, load.closed(until, WINDOW))?;
    // The echo is right for names without a record.
    if echoed.wrong == 0 || echoed.wrong >= echoed.answered {
        return Err("the check takes a query for an answer".to_owned());
    }
    let changed = change_one_record(&mut stage.zone);
    let seen: Vec<Wrong> = outcome
        .samples
        .iter()
        .filter_map(|(index, answer)| {
            judge::compare(queries.get(*index), answer, &stage.zone).err()
        })
        .collect();
    match &seen[..] {
        [one] if one.query.starts_with(&changed) => Ok(()),
        _ => Err(format!(
            "the check saw {} of 1 record that differs, of {changed}",
            seen.len()
        )),
    }
}

/// Gives the name.
fn change_one_record(zone: &mut Zone) -> String {
    let name = zone.names(Type::A).find(|(_, count)| *count == 1);
    let name = name.expect("a name with one address").0.to_owned();
    let types = zone.records.get_mut(&name).expect("a name of the zone");
    types.insert(Type::A, ["192.0.2.1".to_owned()].into());
    name
}

const TASKS: usize = 400;
/// Of each type.
const NAMES_MAX: usize = 5_000;
const WINDOW: usize = 64;
