//! Names outside the domain, asked of resolvers on loopback that do what they are told.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use serde_json::{Value, json};

use crate::support::client::{A, AAAA, ID, TXT, decode, query, with_edns};
use crate::support::files::Folder;
use crate::support::process::{Rollcall, free_address, request};
use crate::support::resolver::Resolver;
use crate::support::wait_until;

/// Rollcall in front of these resolvers; no master is needed for it.
pub fn forwarding(resolvers: &[SocketAddr], settings: Value) -> Rollcall {
    let resolvers: Vec<_> = resolvers.iter().map(ToString::to_string).collect();
    let mut all = json!({"ExternalOn": true, "Resolvers": resolvers, "Workers": 1});
    for (key, value) in settings.as_object().into_iter().flatten() {
        all[key] = value.clone();
    }
    Rollcall::listening(&[free_address()], all)
}

fn one() -> (Resolver, Rollcall) {
    let resolver = Resolver::start();
    let rollcall = forwarding(&[resolver.address()], json!({}));
    (resolver, rollcall)
}

#[test]
fn name_outside_is_asked_of_the_resolver_over_both_transports() {
    let (resolver, rollcall) = one();
    let client = rollcall.client();
    for answer in [
        client.ask("web.example", A),
        decode(&client.tcp(&query("other.example", A))),
    ] {
        assert_eq!(answer.answers[0].data.to_string(), "192.0.2.1");
    }
    assert_eq!(resolver.asked_over("other.example", true), 1);
    assert_eq!(client.rcode("nx.example", A), ResponseCode::NXDomain);
    assert_eq!(client.rcode("nodata.example", A), ResponseCode::NoError);
    assert_eq!(client.rcode("servfail.example", A), ResponseCode::ServFail);
    assert_eq!(client.rcode("refused.example", A), ResponseCode::Refused);
    // The domain's own names never get there.
    assert_eq!(client.rcode("web.mesos", A), ResponseCode::ServFail);
    assert_eq!(resolver.asked("web.mesos"), 0);
}

#[test]
fn query_and_reply_pass_through_octet_by_octet() {
    let (resolver, rollcall) = one();
    let client = rollcall.client();
    // NSID (RFC 5001) and an option that nobody knows, DO, CD, AD and mixed case.
    let mut message = query("wEb.ExAmPlE", A);
    message[3] = 0x30;
    let mut message = with_edns(message, 1400, 0, true);
    let at = message.len() - 1;
    message[at] = 13;
    message.extend([0, 3, 0, 0, 0xfd, 0xe9, 0, 5, b'h', b'e', b'l', b'l', b'o']);
    let answer = client.udp(&message);
    assert_eq!(resolver.last_query()[2..], message[2..]);
    assert_ne!(resolver.last_query()[..2], message[..2], "an ID of its own");
    assert!(
        answer.ends_with(&message[message.len() - 24..]),
        "OPT as it was"
    );
    assert_eq!(answer[12..12 + 17], message[12..12 + 17]);
    decode(&answer);
    // Nobody shares such an answer.
    client.udp(&message);
    assert_eq!(resolver.asked("wEb.ExAmPlE"), 2);
}

#[test]
fn answer_is_kept_as_long_as_its_ttl_and_counts_down() {
    let (resolver, rollcall) = one();
    let client = rollcall.client();
    let first = client.ask("ttl-2-x.example", A);
    assert_eq!(first.answers[0].ttl, 2);
    let again = client.ask("TTL-2-x.example", A);
    assert!(again.answers[0].ttl <= 2);
    assert!(!again.metadata.authoritative);
    assert_eq!(again.queries[0].name().to_string(), "TTL-2-x.example.");
    assert_eq!(resolver.asked("ttl-2-x.example"), 1);
    assert_eq!(resolver.asked("TTL-2-x.example"), 0);
    wait_until("another question", || {
        client.ask("ttl-2-x.example", A);
        resolver.asked("ttl-2-x.example") == 2
    });
    // Over TCP, with EDNS, it is the same answer; with DO and for another type it is not.
    client.ask("web.example", A);
    client.tcp(&query("web.example", A));
    client.udp(&with_edns(query("web.example", A), 1232, 0, false));
    assert_eq!(resolver.asked("web.example"), 1);
    client.udp(&with_edns(query("web.example", A), 1232, 0, true));
    assert_eq!(resolver.asked("web.example"), 2);
    client.ask("web.example", AAAA);
    assert_eq!(resolver.asked("web.example"), 3);
    // Negative answers are kept as well; failures are not.
    for (name, asked) in [
        ("nx.example", 1),
        ("nodata.example", 1),
        ("servfail.example", 2),
    ] {
        client.ask(name, A);
        client.ask(name, A);
        assert_eq!(resolver.asked(name), asked, "{name}");
    }
}

#[test]
fn identical_queries_in_flight_are_asked_once() {
    let (resolver, rollcall) = one();
    let clients: Vec<_> = (0..20).map(|_| rollcall.client()).collect();
    for (number, client) in clients.iter().enumerate() {
        let name = if number % 2 == 0 {
            "late-300.example"
        } else {
            "LATE-300.example"
        };
        client.send_udp(&query(name, A));
    }
    for (number, client) in clients.iter().enumerate() {
        let answer = decode(&client.receive().expect("an answer"));
        assert_eq!(answer.answers[0].data.to_string(), "192.0.2.1");
        let name = answer.queries[0].name().to_string();
        assert_eq!(name.starts_with("late"), number % 2 == 0, "{name}");
    }
    let asked = resolver.asked("late-300.example") + resolver.asked("LATE-300.example");
    assert_eq!(asked, 1);
}

#[test]
fn truncated_answer_goes_back_as_such_and_is_kept_for_nobody() {
    let (resolver, rollcall) = one();
    let client = rollcall.client();
    for asked in 1..3 {
        assert!(client.ask("tc.example", A).metadata.truncation);
        assert_eq!(resolver.asked_over("tc.example", false), asked);
    }
    let answer = decode(&client.tcp(&query("tc.example", A)));
    assert_eq!(answer.answers.len(), 1);
    assert_eq!(resolver.asked_over("tc.example", true), 1);
    // Over TCP it was whole, which is good for UDP as well.
    assert_eq!(client.ask("tc.example", A).answers.len(), 1);
    // 40 records of 75 octets: too many for the datagram, as the client says.
    let whole = decode(&client.tcp(&query("big-40.example", TXT)));
    assert_eq!(whole.answers.len(), 40);
    let cut = client.ask("big-40.example", TXT);
    assert!(cut.metadata.truncation && cut.answers.is_empty());
    // Whatever size the client states, no answer has more than 1232 octets: neither one that comes fresh
    // (3,000 octets, over UDP and over TCP) nor one of the cache.
    let large = |name| client.udp(&with_edns(query(name, TXT), 4096, 0, false));
    for _ in 0..2 {
        let answer = large("big-41.example");
        assert!(answer.len() <= 1232, "{}", answer.len());
        let answer = decode(&answer);
        assert!(answer.metadata.truncation && answer.answers.is_empty());
    }
    let whole = client.tcp(&with_edns(query("big-42.example", TXT), 4096, 0, false));
    assert!(whole.len() > 3_000 && decode(&whole).answers.len() == 42);
    let answer = large("big-42.example");
    assert!(answer.len() <= 1232 && decode(&answer).metadata.truncation);
    // Of 16 records all fit.
    assert_eq!(decode(&large("big-15.example")).answers.len(), 15);
}

#[test]
fn only_the_right_reply_of_the_right_resolver_is_taken() {
    let (resolver, rollcall) = one();
    let client = rollcall.client();
    for kind in ["wrong-id", "wrong-question", "wrong-port"] {
        for number in 0..10 {
            let name = format!("{kind}.{number}.example");
            let answer = client.ask(&name, A);
            assert_eq!(answer.queries[0].name().to_string(), format!("{name}."));
            assert_eq!(answer.answers[0].data.to_string(), "192.0.2.1", "{kind}");
        }
    }
    // Many queries, from several ports.
    for number in 0..50 {
        client.ask(&format!("web.{number}.example"), A);
    }
    assert!(resolver.ports() >= 6, "{}", resolver.ports());
}

#[test]
fn resolver_that_says_rubbish_or_fails_is_passed_over_for_the_next() {
    let (bad, good) = (Resolver::start(), Resolver::start());
    let rollcall = forwarding(&[bad.address(), good.address()], json!({"CacheBytes": 0}));
    let client = rollcall.client();
    client.ask("web.example", A);
    assert_eq!(
        (bad.asked_in_all(), good.asked_in_all()),
        (1, 0),
        "in order"
    );
    // What one says ends the wait at once; both get their say.
    assert_eq!(client.rcode("servfail.example", A), ResponseCode::ServFail);
    assert_eq!(good.asked("servfail.example"), 1);
    let nobody = free_address();
    let rollcall = forwarding(&[nobody, good.address()], json!({}));
    let client = rollcall.client();
    for number in 0..20 {
        let begin = Instant::now();
        assert_eq!(
            client
                .ask(&format!("web.{number}.example"), A)
                .answers
                .len(),
            1
        );
        assert!(
            begin.elapsed() < Duration::from_secs(1),
            "{:?}",
            begin.elapsed()
        );
    }
}

#[test]
fn dead_resolver_is_not_waited_for_and_comes_back_by_itself() {
    let (first, second) = (Resolver::start(), Resolver::start());
    let rollcall = forwarding(
        &[first.address(), second.address()],
        json!({"CacheBytes": 0}),
    );
    let client = rollcall.client();
    client.ask("web.example", A);
    first.set_dead(true);
    for number in 0..200 {
        assert_eq!(
            client
                .ask(&format!("web.{number}.example"), A)
                .answers
                .len(),
            1
        );
    }
    let asked = first.asked_in_all();
    // Three queries found out, and some more looked whether it is back.
    assert!(asked < 20, "{asked}");
    first.set_dead(false);
    wait_until("first resolver back", || {
        let before = second.asked_in_all();
        client.ask("web.example", A);
        second.asked_in_all() == before
    });
}

#[test]
fn expired_answer_is_given_when_no_resolver_answers() {
    let (resolver, rollcall) = one();
    let client = rollcall.client();
    client.ask("ttl-1-x.example", A);
    resolver.set_dead(true);
    wait_until("expired answer", || {
        let answer = client.ask("ttl-1-x.example", A);
        assert_eq!(answer.answers[0].data.to_string(), "192.0.2.1");
        // RFC 8767, 4.
        answer.answers[0].ttl == 30
    });
    // Once it is known that nobody is there, nobody waits.
    wait_until("resolver that is known to be down", || {
        let begin = Instant::now();
        let answer = client.ask("ttl-1-x.example", A);
        assert_eq!(answer.answers.len(), 1);
        begin.elapsed() < Duration::from_millis(100)
    });
    resolver.set_dead(false);
    wait_until("fresh answer", || {
        client.ask("ttl-1-x.example", A).answers[0].ttl == 1
    });
}

#[test]
fn query_that_nobody_answers_is_servfail_within_the_timeout() {
    let resolver = Resolver::start();
    let rollcall = forwarding(&[resolver.address()], json!({"Timeout": 1}));
    let client = rollcall.client();
    let begin = Instant::now();
    assert_eq!(client.rcode("silent.example", A), ResponseCode::ServFail);
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(900), "{took:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");
    // One datagram may be lost: it was asked more than once.
    assert!(resolver.asked("silent.example") > 1);
    let answer = decode(&client.tcp(&query("silent.example", A)));
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
}

#[test]
fn resolver_that_drips_over_tcp_holds_up_nobody_else() {
    let resolver = Resolver::start();
    let rollcall = forwarding(&[resolver.address()], json!({"Timeout": 1}));
    let client = rollcall.client();
    let mut slow = client.connect();
    slow.send(&query("drip.example", A));
    let begin = Instant::now();
    assert_eq!(client.ask("web.example", A).answers.len(), 1);
    assert_eq!(client.rcode("web.mesos", A), ResponseCode::ServFail);
    assert!(
        begin.elapsed() < Duration::from_millis(500),
        "{:?}",
        begin.elapsed()
    );
    let answer = decode(&slow.receive().expect("SERVFAIL"));
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    // The next finds a connection that works.
    wait_until("answer over TCP", || {
        let answer = decode(&client.tcp(&query("web.tcp.example", A)));
        answer.answers.len() == 1
    });
}

#[test]
fn pipelined_queries_over_one_connection_share_one_upstream() {
    let (resolver, rollcall) = one();
    let mut connection = rollcall.client().connect();
    for number in 0..100_u16 {
        let mut message = query(&format!("web.{number}.example"), A);
        message[..2].copy_from_slice(&number.to_be_bytes());
        connection.send(&message);
    }
    let mut ids: Vec<u16> = (0..100)
        .map(|_| {
            let answer = connection.receive().expect("an answer");
            assert_eq!(answer[7], 1, "one record");
            u16::from_be_bytes([answer[0], answer[1]])
        })
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..100).collect::<Vec<_>>());
    assert_eq!(resolver.connections(), 1);
}

#[test]
fn without_rd_nobody_else_is_asked() {
    let (resolver, rollcall) = one();
    let client = rollcall.client();
    let mut message = query("web.example", A);
    message[2] &= !1;
    let refused = decode(&client.udp(&message));
    assert_eq!(refused.metadata.response_code, ResponseCode::Refused);
    assert_eq!(resolver.asked_in_all(), 0);
    client.ask("web.example", A);
    assert_eq!(decode(&client.udp(&message)).answers.len(), 1);
    assert_eq!(resolver.asked_in_all(), 1);
}

#[test]
fn zones_have_resolvers_of_their_own() {
    let (common, corp) = (Resolver::start(), Resolver::start());
    let zones = json!({"ZoneResolvers": {"Corp.example": [corp.address().to_string()]}});
    let rollcall = forwarding(&[common.address()], zones);
    let client = rollcall.client();
    for name in [
        "web.corp.example",
        "corp.example",
        "web.example",
        "xcorp.example",
    ] {
        assert_eq!(client.ask(name, A).answers.len(), 1, "{name}");
    }
    assert_eq!((corp.asked_in_all(), common.asked_in_all()), (2, 2));
}

#[test]
fn hot_name_is_asked_again_before_it_expires() {
    let (resolver, rollcall) = one();
    let client = rollcall.client();
    client.ask("ttl-10-x.example", A);
    wait_until("another question while the answer is fresh", || {
        let answer = client.ask("ttl-10-x.example", A);
        assert!(answer.answers[0].ttl <= 10);
        resolver.asked("ttl-10-x.example") == 2
    });
    assert_eq!(
        decode(&client.udp(&query("ttl-10-x.example", A)))
            .metadata
            .id,
        ID
    );
}

#[test]
fn cache_is_emptied_on_request_and_what_was_counted_is_shown() {
    let (resolver, rollcall) = one();
    let client = rollcall.client();
    for _ in 0..3 {
        client.ask("web.example", A);
    }
    let shown = || rollcall.status()["forwarding"].clone();
    wait_until("counts", || shown()["cache"]["bytes"].as_u64() > Some(0));
    let before = shown();
    assert_eq!(before["cache"]["hits"], 2);
    assert_eq!(before["cache"]["misses"], 1);
    let upstream = &before["upstreams"][0];
    assert_eq!(upstream["address"], resolver.address().to_string());
    assert_eq!(upstream["queries"], 1);
    assert!(upstream["rtt_us"]["p99"].as_u64() > Some(0), "{upstream}");
    // Only by POST.
    assert_eq!(rollcall.get("/v1/cache/flush").0, 405);
    client.ask("web.example", A);
    assert_eq!(resolver.asked("web.example"), 1);
    assert_eq!(
        request(rollcall.http_address(), "POST", "/v1/cache/flush").0,
        200
    );
    client.ask("web.example", A);
    assert_eq!(resolver.asked("web.example"), 2);
}

/// The late reply of a resolver that another was faster than is given up, and costs nothing meanwhile.
#[test]
fn forwarder_that_has_nothing_to_do_takes_no_time() {
    let (silent, other) = (Resolver::start(), Resolver::start());
    silent.set_dead(true);
    let rollcall = forwarding(&[silent.address(), other.address()], json!({}));
    let client = rollcall.client();
    client.ask("web.example", A);
    client.tcp(&query("tcp.example", A));
    let (begin, before) = (Instant::now(), rollcall.cpu_time());
    wait_until("end of three seconds", || {
        begin.elapsed() > Duration::from_secs(3)
    });
    let took = rollcall.cpu_time() - before;
    assert!(took < Duration::from_millis(500), "{took:?}");
}

#[test]
fn static_cname_that_leads_outside_is_completed_by_the_resolver() {
    let resolver = Resolver::start();
    let folder = Folder::new();
    let text = "www 60 CNAME web.example.\nnone CNAME nx.example.\nbad CNAME servfail.example.\n\
                large CNAME big-40.example.\n";
    let file = folder.write("static.zone", text);
    let settings = json!({"StaticRecords": file, "Timeout": 1});
    let rollcall = forwarding(&[resolver.address()], settings);
    let client = rollcall.client();
    // First asked for, then remembered.
    for _ in 0..2 {
        for answer in [
            client.ask("www.mesos", A),
            decode(&client.tcp(&query("www.mesos", A))),
            decode(&client.udp(&with_edns(query("WWW.mesos", A), 1232, 0, false))),
        ] {
            let data: Vec<_> = answer
                .answers
                .iter()
                .map(|it| it.data.to_string())
                .collect();
            assert_eq!(data, ["web.example.", "192.0.2.1"]);
            assert_eq!(answer.answers[1].name.to_string(), "web.example.");
        }
    }
    assert_eq!(resolver.asked_over("web.example", false), 1);
    let none = client.ask("none.mesos", A);
    assert_eq!(none.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!((none.answers.len(), none.authorities.len()), (1, 1));
    assert_eq!(client.rcode("bad.mesos", A), ResponseCode::ServFail);
    let large = decode(&client.tcp(&query("large.mesos", TXT)));
    assert_eq!(large.answers.len(), 41);
    assert!(client.ask("large.mesos", TXT).metadata.truncation);
    // Without RD it is the CNAME alone.
    let mut message = query("www.mesos", AAAA);
    message[2] &= !1;
    let alone = decode(&client.udp(&message));
    assert_eq!(
        (alone.metadata.response_code, alone.answers.len()),
        (ResponseCode::NoError, 1)
    );
    assert_eq!(resolver.asked("web.example"), 1);
}
