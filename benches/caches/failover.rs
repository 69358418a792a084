//! How long clients wait while one of two resolvers is dead. In: a Rollcall with two resolvers that take
//! the same time to answer, one of which is silent from the first query on, or from the middle one. Out:
//! times of queries for different names, one after the other and a few at once, from the fourth query on.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::Options;
use crate::stand::Stand;
use crate::upstream::{self, Upstream};
use crate::wire::query;

#[derive(Clone, Copy)]
enum Death {
    First,
    Second,
    /// The first, in the middle.
    Midway,
    /// To compare with.
    Nobody,
}

pub fn run(options: &Options, stand: &Stand) -> Result<(), String> {
    let alone = times_alone(options)?;
    let rtt = Duration::from_micros(alone.value_at_quantile(0.5));
    let allowed = 2 * rtt + SLACK;
    println!(
        "\n### {} queries, one of two resolvers dead; the RTT of the other is {:.1} ms; ms, from the \
        fourth query on; asked for p99 of 2 RTT + 5 ms = {:.1} at most\n\n\
        | engine | dead | at once | p50 | p99 | max | first 3 | |\n\
        | --- | --- | --: | --: | --: | --: | --: | --- |",
        options.asks,
        milliseconds(rtt),
        milliseconds(allowed)
    );
    print("-", "asked directly", 1, &alone, "|");
    for engine in &stand.engines {
        for (death, dead) in [
            (Death::First, "the first"),
            (Death::Second, "the second"),
            (Death::Midway, "the first, midway"),
            (Death::Nobody, "none"),
        ] {
            for at_once in AT_ONCE {
                let run = Run::start(options, stand, engine, death)?;
                let (first, times) = run.ask(at_once)?;
                let p99 = Duration::from_micros(times.value_at_quantile(0.99));
                let verdict = options.verdict(p99 <= allowed);
                let last = format!("{:.1} | {verdict}", milliseconds(first));
                print(engine, dead, at_once, &times, &last);
            }
        }
    }
    Ok(())
}

/// What a resolver takes without anybody between: its delay, and what this machine does to it. In
/// microseconds.
fn times_alone(options: &Options) -> Result<Histogram<u64>, String> {
    let upstream = Upstream::start(options.delay);
    let socket = connect(upstream.address);
    let mut times = Histogram::<u64>::new(3).expect("three digits");
    for number in 0..options.asks {
        let time = ask(&socket, &numbered(number));
        let time = time.ok_or("a resolver of the bench does not answer")?;
        times.record(time.as_micros() as u64).expect("it fits");
    }
    Ok(times)
}

fn print(engine: &str, dead: &str, at_once: usize, times: &Histogram<u64>, last: &str) {
    let at = |quantile| times.value_at_quantile(quantile) as f64 / 1_000.0;
    println!(
        "| {engine} | {dead} | {at_once} | {:.1} | {:.1} | {:.1} | {last} |",
        at(0.5),
        at(0.99),
        at(1.0),
    );
}

struct Run<'a> {
    options: &'a Options,
    death: Death,
    resolvers: [Upstream; 2],
    server: crate::stage::Server,
}

impl<'a> Run<'a> {
    fn start(
        options: &'a Options,
        stand: &Stand,
        engine: &str,
        death: Death,
    ) -> Result<Self, String> {
        let resolvers = [(); 2].map(|()| Upstream::start(options.delay));
        match death {
            Death::First => resolvers[0].fall_silent(),
            Death::Second => resolvers[1].fall_silent(),
            Death::Midway | Death::Nobody => {}
        }
        let addresses = [resolvers[0].address, resolvers[1].address];
        let server = stand.rollcall(engine, &addresses, TIMEOUT_SECONDS)?;
        Ok(Self {
            options,
            death,
            resolvers,
            server,
        })
    }

    /// The longest time of the first three queries, and all others', in microseconds.
    fn ask(&self, at_once: usize) -> Result<(Duration, Histogram<u64>), String> {
        let next = AtomicUsize::new(0);
        let clients = thread::scope(|scope| {
            let clients: Vec<_> = (0..at_once)
                .map(|_| scope.spawn(|| self.client(&next)))
                .collect();
            let joined = clients.into_iter().map(|client| client.join());
            joined
                .map(|times| times.expect("a client that does not panic"))
                .collect::<Result<Vec<_>, _>>()
        });
        let mut first = Duration::ZERO;
        let mut times = Histogram::<u64>::new(3).expect("three digits");
        for (number, time) in clients?.into_iter().flatten() {
            if number < FIRST {
                first = first.max(time);
            } else {
                let recorded = times.record(time.as_micros() as u64);
                recorded.expect("it fits");
            }
        }
        Ok((first, times))
    }

    fn client(&self, next: &AtomicUsize) -> Result<Vec<(usize, Duration)>, String> {
        let socket = connect(self.server.peer.dns);
        let mut times = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= self.options.asks {
                return Ok(times);
            }
            if matches!(self.death, Death::Midway) && number == self.options.asks / 2 {
                self.resolvers[0].fall_silent();
            }
            let time = ask(&socket, &numbered(number)).ok_or_else(|| {
                let name = &self.server.peer.name;
                format!("{name}: query {number} has no answer, or a wrong one")
            })?;
            times.push((number, time));
        }
    }
}

fn numbered(number: usize) -> Vec<u8> {
    let mut query = query(&format!("name{number}.failover.example"));
    query[..2].copy_from_slice(&(number as u16).to_be_bytes());
    query
}

fn connect(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.connect(server).expect("loopback");
    let patience = Duration::from_secs(TIMEOUT_SECONDS + 1);
    socket.set_read_timeout(Some(patience)).expect("a timeout");
    socket
}

/// How long the right answer took.
fn ask(socket: &UdpSocket, query: &[u8]) -> Option<Duration> {
    let begin = Instant::now();
    socket.send(query).ok()?;
    let mut answer = [0; 1_500];
    let bytes = socket.recv(&mut answer).ok()?;
    let time = begin.elapsed();
    upstream::is_right(query, &answer[..bytes]).then_some(time)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// Clients, each of which asks one query after the other.
const AT_ONCE: [usize; 2] = [1, 8];
/// Queries whose times are not judged: by them the dead resolver is found out.
const FIRST: usize = 3;
/// What p99 may have beyond two round trips.
const SLACK: Duration = Duration::from_millis(5);
/// Rollcall's default.
const TIMEOUT_SECONDS: u64 = 5;
