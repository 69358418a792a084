//! The configuration from environment variables, with the real binary: they win over the file, can
//! stand without one, and are named where they are wrong.

use std::path::PathBuf;
use std::process::Command;

use super::config::{assert_shown, check, folder, with_masters};

#[test]
fn environment_wins_over_the_file() {
    let variables = [
        ("ROLLCALL_REFRESH_SECONDS", "30"),
        ("ROLLCALL_MASTERS", "10.0.0.1:5050, m2.example:5050"),
        (
            "ROLLCALL_ZONE_RESOLVERS",
            "corp=10.0.0.2,10.0.0.3;lab=10.0.0.4:5353",
        ),
        ("ROLLCALL_DNS_ON", "true"),
        ("ROLLCALL_LISTENER", "127.0.0.2, ::1"),
        ("ROLLCALL_TTL", ""),
        ("ROLLCALL_MASTER", "x"),
    ];
    let (output, _) = check(
        "environment",
        &with_masters(r#""RefreshSeconds":60,"TTL":9"#),
        &variables,
    );
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_shown(
        &report,
        &[
            "RefreshSeconds 30 environment, ROLLCALL_REFRESH_SECONDS",
            "Masters [\"10.0.0.1:5050\",\"m2.example:5050\"] environment",
            "ZoneResolvers {\"corp\":[\"10.0.0.2\",\"10.0.0.3\"],\"lab\":[\"10.0.0.4:5353\"]}",
            "Listener [\"127.0.0.2\",\"::1\"] environment, ROLLCALL_LISTENER",
            "TTL 9 file",
            "warning: environment: unknown variable ROLLCALL_MASTER is ignored; the nearest known one is ROLLCALL_MASTERS",
        ],
    );
}

#[test]
fn wrong_variables_are_refused_by_their_name() {
    for (variable, value) in [
        ("ROLLCALL_TTL", "many"),
        ("ROLLCALL_TTL", "-1"),
        ("ROLLCALL_HTTP_ON", "yes"),
        ("ROLLCALL_RESOLVERS", "8.8.8.8,dns"),
        ("ROLLCALL_ZONE_RESOLVERS", "corp"),
        ("ROLLCALL_LISTENER", "eth0"),
        ("ROLLCALL_LISTENER", "127.0.0.1,eth0"),
        ("ROLLCALL_LISTENER", "::1,127.0.0.1,::1"),
    ] {
        let (output, _) = check("variables", &with_masters(""), &[(variable, value)]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{variable}: {message}");
        let culprit = value.rsplit(',').next().unwrap_or(value);
        for fragment in [variable, culprit, "right would be"] {
            assert!(message.contains(fragment), "no {fragment:?} in {message}");
        }
    }
}

#[test]
fn no_file_is_needed_where_the_environment_suffices() {
    let check_in = |folder: &PathBuf, arguments: &[&str], variables: &[(&str, &str)]| {
        Command::new(env!("CARGO_BIN_EXE_rollcall"))
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .envs(variables.iter().copied())
            .output()
            .expect("rollcall runs")
    };
    let folder = folder("no-file");
    let variables = [("ROLLCALL_MASTERS", "10.0.0.1:5050")];
    assert_eq!(
        check_in(&folder, &["check"], &variables).status.code(),
        Some(0)
    );
    let named = check_in(&folder, &["check", "-config=missing.json"], &variables);
    assert_eq!(named.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&named.stderr).contains("missing.json"));
    let nothing = check_in(&folder, &["check"], &[]);
    assert_eq!(nothing.status.code(), Some(2));
    let message = String::from_utf8_lossy(&nothing.stderr).into_owned();
    assert!(
        message.contains("config.json") && message.contains("ROLLCALL_MASTERS"),
        "{message}"
    );
    std::fs::write(folder.join("config.json"), with_masters("")).expect("written");
    assert_eq!(check_in(&folder, &["check"], &[]).status.code(), Some(0));
}

#[test]
fn variables_of_the_old_image_count_where_neither_file_nor_own_variable_says_more() {
    let folder = folder("aliases");
    let old = [("MESOS_IP", "10.0.0.1"), ("RESOLVER", "10.0.0.2,10.0.0.3")];
    let shown = |more: &[(&str, &str)]| {
        let output = Command::new(env!("CARGO_BIN_EXE_rollcall"))
            .arg("check")
            .current_dir(&folder)
            .env_clear()
            .envs(old.iter().chain(more).copied())
            .output()
            .expect("rollcall runs");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let resolvers = "Resolvers [\"10.0.0.2\",\"10.0.0.3\"] environment, RESOLVER";
    let masters = "Masters [\"10.0.0.1:5050\"] environment, MESOS_IP";
    assert_shown(&shown(&[]), &[masters, resolvers]);
    let own = "Masters [\"10.0.0.9:1\"] environment, ROLLCALL_MASTERS";
    let report = shown(&[("ROLLCALL_MASTERS", "10.0.0.9:1")]);
    assert_shown(&report, &[own, resolvers]);
    std::fs::write(folder.join("config.json"), with_masters("")).expect("written");
    let defaults = "Resolvers [\"8.8.8.8\"] default";
    let report = shown(&[]);
    assert_shown(&report, &[defaults]);
    assert!(!report.contains("MESOS_IP"), "{report}");
}
