//! Three instances that each ask the next.

use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use rollcall::limits::LOOP_SHUNNED;
use serde_json::json;

use super::{Host, addresses, ask_domain, zone};
use crate::support::client::A;
use crate::support::process::free_address;
use crate::support::upstream::Upstream;

#[test]
fn loop_through_three_instances_is_servfail_until_it_is_undone() {
    let knot = Upstream::knot(&zone("192.0.2.9"));
    let settings = || json!({"Workers": 1});
    let third = Host::new(&[free_address()], settings());
    let second = Host::new(&[third.rollcall.dns_address()], settings());
    let first = Host::new(&[second.rollcall.dns_address()], settings());
    let all = [&first, &second, &third];
    let closing = addresses(&[first.rollcall.dns_address()]);
    third.rollcall.reconfigure(json!({"Resolvers": closing}));
    for number in 0..30 {
        let host = all[number % 3];
        let client = host.rollcall.client();
        let begin = Instant::now();
        let rcode = client.rcode(&format!("n{number}.example"), A);
        assert_eq!(rcode, ResponseCode::ServFail);
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(2), "{took:?}");
        ask_domain(&client);
    }
    let told = all.map(|host| host.rollcall.log_lines("sends our own queries back"));
    assert!(told.iter().sum::<usize>() >= 1, "{told:?}");
    assert!(told.iter().all(|lines| *lines <= 1), "{told:?}");
    // Another resolver, which never led here, is asked at once.
    let right = addresses(&[knot.address()]);
    third.rollcall.reconfigure(json!({"Resolvers": right}));
    let rcode = third.rollcall.client().rcode("after.example", A);
    assert_eq!(rcode, ResponseCode::NoError);
    // The others ask again those whom they shunned, after a while.
    let end = Instant::now() + LOOP_SHUNNED + Duration::from_secs(10);
    for (number, host) in all.iter().enumerate() {
        let client = host.rollcall.client();
        let mut tries = 0;
        while client.rcode(&format!("n{number}-{tries}.example"), A) != ResponseCode::NoError {
            tries += 1;
            assert!(Instant::now() < end, "the shunned are not asked again");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    assert_eq!(
        all.map(|host| host.rollcall.log_lines("sends our own queries back")),
        told
    );
}
