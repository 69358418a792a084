//! The keys of the rules that choose among tasks and their addresses, with the real binary: what they
//! take, what `check` shows, and what is said of a value that they do not take.

use crate::config::{assert_shown, check, with_masters};

#[track_caller]
fn refused(members: &str, fragments: &[&str]) {
    let (output, _) = check("rules-refused", &with_masters(members), &[]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{members}: {message}");
    for fragment in fragments {
        assert!(message.contains(fragment), "{members}: {message}");
    }
}

#[track_caller]
fn taken(members: &str, variables: &[(&str, &str)], shown: &[&str]) {
    let (output, _) = check("rules-taken", &with_masters(members), variables);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{members}: {message}");
    assert_shown(&String::from_utf8_lossy(&output.stdout), shown);
}

#[test]
fn rule_of_unhealthy_tasks_is_one_of_three() {
    taken("", &[], &[r#"Unhealthy "serve" default"#]);
    taken(r#""unhealthy":"last""#, &[], &[r#"Unhealthy "last""#]);
    let variable = [("ROLLCALL_UNHEALTHY", "omit")];
    taken("", &variable, &[r#"Unhealthy "omit""#]);
    for wrong in [r#""Unhealthy":"drop""#, r#""unhealthy":"Last""#] {
        refused(wrong, &["Unhealthy", "right would be serve, last or omit"]);
    }
    refused(
        r#""Unhealthy":true"#,
        &["Unhealthy", "right would be a string"],
    );
}
