//! What a dead resolver does to answers of the table. In: a Rollcall whose only resolver is a socket that
//! nobody reads. Out: times of table answers at a steady rate, each from when its query was meant to be
//! sent, without queries for outside names and with them, each of another name. Rounds are interleaved;
//! each load has a new process, which is asked for a while before it is measured.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::Options;
use crate::datagrams::Channel;
use crate::figures::Spread;
use crate::judge::{self, Expect};
use crate::queries::{Kind, Queries};
use crate::stage::read_zone;
use crate::stand::Stand;
use crate::waiting::Waiting;
use crate::wire::query;

pub fn run(options: &Options, stand: &Stand) -> Result<(), String> {
    let dead = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let dead = dead.local_addr().map(|address| (address, dead));
    let (address, _socket) = dead.map_err(|error| error.to_string())?;
    let (rate, outside_rate) = options.rates;
    println!(
        "\n### {rate} table answers a second, {} s; without and with {outside_rate} queries a second \
        for outside names whose resolver is dead, us\n\n\
        | engine | outside | p50 | p99 | p99.9 | max | lost | late | outside asked | SERVFAIL |\n\
        | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |",
        options.time.as_secs_f64()
    );
    for engine in &stand.engines {
        let mut ratios = Vec::new();
        for _ in 0..options.rounds {
            let mut p99 = [0.0; 2];
            for (p99, outside_rate) in p99.iter_mut().zip([0.0, outside_rate]) {
                let server = stand.rollcall(engine, &[address], options.timeout_seconds)?;
                let zone = read_zone(server.peer.http.ok_or("no HTTP")?)?;
                let queries = Queries::draw(Kind::A, &zone, QUERIES);
                let load = Load {
                    server: server.peer.dns,
                    queries: &queries,
                    outside_rate,
                    options,
                };
                let seen = load.run().map_err(|error| {
                    let says = server.process.last_words();
                    format!("{engine}: {error}; {says}")
                })?;
                seen.print(engine, outside_rate);
                seen.check(options)?;
                *p99 = seen.times.value_at_quantile(0.99) as f64;
            }
            ratios.push(p99[1] / p99[0]);
        }
        let Some(ratio) = Spread::of(ratios) else {
            return Err("no times".to_owned());
        };
        println!(
            "\n{engine}: p99 with a dead resolver is {:.2} ({:.2} to {:.2}) of that without, asked for \
            {RATIO_MAX} at most: {}\n",
            ratio.median,
            ratio.min,
            ratio.max,
            options.verdict(ratio.median <= RATIO_MAX)
        );
    }
    Ok(())
}

/// One thread asks both, so that neither waits for the other's turn on their core.
struct Load<'a> {
    server: SocketAddr,
    queries: &'a Queries,
    outside_rate: f64,
    options: &'a Options,
}

/// What came of it.
struct Seen {
    /// Nanoseconds.
    times: Histogram<u64>,
    asked: u64,
    answered: u64,
    late: u64,
    outside_asked: u64,
    outside_failed: u64,
    first_wrong: Option<String>,
}

impl Load<'_> {
    fn run(&self) -> io::Result<Seen> {
        let mut seen = Seen {
            times: Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("bounds of times"),
            asked: 0,
            answered: 0,
            late: 0,
            outside_asked: 0,
            outside_failed: 0,
            first_wrong: None,
        };
        let mut table = Channel::connect(self.server, false)?;
        let mut outside = Channel::connect(self.server, false)?;
        let mut waiting = Waiting::new(PLACES);
        let measured_ns = self.options.settling.as_nanos() as u64;
        let end_ns = measured_ns + self.options.time.as_nanos() as u64;
        let gap_ns = 1e9 / self.options.rates.0;
        let begin = Instant::now();
        let (mut number, mut outside_number) = (0_u64, 0_u64);
        loop {
            let now_ns = begin.elapsed().as_nanos() as u64;
            if now_ns >= end_ns {
                break;
            }
            self.take(&mut table, &mut waiting, &mut seen, begin, measured_ns)?;
            take_outside(&mut outside, &mut seen)?;
            loop {
                let due_ns = (number as f64 * gap_ns) as u64;
                if due_ns > now_ns || table.is_full() {
                    break;
                }
                let place = number as usize % self.queries.len();
                // Thousands are missing: they are lost, and so is this one.
                if let Some(id) = waiting.open(place as u32, due_ns) {
                    table.queue(self.queries.get(place).octets, id);
                }
                number += 1;
                if due_ns >= measured_ns {
                    seen.asked += 1;
                    seen.late += u64::from(now_ns - due_ns > LATE_NS);
                }
            }
            table.send()?;
            let outside_due = (now_ns as f64 / 1e9 * self.outside_rate) as u64;
            while outside_number < outside_due && !outside.is_full() {
                let name = format!("name{outside_number}.dead.example");
                outside.queue(&query(&name), outside_number as u16);
                outside_number += 1;
            }
            outside.send()?;
        }
        seen.outside_asked = outside_number;
        // What is still under way; and, where answers count and not times, what waits for a timeout.
        let patience = match self.options.is_quick {
            true => Duration::from_secs(self.options.timeout_seconds + 5),
            false => Duration::from_millis(500),
        };
        let stopped = Instant::now();
        while stopped.elapsed() < patience
            && (waiting.is_any_open() || seen.outside_failed < outside_number)
        {
            self.take(&mut table, &mut waiting, &mut seen, begin, measured_ns)?;
            take_outside(&mut outside, &mut seen)?;
        }
        Ok(seen)
    }

    fn take(
        &self,
        table: &mut Channel,
        waiting: &mut Waiting,
        seen: &mut Seen,
        begin: Instant,
        measured_ns: u64,
    ) -> io::Result<()> {
        table.receive(|answer| {
            let id = answer.first_chunk().map(|id| u16::from_be_bytes(*id));
            let Some((place, due_ns)) = id.and_then(|id| waiting.close(id)) else {
                return;
            };
            let query = self.queries.get(place as usize);
            if !judge::is_alike(query, answer, Expect::Answers) {
                let wrong = judge::describe(query, answer);
                let told = || format!("{}: {}", wrong.query, wrong.got);
                seen.first_wrong.get_or_insert_with(told);
            }
            if due_ns >= measured_ns {
                seen.answered += 1;
                let time_ns = (begin.elapsed().as_nanos() as u64).saturating_sub(due_ns);
                seen.times.saturating_record(time_ns.max(1));
            }
        })?;
        Ok(())
    }
}

/// The only right answer is that there is none.
fn take_outside(outside: &mut Channel, seen: &mut Seen) -> io::Result<()> {
    outside.receive(|answer| match answer {
        [_, _, f0, f1, ..] if f0 & 0x80 != 0 && f1 & 15 == SERVFAIL => seen.outside_failed += 1,
        _ => {
            let told = || format!("{}: {answer:?}", judge::question(answer));
            seen.first_wrong.get_or_insert_with(told);
        }
    })?;
    Ok(())
}

impl Seen {
    fn print(&self, engine: &str, outside_rate: f64) {
        let us = |ns: u64| ns as f64 / 1_000.0;
        let at = |quantile| us(self.times.value_at_quantile(quantile));
        println!(
            "| {engine} | {outside_rate} | {:.0} | {:.0} | {:.0} | {:.0} | {} | {} | {} | {} |",
            at(0.5),
            at(0.99),
            at(0.999),
            us(self.times.max()),
            self.asked - self.answered,
            self.late,
            self.outside_asked,
            self.outside_failed,
        );
    }

    fn check(&self, options: &Options) -> Result<(), String> {
        if let Some(wrong) = &self.first_wrong {
            return Err(format!("wrong answer: {wrong}"));
        }
        let lost = self.asked - self.answered;
        let unanswered = self.outside_asked - self.outside_failed;
        match options.is_quick && (lost > 0 || unanswered > 0) {
            true => Err(format!("{lost} and {unanswered} queries have no answer")),
            false => Ok(()),
        }
    }
}

const QUERIES: usize = 1 << 16;
/// Table answers under way: a good part of a second.
const PLACES: usize = 8_192;
/// A query that left so much later than meant counts as late; many of them say that the machine is too
/// busy.
const LATE_NS: u64 = 200_000;
const SERVFAIL: u8 = 2;
/// p99 with by p99 without.
const RATIO_MAX: f64 = 1.2;
