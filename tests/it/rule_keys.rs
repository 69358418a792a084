//! The keys of the rules that choose among tasks and their addresses, with the real binary: what they
//! take, what `check` shows, and what is said of a value that they do not take.

use crate::config::{assert_shown, check, with_masters};

#[track_caller]
fn refused(test: &str, members: &str, fragments: &[&str]) {
    let (output, _) = check(test, &with_masters(members), &[]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{members}: {message}");
    for fragment in fragments {
        assert!(message.contains(fragment), "{members}: {message}");
    }
}

#[track_caller]
fn taken(test: &str, members: &str, variables: &[(&str, &str)], shown: &[&str]) {
    let (output, _) = check(test, &with_masters(members), variables);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{members}: {message}");
    assert_shown(&String::from_utf8_lossy(&output.stdout), shown);
}

#[test]
fn rule_of_unhealthy_tasks_is_one_of_three() {
    const TEST: &str = "rule-health";
    taken(TEST, "", &[], &[r#"Unhealthy "serve" default"#]);
    taken(TEST, r#""unhealthy":"last""#, &[], &[r#"Unhealthy "last""#]);
    let variable = [("ROLLCALL_UNHEALTHY", "omit")];
    taken(TEST, "", &variable, &[r#"Unhealthy "omit""#]);
    for wrong in [r#""Unhealthy":"drop""#, r#""unhealthy":"Last""#] {
        refused(
            TEST,
            wrong,
            &["Unhealthy", "right would be serve, last or omit"],
        );
    }
    refused(
        TEST,
        r#""Unhealthy":true"#,
        &["Unhealthy", "right would be a string"],
    );
}

#[test]
fn blocks_of_addresses_are_taken_in_any_spelling_and_refused_where_they_are_none() {
    const TEST: &str = "rule-blocks";
    taken(
        TEST,
        r#""ipallow":["10.1.2.3/8","fd00::/8"],"IPDENY":["172.17.0.1"],"skipNetInfoForBridge":true"#,
        &[],
        &[
            r#"IpAllow ["10.0.0.0/8","fd00::/8"]"#,
            r#"IpDeny ["172.17.0.1/32"]"#,
            "SkipNetInfoForBridge true",
        ],
    );
    let variable = [("ROLLCALL_IP_DENY", "172.17.0.0/16,9.0.0.0/8")];
    taken(
        TEST,
        "",
        &variable,
        &[r#"IpDeny ["172.17.0.0/16","9.0.0.0/8"]"#],
    );
    taken(TEST, "", &[], &["IpAllow [] default", "IpDeny [] default"]);
    for key in ["IpAllow", "IpDeny"] {
        for wrong in ["10.0.0.0/33", "10.0.0", "example.com", ""] {
            let members = format!(r#""{key}":["{wrong}"]"#);
            refused(TEST, &members, &[key, "ADDRESS/BITS, such as 10.0.0.0/8"]);
        }
        refused(
            TEST,
            &format!(r#""{key}":"10.0.0.0/8""#),
            &[key, "a list of strings"],
        );
    }
    refused(
        TEST,
        r#""SkipNetInfoForBridge":"yes""#,
        &["SkipNetInfoForBridge", "true or false"],
    );
}

#[test]
fn preference_of_local_tasks_is_a_switch() {
    const TEST: &str = "rule-local";
    taken(TEST, "", &[], &["PreferLocal false default"]);
    taken(TEST, r#""preferLocal":true"#, &[], &["PreferLocal true"]);
    taken(
        TEST,
        "",
        &[("ROLLCALL_PREFER_LOCAL", "1")],
        &["PreferLocal true"],
    );
    refused(
        TEST,
        r#""PreferLocal":"zone""#,
        &["PreferLocal", "true or false"],
    );
}
