//! DNS cookies as others see them: dig and kdig learn ours and find them good, instances with one secret
//! take each other's, and what is malformed is told so.

use std::net::SocketAddr;
use std::process::Command;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use serde_json::{Value, json};

use crate::support::client::{A, SOA, TXT, decode, query, with_edns};
use crate::support::master::{Behaviour, Master};
use crate::support::process::Rollcall;
use crate::support::resolver::Resolver;
use crate::support::state::State;

fn serving(settings: Value) -> (Master, Rollcall) {
    let master = Master::start(|leader| Behaviour::Serve(State::new(leader).text()));
    let rollcall = Rollcall::serving(&[master.address()], settings);
    (master, rollcall)
}

/// A query for addresses with a cookie option of these octets.
pub fn with_cookie(name: &str, data: &[u8]) -> Vec<u8> {
    of_type(name, A, data)
}

fn of_type(name: &str, rtype: u16, data: &[u8]) -> Vec<u8> {
    let mut message = with_edns(query(name, rtype), 1232, 0, false);
    let length = message.len() - 1;
    message[length] = 4 + data.len() as u8;
    message.extend([0, 10, 0, data.len() as u8]);
    message.extend(data);
    message
}

/// The cookies of an answer, the client's and the server's, as somebody else reads them.
pub fn cookie_of(answer: &[u8]) -> Option<Vec<u8>> {
    let edns = decode(answer).edns?;
    let options = edns.options().as_ref().iter();
    let mut cookies = options.filter(|(code, _)| *code == EdnsCode::Cookie);
    match (cookies.next(), cookies.next()) {
        (Some((_, EdnsOption::Unknown(_, data))), None) => Some(data.clone()),
        (None, None) => None,
        other => panic!("{other:?}"),
    }
}

fn said(program: &str, server: SocketAddr, words: &[&str]) -> String {
    let output = Command::new(program)
        .args(["-p", &server.port().to_string()])
        .arg(format!("@{}", server.ip()))
        .args(words)
        .output()
        .expect("a program that tests/run installs");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn dig_and_kdig_learn_our_cookies_and_find_them_good() {
    let (_master, rollcall) = serving(json!({}));
    let server = rollcall.dns_address();
    for transport in ["+notcp", "+tcp"] {
        let text = said("dig", server, &["+cookie", transport, "mesos", "SOA"]);
        let line = text.lines().find(|it| it.starts_with("; COOKIE:"));
        let line = line.unwrap_or_else(|| panic!("{text}"));
        assert!(line.ends_with("(good)"), "{line}");
        let cookie = line.split(' ').nth(2).expect("a cookie");
        assert_eq!(cookie.len(), 48, "{line}");
        // With what it learned: the same again.
        let again = format!("+cookie={cookie}");
        let text = said("dig", server, &[&again, transport, "mesos", "SOA"]);
        assert!(
            text.contains(&format!("; COOKIE: {cookie} (good)")),
            "{text}"
        );
        assert!(text.contains("NOERROR"), "{text}");
        let text = said("kdig", server, &[&again, transport, "mesos", "SOA"]);
        assert!(text.to_lowercase().contains(&cookie[16..]), "{text}");
        assert!(text.contains("NOERROR"), "{text}");
    }
}

#[test]
fn every_answer_to_a_cookie_has_ours_within_its_limit() {
    let resolver = Resolver::start();
    let resolvers = [resolver.address().to_string()];
    let (_master, rollcall) =
        serving(json!({"Resolvers": resolvers, "ExternalOn": true, "Workers": 1}));
    let client = rollcall.client();
    for name in [
        "mesos",
        "nothing.mesos",
        "web.example",
        "web.example",
        "nx.example",
        "big-16.example",
    ] {
        let rtype = if name.starts_with("big") { TXT } else { SOA };
        let message = of_type(name, rtype, b"a client");
        for answer in [client.udp(&message), client.tcp(&message)] {
            let cookie = cookie_of(&answer).unwrap_or_else(|| panic!("{name}"));
            assert_eq!((cookie.len(), &cookie[..8]), (24, &b"a client"[..]));
            assert_eq!(cookie[8], 1, "{name}");
        }
        assert!(client.udp(&message).len() <= 1232, "{name}");
        // Who has none gets none.
        assert_eq!(
            cookie_of(&client.udp(&with_edns(query(name, rtype), 1232, 0, false))),
            None
        );
    }
    // It stays between neighbours (RFC 7873, 4).
    let asked = resolver.last_query();
    assert!(!asked.windows(8).any(|it| it == b"a client"), "{asked:?}");
    let asked = Message::from_vec(&asked).expect("a query");
    assert!(asked.edns.is_some());
}

#[test]
fn cookies_of_a_wrong_length_are_formerr_and_bad_ones_are_answered() {
    let (_master, rollcall) = serving(json!({}));
    let client = rollcall.client();
    for length in [0, 7, 9, 15, 41] {
        for answer in [
            client.udp(&of_type("mesos", SOA, &vec![1; length])),
            client.tcp(&of_type("mesos", SOA, &vec![1; length])),
        ] {
            let code = decode(&answer).metadata.response_code;
            assert_eq!(code, ResponseCode::FormErr, "{length}");
        }
    }
    for length in [8, 16, 24, 40] {
        let bad = vec![1; length];
        let answer = client.udp(&of_type("mesos", SOA, &bad));
        assert_eq!(decode(&answer).answers.len(), 1, "{length}");
        let cookie = cookie_of(&answer).expect("a fresh one");
        assert!(cookie[..8] == bad[..8] && cookie != bad, "{length}");
    }
}

#[test]
fn instances_with_one_secret_make_one_cookie_and_a_reload_makes_another() {
    let secret = json!({"CookieSecret": "e5e973e5a6b2a43f48e7dc849e37bfcf"});
    let (_one, one) = serving(secret.clone());
    let (_other, other) = serving(secret);
    let message = |data: &[u8]| of_type("mesos", SOA, data);
    let cookie = cookie_of(&one.client().udp(&message(&[5; 8]))).expect("a cookie");
    let again = cookie_of(&other.client().udp(&message(&cookie)));
    assert_eq!(again.as_ref(), Some(&cookie));
    // It is shown nowhere.
    let (_, shown) = one.get("/v1/config");
    assert!(!(shown + &one.log()).contains("e5e973e5"));
    one.reconfigure(json!({"CookieSecret": "445536bcd2513298075a5d379663c962"}));
    let fresh = cookie_of(&one.client().udp(&message(&cookie))).expect("a cookie");
    assert_ne!(fresh[16..], cookie[16..]);
    // Without one each process has its own, and keeps it.
    one.reconfigure(json!({"CookieSecret": ""}));
    let own = cookie_of(&one.client().udp(&message(&cookie))).expect("a cookie");
    assert!(own[16..] != cookie[16..] && own[16..] != fresh[16..]);
    one.reconfigure(json!({"RateLimit": 7}));
    let kept = cookie_of(&one.client().udp(&message(&own)));
    assert_eq!(kept, Some(own));
}
