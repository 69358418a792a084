//! Names outside the domain: what of the configuration decides about them, and what the real program
//! answers and says of them without asking anybody.

use crate::config::{refused, taken, with_masters};

#[test]
fn keys_of_forwarding_are_refused_with_the_value_at_fault() {
    for (members, key, value) in [
        (r#""ZoneResolvers":{"corp":[]}"#, "ZoneResolvers", "corp"),
        (
            r#""ZoneResolvers":{"corp":["x"]}"#,
            "ZoneResolvers",
            "corp=x",
        ),
        (
            r#""ZoneResolvers":{"mesos":["127.0.0.1"]}"#,
            "ZoneResolvers",
            "mesos",
        ),
        (
            r#""ZoneResolvers":{"MESOS":["127.0.0.1"]}"#,
            "ZoneResolvers",
            "MESOS",
        ),
        (
            r#""ZoneResolvers":{"x.mesos":["127.0.0.1"]}"#,
            "ZoneResolvers",
            "x.mesos",
        ),
        (
            r#""ZoneResolvers":{"corp":["127.0.0.1"],"CORP":["127.0.0.1"]}"#,
            "ZoneResolvers",
            "corp",
        ),
        (
            r#""ZoneResolvers":{"a_b":["127.0.0.1"]}"#,
            "ZoneResolvers",
            "a_b",
        ),
        (
            r#""AllowRecursion":["10.0.0.0/33"]"#,
            "AllowRecursion",
            "10.0.0.0/33",
        ),
        (
            r#""AllowRecursion":["interface"]"#,
            "AllowRecursion",
            "the word interfaces",
        ),
        (
            r#""ReverseZones":["interfaces"]"#,
            "ReverseZones",
            "interfaces",
        ),
        (r#""CacheBytes":-1"#, "CacheBytes", "0 to 1099511627776"),
        (
            r#""CacheMinTTL":8,"CacheMaxTTL":7"#,
            "CacheMinTTL: 8: this is more than CacheMaxTTL",
            "7 at most",
        ),
    ] {
        refused("outside-refused", &with_masters(members), &[key, value]);
    }
}

#[test]
fn keys_of_forwarding_are_taken_and_zones_may_lie_in_one_another() {
    let cases: [(&str, &[&str]); 4] = [
        (
            r#""ZoneResolvers":{"corp":["127.0.0.1:5302"],"xcorp":["127.0.0.1"]}"#,
            &["ZoneResolvers {\"corp\":[\"127.0.0.1:5302\"],\"xcorp\":[\"127.0.0.1\"]}"],
        ),
        (
            r#""domain":"a.corp","ZoneResolvers":{"corp":["::1"],"b.corp":["::2"]}"#,
            &["ZoneResolvers {\"b.corp\":[\"::2\"],\"corp\":[\"::1\"]} file"],
        ),
        (
            r#""allowrecursion":["10.1.2.3/8","interfaces"],"reversezones":["192.0.2.0/25"]"#,
            &[
                "AllowRecursion [\"10.0.0.0/8\",\"interfaces\"] file",
                "ReverseZones [\"192.0.2.0/25\"] file",
                "CacheBytes 33554432 default",
                "CacheMinTTL 0 default",
                "CacheMaxTTL 86400 default",
            ],
        ),
        (
            r#""AllowRecursion":[],"CacheBytes":0,"CacheMinTTL":7,"CacheMaxTTL":7"#,
            &[
                "AllowRecursion []",
                "CacheBytes 0",
                "CacheMinTTL 7",
                "CacheMaxTTL 7",
            ],
        ),
    ];
    for (members, shown) in cases {
        taken("outside-taken", &with_masters(members), shown);
    }
}

#[test]
fn zone_whose_names_are_answered_here_warns() {
    let zones = r#""ZoneResolvers":{"corp":["::1"],"onion":["::1"],"a.localhost":["::1"]}"#;
    let report = taken("special", &with_masters(zones), &[]);
    for zone in ["onion", "a.localhost"] {
        let warning = format!("warning: ZoneResolvers: the resolvers of {zone} are never asked");
        assert!(report.contains(&warning), "{report}");
    }
    assert!(!report.contains("of corp are never"), "{report}");
}

#[test]
fn check_says_who_may_ask_for_names_outside_and_whom_they_are_asked_of() {
    for (members, lines) in [
        (
            r#""Resolvers":["192.0.2.1"],"AllowRecursion":["192.0.2.0/24"]"#,
            &[
                "names outside the domain are asked of 192.0.2.1:53; clients of 192.0.2.0/24 may ask",
            ][..],
        ),
        (
            r#""AllowRecursion":["0.0.0.0/0"]"#,
            &["0.0.0.0/0 may ask: it is open to the world"],
        ),
        (
            r#""ExternalOn":false"#,
            &["names outside the domain are REFUSED"],
        ),
    ] {
        let report = taken("outside", &with_masters(members), &[]);
        for line in lines {
            assert!(report.contains(line), "{line}\n{report}");
        }
        assert!(!report.contains("warning"), "{report}");
    }
}
