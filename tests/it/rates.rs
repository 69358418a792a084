//! Floods in somebody else's name: what one network is answered of the same over UDP is bounded, and
//! nobody else feels it. Clients are addresses of 127/8, of which only the first is exempt here.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use hickory_proto::op::{Message, ResponseCode};
use serde_json::{Value, json};

use crate::metrics::Samples;
use crate::support::client::{A, ANY, Client, NS, SOA, TXT, decode, query, with_edns};
use crate::support::files::Folder;
use crate::support::master::{Behaviour, Master};
use crate::support::process::Rollcall;
use crate::support::resolver::Resolver;
use crate::support::state::State;
use crate::support::wait_until;

const WEB: Ipv4Addr = Ipv4Addr::new(10, 3, 0, 1);
/// Of one network, of another, and one that is exempt.
const STRANGER: [u8; 4] = [127, 1, 2, 3];
const NEIGHBOUR: [u8; 4] = [127, 1, 2, 4];
const OTHER: [u8; 4] = [127, 1, 3, 3];

fn serving(settings: Value) -> (Master, Rollcall) {
    let master = Master::start(|leader| {
        let state = State::new(leader).task("web", WEB).task("other", WEB);
        Behaviour::Serve(state.text())
    });
    let mut all = json!({
        "RateLimit": 5, "RateLimitExempt": ["127.0.0.1/32"], "Workers": 1,
    });
    for (key, value) in settings.as_object().into_iter().flatten() {
        all[key] = value.clone();
    }
    let rollcall = Rollcall::serving(&[master.address()], all);
    wait_until("the task", || {
        rollcall.client().addresses("web.marathon.mesos") == [WEB]
    });
    (master, rollcall)
}

pub fn client_at(address: [u8; 4], rollcall: &Rollcall) -> Client {
    Client::at(IpAddr::from(address), rollcall.dns_address())
}

const DROPPED: &str = r#"rollcall_dns_dropped_total{reason="rate_limited"}"#;
const SHORTENED: &str = r#"rollcall_dns_routed_total{route="limited"}"#;

/// What was counted of limits so far: answers not sent, and short ones.
fn limited(rollcall: &Rollcall) -> (u64, u64) {
    let samples = Samples::of(rollcall);
    (samples.get(DROPPED) as u64, samples.get(SHORTENED) as u64)
}

/// Sends a query so many times, and returns all that comes back.
fn flood(rollcall: &Rollcall, client: &Client, message: &[u8], times: u64) -> Vec<Message> {
    let asked =
        || Samples::of(rollcall).sum(r#"rollcall_dns_queries_total{transport="udp""#) as u64;
    let mut answers = Vec::new();
    let mut left = times;
    while left > 0 {
        // Fewer than a socket's buffer has room for.
        let some = left.min(50);
        let (before, (dropped_before, _)) = (asked(), limited(rollcall));
        (0..some).for_each(|_| client.send_udp(message));
        wait_until("all to be read", || asked() >= before + some);
        let mut received = 0;
        wait_until("each to be answered or dropped", || {
            while let Some(answer) = client.receive_soon() {
                received += 1;
                answers.push(decode(&answer));
            }
            let (dropped, _) = limited(rollcall);
            received + dropped - dropped_before >= some
        });
        left -= some;
    }
    answers
}

fn dig(rollcall: &Rollcall, from: [u8; 4], words: &[&str]) -> String {
    let address = rollcall.dns_address();
    let output = Command::new("dig")
        .args(["-b", &Ipv4Addr::from(from).to_string(), "-p"])
        .arg(address.port().to_string())
        .arg(format!("@{}", address.ip()))
        .args(words)
        .output()
        .expect("dig; tests/run installs it");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_flood_from_a_network_that_is_not_exempt_is_limited_and_nobody_else() {
    let (_master, rollcall) = serving(json!({}));
    let stranger = client_at(STRANGER, &rollcall);
    let web = query("web.marathon.mesos", A);
    let answers = flood(&rollcall, &stranger, &web, 300);
    let whole = answers.iter().filter(|it| !it.answers.is_empty()).count();
    let short: Vec<_> = answers.iter().filter(|it| it.metadata.truncation).collect();
    assert!(whole >= 5, "{whole}");
    assert!(!short.is_empty());
    assert_eq!(whole + short.len(), answers.len());
    assert!(
        short
            .iter()
            .all(|it| it.answers.is_empty() && it.queries.len() == 1)
    );
    let (dropped, shortened) = limited(&rollcall);
    // Each second one above the limit.
    assert!(shortened >= short.len() as u64 && dropped.abs_diff(shortened) <= 2);
    // Another name, another network, and who is exempt.
    let other = decode(&stranger.udp(&query("other.marathon.mesos", A)));
    assert_eq!(other.answers.len(), 1);
    let elsewhere = client_at(OTHER, &rollcall);
    assert_eq!(elsewhere.addresses("web.marathon.mesos"), [WEB]);
    for _ in 0..100 {
        assert_eq!(rollcall.client().addresses("web.marathon.mesos"), [WEB]);
    }
    // Names that there are not are denied in one zone, and count together.
    let denied = (0..60).map(|number| query(&format!("no{number}.mesos"), A));
    denied.for_each(|message| elsewhere.send_udp(&message));
    let before = dropped;
    wait_until("denials to be limited", || {
        limited(&rollcall).0 > before + 5
    });
    // That is another reason than what is no query.
    let samples = Samples::of(&rollcall);
    let no_query = r#"rollcall_dns_dropped_total{reason="not_a_query"}"#;
    assert_eq!(samples.get(no_query), 0.0);
    // Once, for all of them.
    assert_eq!(rollcall.log_lines("answers over UDP are held back"), 1);
    assert!(rollcall.has_line(&["127.1.2.3", "RateLimit (5)", "RateLimitExempt"]));
}

#[test]
fn short_answers_lead_honest_clients_to_tcp_or_to_a_cookie() {
    // Each answer above the limit is short.
    let (_master, rollcall) = serving(json!({"RateLimit": 1, "RateLimitSlip": 1}));
    let stranger = client_at(STRANGER, &rollcall);
    let web = query("web.marathon.mesos", A);
    let is_short = || decode(&stranger.udp(&web)).metadata.truncation;
    // Over TCP, which nobody speaks in another's name, and with dig's own eyes.
    wait_until("TC", is_short);
    let plain = ["+nocookie", "web.marathon.mesos", "A"];
    wait_until("dig to go over TCP", || {
        is_short();
        let said = dig(&rollcall, NEIGHBOUR, &plain);
        assert!(
            said.contains("10.3.0.1") && said.contains("NOERROR"),
            "{said}"
        );
        said.contains("Truncated, retrying in TCP mode")
    });
    // BADCOOKIE brings the cookie with which the next query is answered.
    let cookie = ["+cookie", "+showbadcookie", "web.marathon.mesos", "A"];
    wait_until("dig to ask again with the cookie", || {
        is_short();
        let said = dig(&rollcall, NEIGHBOUR, &cookie);
        assert!(said.contains("10.3.0.1"), "{said}");
        assert!(!said.contains("TCP"), "{said}");
        said.contains("BADCOOKIE, retrying")
    });
    let samples = Samples::of(&rollcall);
    let name = r#"rollcall_dns_responses_total{transport="udp",rcode="BADCOOKIE"}"#;
    assert!(samples.get(name) >= 1.0);
}

#[test]
fn clients_with_a_good_cookie_are_not_limited() {
    let (_master, rollcall) = serving(json!({}));
    let stranger = client_at(STRANGER, &rollcall);
    let with = |data: &[u8]| crate::cookies::with_cookie("web.marathon.mesos", data);
    let first = stranger.udp(&with(&[7; 8]));
    let cookie = crate::cookies::cookie_of(&first).expect("a cookie");
    for _ in 0..100 {
        let answer = stranger.udp(&with(&cookie));
        assert_eq!(decode(&answer).answers.len(), 1);
    }
    // It is good for its own address alone.
    let neighbour = client_at(NEIGHBOUR, &rollcall);
    let answers = flood(&rollcall, &neighbour, &with(&cookie), 100);
    assert!(answers.len() < 100);
    let codes: Vec<_> = answers.iter().map(|it| it.metadata.response_code).collect();
    assert!(codes.contains(&ResponseCode::BADCOOKIE), "{codes:?}");
}

#[test]
fn answers_of_others_are_limited_as_our_own_are() {
    let resolver = Resolver::start();
    let resolvers = [resolver.address().to_string()];
    let (_master, rollcall) = serving(json!({"Resolvers": resolvers, "ExternalOn": true}));
    let stranger = client_at(STRANGER, &rollcall);
    // From the cache; then such as are waited for.
    assert_eq!(stranger.addresses("web.example").len(), 1);
    let answers = flood(&rollcall, &stranger, &query("web.example", A), 50);
    assert!(answers.len() < 50 && answers.iter().any(|it| it.metadata.truncation));
    let (before, _) = limited(&rollcall);
    for number in 0..60 {
        stranger.send_udp(&query(&format!("late-30-{number}.example"), TXT));
        stranger.send_udp(&query("late-200.example", A));
    }
    wait_until("late ones to be limited", || {
        limited(&rollcall).0 >= before + 20
    });
}

#[test]
fn names_below_a_wildcard_count_together() {
    let folder = Folder::new();
    let file = folder.write("static.zone", "*.lab A 10.2.0.1\n");
    let (_master, rollcall) = serving(json!({"StaticRecords": file.display().to_string()}));
    let stranger = client_at(STRANGER, &rollcall);
    assert_eq!(stranger.addresses("x.lab.mesos").len(), 1);
    for number in 0..60 {
        stranger.send_udp(&query(&format!("x{number}.lab.mesos"), A));
    }
    wait_until("them to be limited", || limited(&rollcall).0 > 5);
}

#[test]
fn a_limit_of_zero_and_a_reload_are_heeded() {
    let (_master, rollcall) = serving(json!({"RateLimit": 0}));
    let stranger = client_at(STRANGER, &rollcall);
    let web = query("web.marathon.mesos", A);
    assert_eq!(flood(&rollcall, &stranger, &web, 100).len(), 100);
    rollcall.reconfigure(json!({"RateLimit": 5}));
    assert!(flood(&rollcall, &stranger, &web, 100).len() < 100);
    rollcall.reconfigure(json!({"RateLimitExempt": ["127.0.0.0/8"]}));
    assert_eq!(flood(&rollcall, &stranger, &web, 100).len(), 100);
}

/// RFC 8482, 4.1.
#[test]
fn strangers_get_one_rrset_for_any_over_udp() {
    let (_master, rollcall) = serving(json!({"RateLimit": 0}));
    let stranger = client_at(STRANGER, &rollcall);
    let message = with_edns(query("mesos", ANY), 4096, 0, false);
    let known = decode(&rollcall.client().udp(&message));
    assert!(known.answers.len() >= 2, "{known}");
    let over_tcp = decode(&stranger.tcp(&message));
    assert_eq!(over_tcp.answers.len(), known.answers.len());
    let narrow = decode(&stranger.udp(&message));
    assert_eq!(narrow.answers.len(), 1, "{narrow}");
    assert_eq!(u16::from(narrow.answers[0].record_type()), SOA);
    let ns = decode(&stranger.udp(&query("mesos", NS)));
    assert_eq!(ns.answers.len(), 1);
    for name in ["web.marathon.mesos", "localhost"] {
        let answer = decode(&stranger.udp(&query(name, ANY)));
        assert_eq!(answer.answers.len(), 1, "{answer}");
    }
    let nothing = stranger.ask("nothing.mesos", ANY);
    assert_eq!(nothing.metadata.response_code, ResponseCode::NXDomain);
}

#[test]
fn keys_of_limits_are_refused_with_the_value_at_fault() {
    for (members, texts) in [
        (r#""RateLimit":10001"#, ["RateLimit", "0 to 10000"]),
        (r#""RateLimitSlip":11"#, ["RateLimitSlip", "0 to 10"]),
        (
            r#""RateLimitExempt":["10.0.0.0/40"]"#,
            ["RateLimitExempt", "10.0.0.0/40"],
        ),
        (
            r#""CookieSecret":"5ec4e7""#,
            ["CookieSecret", "32 hexadecimal digits"],
        ),
    ] {
        let text = crate::config::with_masters(members);
        crate::config::refused("rates-refused", &text, &texts);
    }
}
