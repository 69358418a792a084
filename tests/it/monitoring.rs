//! What `packaging/monitoring` brings for Prometheus and Grafana: the alerts do what they say, and every
//! metric that an alert or a panel names is one of ours.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rollcall::http::metrics::{FAMILIES, Kind};
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/monitoring")
}

fn promtool(arguments: &[&str]) {
    let output = Command::new("promtool")
        .args(arguments)
        .current_dir(folder())
        .output()
        .expect("promtool is installed; tests/run does it");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}");
}

#[test]
fn alert_rules_are_well_formed_and_fire_when_they_should() {
    promtool(&["check", "rules", "alerts.yml"]);
    promtool(&["test", "rules", "alerts.test.yml"]);
}

#[test]
fn every_alert_is_seen_to_fire_in_the_tests_of_rules() {
    let rules = fs::read_to_string(folder().join("alerts.yml")).expect("alerts.yml");
    let tests = fs::read_to_string(folder().join("alerts.test.yml")).expect("alerts.test.yml");
    let names = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let mut count = 0;
    for name in names {
        count += 1;
        let fires = format!("{{labels: '{{alertname=\"{name}\"}}', value: 1}}");
        assert!(tests.contains(&fires), "{name}");
    }
    assert!(count > 0);
}

/// Names of samples: those of the families, and what a histogram is made of.
fn samples() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for family in FAMILIES {
        let name = family.full_name();
        match family.kind {
            Kind::Histogram => {
                names.extend(["bucket", "sum", "count"].map(|part| format!("{name}_{part}")));
            }
            _ => _ = names.insert(name),
        }
    }
    names
}

/// Words of an expression that can only be names of metrics.
fn metrics_in(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|it: char| !it.is_ascii_alphanumeric() && it != '_');
    words.filter(|word| word.starts_with("rollcall_") || word.starts_with("process_"))
}

#[test]
fn alerts_name_no_metric_that_there_is_not() {
    let samples = samples();
    for file in ["alerts.yml", "alerts.test.yml"] {
        let text = fs::read_to_string(folder().join(file)).expect(file);
        let mut count = 0;
        for name in metrics_in(&text) {
            count += 1;
            assert!(samples.contains(name), "{file}: {name}");
        }
        assert!(count > 20, "{file}");
    }
}

#[test]
fn dashboard_is_json_whose_panels_show_metrics_that_there_are() {
    let text = fs::read_to_string(folder().join("grafana.json")).expect("grafana.json");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(dashboard["title"], "Rollcall");
    let samples = samples();
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64()), "{}", panel["title"]);
        let targets = panel["targets"].as_array().into_iter().flatten();
        let mut count = 0;
        for target in targets {
            let expression = target["expr"].as_str().expect("an expression");
            for name in metrics_in(expression) {
                count += 1;
                assert!(samples.contains(name), "{}: {name}", panel["title"]);
            }
        }
        assert!(count > 0 || panel["type"] == "row", "{}", panel["title"]);
    }
    // Variables and annotations ask as well.
    for name in metrics_in(&text) {
        assert!(samples.contains(name), "{name}");
    }
}
