//! Answers by hand, counted by a clock of the test's own.

use hickory_proto::op::{Message, ResponseCode};
use proptest::prelude::*;

use super::*;
use crate::dns::cookie::{Cookie, Secret};
use crate::dns::name::wire_from_text;

const LIMITING: fn() -> Limiting = || Limiting {
    per_second: 10,
    slip: 2,
    exempt: Blocks::new(&[Subnet::parse("10.0.0.0/8").expect("a block")]),
};

/// Header, question, so many records of the answer section, the SOA of a zone, OPT.
fn answer(name: &str, rtype: u8, flags: u16, answers: u8, zone: Option<&str>) -> Vec<u8> {
    let mut octets = vec![1, 2];
    octets.extend((0x8400 | flags).to_be_bytes());
    octets.extend([0, 1, 0, answers, 0, u8::from(zone.is_some()), 0, 1]);
    // Spelling is kept.
    for label in name.split('.').filter(|label| !label.is_empty()) {
        octets.push(label.len() as u8);
        octets.extend(label.as_bytes());
    }
    octets.extend([0, 0, rtype, 0, 1]);
    for number in 0..answers {
        octets.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, number]);
    }
    if let Some(zone) = zone {
        octets.extend(wire_from_text(zone).expect(zone));
        octets.extend([0, 6, 0, 1, 0, 0, 0, 60, 0, 22, 0, 0]);
        octets.extend([0; 20]);
    }
    octets.extend([0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 0]);
    octets
}

fn a(name: &str) -> Vec<u8> {
    answer(name, 1, 0, 1, None)
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect(text)
}

/// How often an answer passes of so many times.
fn passed(rates: &mut Rates, client: &str, answer: &[u8], times: usize, now_ms: u64) -> usize {
    let limiting = LIMITING();
    let mut verdict = || rates.judge(&limiting, ip(client), false, answer, now_ms);
    (0..times).filter(|_| verdict() == Verdict::Pass).count()
}

#[test]
fn above_the_limit_each_second_answer_is_short_and_the_others_are_not() {
    let mut rates = Rates::default();
    let mut judge = |slip| {
        let limiting = Limiting { slip, ..LIMITING() };
        rates.judge(&limiting, ip("192.0.2.1"), false, &a("web.mesos"), 7)
    };
    assert!((0..10).all(|_| judge(2) == Verdict::Pass));
    for _ in 0..5 {
        assert_eq!((judge(2), judge(2)), (Verdict::Drop, Verdict::Slip));
    }
    assert!((0..5).all(|_| judge(1) == Verdict::Slip));
    assert!((0..5).all(|_| judge(0) == Verdict::Drop));
}

#[test]
fn a_bucket_fills_again_within_a_second_and_no_further() {
    let mut rates = Rates::default();
    let answer = a("web.mesos");
    // Also where the 20 bits of the clock come round.
    for start in [1_000, (1 << 20) - 500, 1 << 40] {
        let mut at = |ms: u64, times| passed(&mut rates, "192.0.2.1", &answer, times, start + ms);
        assert_eq!(at(0, 20), 10);
        assert_eq!(at(99, 20), 0);
        assert_eq!(at(100, 20), 1);
        assert_eq!(at(350, 20), 2);
        assert_eq!(at(399, 20), 0);
        assert_eq!(at(400, 20), 1);
        assert_eq!(at(5_000, 20), 10);
        // Steady, it is what the limit says.
        let steady = (0..2_000).map(|turn| at(10_000 + 5 * turn, 1));
        assert_eq!(steady.sum::<usize>(), 10 + 99);
    }
}

#[test]
fn networks_and_answers_count_by_themselves() {
    let mut rates = Rates::default();
    let mut judge = |client: &str, answer: &[u8]| passed(&mut rates, client, answer, 20, 7);
    let web = a("web.mesos");
    assert_eq!(judge("192.0.2.1", &web), 10);
    // The same network, or the same answer.
    for (client, same) in [
        ("192.0.2.1", a("WEB.mesos")),
        ("192.0.2.255", web.clone()),
        ("192.0.2.1", a("web.*.mesos")),
        ("192.0.2.1", answer("web.mesos", 1, 0, 3, None)),
        ("192.0.2.1", answer("web.mesos", 1, flag::TC, 0, None)),
    ] {
        assert_eq!(judge(client, &same), 0, "{client} {same:?}");
    }
    for (client, other) in [
        ("192.0.3.1", web.clone()),
        ("2001:db8::1", web.clone()),
        ("192.0.2.1", a("web2.mesos")),
        ("192.0.2.1", a("*.web.mesos")),
        ("192.0.2.1", answer("web.mesos", 28, 0, 1, None)),
        ("192.0.2.1", answer("web.mesos", 28, 0, 0, Some("mesos"))),
        ("192.0.2.1", answer("web.mesos", 1, 0, 0, Some("example"))),
        ("192.0.2.1", answer("web.mesos", 1, 5, 0, None)),
        ("192.0.2.1", answer("web.mesos", 1, 2, 0, None)),
    ] {
        assert_eq!(judge(client, &other), 10, "{client} {other:?}");
    }
    // What is denied in one zone, and errors of one code, whatever was asked for.
    for (client, same) in [
        ("2001:db8:0:ff::7", web.clone()),
        ("192.0.2.1", answer("x.y.mesos", 1, 3, 0, Some("mesos"))),
        ("192.0.2.1", answer("z.mesos", 28, 0, 0, Some("mesos"))),
        ("192.0.2.1", answer("other.example", 1, 5, 0, None)),
    ] {
        assert_eq!(judge(client, &same), 0, "{client} {same:?}");
    }
    assert_eq!(judge("2001:db8:0:100::1", &web), 10);
    let mut covered = |name| {
        let mut verdict = || rates.judge(&LIMITING(), ip("192.0.2.1"), true, &a(name), 7);
        (0..20).filter(|_| verdict() == Verdict::Pass).count()
    };
    assert_eq!((covered("x1.lab"), covered("x2.lab")), (10, 0));
}

#[test]
fn a_flood_from_everywhere_takes_no_room_from_those_who_are_limited_nor_answers_from_others() {
    let (mut rates, limiting) = (Rates::default(), LIMITING());
    let (web, other) = (a("web.mesos"), a("other.mesos"));
    assert_eq!(passed(&mut rates, "192.0.2.1", &web, 1_000, 0), 10);
    let mut random = fastrand::Rng::with_seed(5);
    for turn in 0..300_000_u64 {
        // 300,000 a second.
        let now_ms = turn / 300;
        let from = IpAddr::from(random.u32(0x0b00_0000..).to_be_bytes());
        rates.judge(&limiting, from, false, &web, now_ms);
        if turn % 30_000 == 0 {
            let verdict = rates.judge(&limiting, ip("198.51.100.1"), false, &other, now_ms);
            assert_eq!(verdict, Verdict::Pass, "an honest client at {now_ms} ms");
        }
        if turn == 20_000 {
            assert_eq!(passed(&mut rates, "192.0.2.9", &web, 100, now_ms), 0);
        }
    }
    assert_eq!(rates.slots.as_mut_slice().len(), RATE_SLOTS);
}

#[test]
fn short_answers_have_the_question_and_say_what_helps() {
    let mut whole = answer("web.mesos", 1, 0, 3, None);
    let bytes = shorten(&mut whole, None).expect("a short one");
    let short = Message::from_vec(&whole[..bytes]).expect("a message");
    assert_eq!(bytes, 12 + 11 + 4 + 11);
    assert!(short.metadata.truncation && short.metadata.authoritative);
    assert_eq!((short.queries.len(), short.answers.len()), (1, 0));
    assert!(short.edns.expect("OPT").flags().dnssec_ok);

    let cookie = Cookie::from_option(&[1; 8]).expect("a cookie");
    let judged = cookie.judge(ip("192.0.2.1"), &Secret::new([0; 16]), 0);
    let mut whole = answer("web.mesos", 1, 3, 0, Some("mesos"));
    let bytes = shorten(&mut whole, Some(&judged)).expect("a short one");
    let short = Message::from_vec(&whole[..bytes]).expect("a message");
    assert!(!short.metadata.truncation && short.authorities.is_empty());
    assert_eq!(short.metadata.response_code, ResponseCode::BADCOOKIE);
    let opt = &whole[bytes - 39..bytes];
    assert_eq!((opt[..6].last(), &opt[9..11]), (Some(&1), &[0, 28][..]));
    assert_eq!(opt[11..], judged.option);

    // Without a question, as a FORMERR may be.
    let mut fault = vec![0, 1, 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(shorten(&mut fault, Some(&judged)), Some(12));
    let short = Message::from_vec(&fault).expect("a message");
    assert_eq!(short.metadata.response_code, ResponseCode::FormErr);
}

#[test]
fn who_is_exempt_or_has_a_good_cookie_is_never_limited() {
    let (mut rates, mut limiting) = (Rates::default(), LIMITING());
    let stats = WorkerStats::default();
    let mut left = |limiting: &Limiting, client: &str, is_good: bool| {
        let mut limiter = Limiter {
            rates: &mut rates,
            limiting: Some(limiting),
            stats: &stats,
        };
        let judged = Judged {
            is_good,
            option: [0; 28],
        };
        let all = (0..100).map(|_| {
            let mut answer = a("web.mesos");
            limiter.limit(ip(client), || is_good.then_some(judged), false, &mut answer)
        });
        all.filter(|left| *left == Left::All).count() == 100
    };
    assert!(left(&limiting, "10.255.0.1", false));
    assert!(left(&limiting, "192.0.2.1", true));
    assert!(!left(&limiting, "192.0.2.1", false));
    assert_eq!(stats.dropped_by_limit.value(), 45);
    limiting.per_second = 0;
    assert!(left(&limiting, "192.0.2.1", false));
    assert!(Limiting::default().exempt.hold(ip("2001:db8::1")));
}

proptest! {
    #[test]
    fn no_octets_panic_and_no_answer_gets_longer(
        octets in proptest::collection::vec(any::<u8>(), 0..300),
        with_cookie: bool,
        is_covered: bool,
    ) {
        let judged = Judged { is_good: false, option: [0; 28] };
        let mut answer = octets.clone();
        Rates::default().judge(&LIMITING(), ip("192.0.2.1"), is_covered, &answer, 0);
        let cookie = with_cookie.then_some(&judged);
        if let Some(bytes) = shorten(&mut answer, cookie) {
            prop_assert!(bytes <= octets.len());
        }
    }

    #[test]
    fn buckets_are_kept_as_they_are(tag in 1_u64..1 << 26, slipped in 0_u64..16, credit in 0_u64..10_000, at_ms in 0_u64..1 << 20) {
        let slot = Slot { tag, slipped, credit, at_ms };
        let read = Slot::of(slot.word()).expect("a bucket");
        prop_assert_eq!((read.tag, read.slipped, read.credit, read.at_ms), (tag, slipped, credit, at_ms));
        let filled = slot.filled(at_ms + 999, 10_000);
        prop_assert!((credit..=10_000).contains(&filled.credit));
    }
}
