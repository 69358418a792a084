//! Resolvers that send our own queries back to us.

use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use serde_json::json;

use crate::forwarding::forwarding;
use crate::support::client::{A, SOA};
use crate::support::process::free_address;

#[test]
fn loop_through_two_instances_is_told_of_once_and_answered_servfail() {
    let other = forwarding(&[free_address()], json!({}));
    let one = forwarding(&[other.dns_address()], json!({}));
    other.reconfigure(json!({"Resolvers": [one.dns_address().to_string()]}));
    let client = one.client();
    for number in 0..20 {
        let begin = Instant::now();
        let rcode = client.rcode(&format!("web.{number}.example"), A);
        assert_eq!(rcode, ResponseCode::ServFail);
        assert!(
            begin.elapsed() < Duration::from_secs(2),
            "{:?}",
            begin.elapsed()
        );
    }
    let lines = [&one, &other].map(|it| it.log_lines("sends our own queries back"));
    assert!(lines[0] + lines[1] >= 1, "{lines:?}");
    assert!(lines.iter().all(|lines| *lines <= 1), "{lines:?}");
    assert_eq!(client.rcode("mesos", SOA), ResponseCode::ServFail);
}

#[test]
fn loop_through_itself_is_found_as_well() {
    let rollcall = forwarding(&[free_address()], json!({"Workers": 2}));
    let own = rollcall.dns_address();
    rollcall.reconfigure(json!({"Resolvers": [own.to_string()]}));
    let begin = Instant::now();
    let rcode = rollcall.client().rcode("web.example", A);
    assert_eq!(rcode, ResponseCode::ServFail);
    assert!(
        begin.elapsed() < Duration::from_secs(2),
        "{:?}",
        begin.elapsed()
    );
    assert!(rollcall.has_line(&["sends our own queries back", &own.to_string()]));
}
