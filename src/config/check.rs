//! `rollcall check`: the effective configuration as text, each value with where it came from, and
//! the warnings. In: what `load` gave. It must never show a secret.

use std::fmt::Write;

use serde_json::Value;

use super::keys::CREDENTIALS;
use super::shown::MASK;
use super::{Loaded, Secret, http};

/// The report of a configuration that is taken. `found` is what was found out about this host.
pub fn report(loaded: &Loaded, found: &[String]) -> String {
    let config = &loaded.config;
    let shown = config.upstream_json(0);
    let mut text = String::new();
    match &config.file {
        Some(file) => _ = writeln!(text, "configuration {}", file.display()),
        None => _ = writeln!(text, "configuration from the environment, without a file"),
    }
    for (key, origin) in &loaded.origins {
        let value = match *key {
            "ExitOnZkTimeout" => Value::from(config.exit_on_zk_timeout),
            "Source" => Value::from(config.source.name()),
            "CheckFactor" => Value::from(config.check_factor),
            "PublishIntervalMs" => Value::from(config.publish_interval.as_millis() as u64),
            "HoldPercent" => Value::from(config.hold_percent),
            "HoldSeconds" => Value::from(config.hold_max.as_secs()),
            "ReadyAgeSeconds" => Value::from(config.ready_age_max.as_secs()),
            "StateDirectory" => Value::from(
                config
                    .state_directory
                    .as_ref()
                    .map_or_else(String::new, |path| path.display().to_string()),
            ),
            "StaticRecords" => Value::from(
                config
                    .static_records
                    .as_ref()
                    .map_or_else(String::new, |file| file.path.display().to_string()),
            ),
            "StateBytesMax" => Value::from(config.state_bytes_max),
            "AllowRecursion" => list(&config.allow_recursion),
            "ReverseZones" => list(&config.reverse_zones),
            "CacheBytes" => Value::from(config.cache_bytes),
            "CacheMinTTL" => Value::from(config.cache_ttl_min_seconds),
            "CacheMaxTTL" => Value::from(config.cache_ttl_max_seconds),
            "SkipNetInfoForBridge" => Value::from(config.skip_netinfo_for_bridge),
            "IpAllow" => list(&config.ip_allow),
            "IpDeny" => list(&config.ip_deny),
            "ClientSubnetFrom" => list(&config.client_subnet_from),
            "PreferLocal" => Value::from(config.prefer_local),
            "Unhealthy" => Value::from(config.unhealthy.name()),
            "StatusPage" => Value::from(config.status_page),
            "RateLimit" => Value::from(config.rate_limit),
            "RateLimitSlip" => Value::from(config.rate_limit_slip),
            "RateLimitExempt" => list(&config.rate_limit_exempt),
            "CookieSecret" => Value::from(config.cookie_secret.map_or("", |_| MASK)),
            "ChaosOn" => Value::from(config.chaos_on),
            "MesosCredentials.Secret" if matches!(config.credentials.secret, Secret::File(_)) => {
                Value::from("")
            }
            "MesosCredentials.SecretFile" => match &config.credentials.secret {
                Secret::File(path) => Value::from(path.display().to_string()),
                Secret::Text(_) => Value::from(""),
            },
            "HttpToken" => match &config.http_token {
                Secret::Text(text) if !text.is_empty() => Value::from(MASK),
                _ => Value::from(""),
            },
            "HttpTokenFile" => match &config.http_token {
                Secret::File(path) => Value::from(path.display().to_string()),
                Secret::Text(_) => Value::from(""),
            },
            "CorsOrigins" => {
                let any = config.cors_origins.any.then_some("*");
                let listed = config.cors_origins.listed.iter().map(String::as_str);
                any.into_iter().chain(listed).collect()
            }
            "LogFormat" => Value::from(config.log_format.name()),
            "QueryLog" => Value::from(config.query_log),
            "Sandbox" => Value::from(config.sandbox.name()),
            "Engine" => Value::from(config.engine.name()),
            "Workers" => Value::from(config.workers),
            key => match key.strip_prefix(CREDENTIALS) {
                Some(field) => shown[CREDENTIALS][field.trim_start_matches('.')].clone(),
                None => shown[key].clone(),
            },
        };
        _ = writeln!(text, "  {key:<27} {:<32} {origin}", value.to_string());
    }
    for line in found.iter().chain(&http::open_to_others(config)) {
        _ = writeln!(text, "{line}");
    }
    for warning in &loaded.warnings {
        _ = writeln!(text, "warning: {warning}");
    }
    text.push_str("the configuration is good\n");
    text
}

fn list(items: &[impl ToString]) -> Value {
    items.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::super::keys::KEYS;
    use super::super::{Config, Origin};
    use super::*;

    #[test]
    fn report_shows_every_key_and_no_secret() {
        let variables = [
            ("ROLLCALL_MASTERS", "127.0.0.1:5050"),
            ("ROLLCALL_MESOS_AUTHENTICATION", "basic"),
            ("ROLLCALL_MESOS_CREDENTIALS_PRINCIPAL", "dns"),
            ("ROLLCALL_MESOS_CREDENTIALS_SECRET", "s3cret"),
            ("ROLLCALL_HTTP_TOKEN", "s3cret-token"),
            ("ROLLCALL_COOKIE_SECRET", "5ec4e7005ec4e7005ec4e7005ec4e700"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let loaded = Config::load(None, variables.into_iter()).expect("good");
        let text = report(&loaded, &["datagrams: epoll".to_owned()]);
        assert!(text.contains("\ndatagrams: epoll\n"), "{text}");
        for key in KEYS {
            let line = text
                .lines()
                .find(|line| line.trim_start().starts_with(key.name));
            let line = line.expect(key.name);
            assert!(!line.contains("null"), "{line}");
        }
        assert!(
            !text.contains("s3cret") && !text.contains("5ec4e700") && text.contains("******"),
            "{text}"
        );
        let masters = loaded.origins.iter().find(|(key, _)| *key == "Masters");
        let expected = Origin::Environment("ROLLCALL_MASTERS");
        assert_eq!(masters.map(|(_, origin)| origin), Some(&expected));
    }
}
