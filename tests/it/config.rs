//! What configurations the program takes and refuses, with the real binary: exit status, message,
//! and the values that `check` shows.

use std::path::PathBuf;
use std::process::{Command, Output};

/// A folder of this test's own, without any file of an earlier run.
pub fn folder(test: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("config-{test}"));
    _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder for the test");
    folder
}

/// `rollcall check` on this text, with these variables and no others.
pub fn check(test: &str, text: &str, variables: &[(&str, &str)]) -> (Output, String) {
    let folder = folder(test);
    let file = folder.join("c.json");
    std::fs::write(&file, text).expect("the configuration is written");
    let output = Command::new(env!("CARGO_BIN_EXE_rollcall"))
        .args(["check", "-config=c.json"])
        .current_dir(&folder)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .expect("rollcall runs");
    (output, file.display().to_string())
}

/// The least that a configuration needs, and these members.
pub fn with_masters(members: &str) -> String {
    match members {
        "" => r#"{"Masters":["127.0.0.1:5050"]}"#.to_owned(),
        _ => format!(r#"{{"Masters":["127.0.0.1:5050"],{members}}}"#),
    }
}

#[track_caller]
pub fn refused(test: &str, text: &str, fragments: &[&str]) {
    let (output, file) = check(test, text, &[]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}: {message}");
    assert_eq!(message.lines().count(), 1, "{text}: {message}");
    for fragment in fragments
        .iter()
        .copied()
        .chain([file.as_str(), "right would be"])
    {
        assert!(
            message.contains(fragment),
            "{text}: no {fragment:?} in {message}"
        );
    }
    assert!(output.stdout.is_empty());
}

/// Each line that `check` must show is `KEY VALUE`.
#[track_caller]
pub fn taken(test: &str, text: &str, shown: &[&str]) -> String {
    let (output, _) = check(test, text, &[]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}: {message}");
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_shown(&report, shown);
    report
}

#[track_caller]
pub fn assert_shown(report: &str, shown: &[&str]) {
    let squeezed: Vec<String> = report
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    for line in shown {
        let found = squeezed.iter().any(|shown| shown.starts_with(line));
        assert!(found, "no {line:?} in\n{report}");
    }
}

#[test]
fn broken_json_is_refused_with_line_and_column() {
    for text in [
        "{",
        "",
        "[]",
        "{\"Masters\":[\"127.0.0.1:5050\"],}",
        "{} x",
        "nonsense",
    ] {
        refused("broken", text, &["line 1, column "]);
    }
    refused(
        "broken",
        "{\n  \"ttl\": 60\n  \"port\": 53\n}",
        &["line 3, column 3"],
    );
}

#[test]
fn wrong_types_and_ranges_are_refused_with_key_and_value() {
    for (members, key, value) in [
        (r#""TTL":2147483648"#, "TTL", "2147483648"),
        (r#""TTL":-1"#, "TTL", "-1"),
        (r#""TTL":1.5"#, "TTL", "1.5"),
        (r#""ttl":"60""#, "TTL", "\"60\""),
        (r#""TTL":123456789012345678901234567890"#, "TTL", "e+29"),
        (
            r#""SRVRecordDefaultWeight":65536"#,
            "SRVRecordDefaultWeight",
            "65536",
        ),
        (
            r#""SRVRecordDefaultWeight":-1"#,
            "SRVRecordDefaultWeight",
            "-1",
        ),
        (r#""SOARefresh":-1"#, "SOARefresh", "-1"),
        (r#""SOAExpire":4294967296"#, "SOAExpire", "4294967296"),
        (r#""ExternalOn":"true""#, "ExternalOn", "\"true\""),
        (r#""ExternalOn":1"#, "ExternalOn", "1"),
        (r#""StateTimeoutSeconds":0"#, "StateTimeoutSeconds", "0"),
        (r#""StateTimeoutSeconds":-1"#, "StateTimeoutSeconds", "-1"),
        (r#""RefreshSeconds":0"#, "RefreshSeconds", "0"),
        (r#""RefreshSeconds":-5"#, "RefreshSeconds", "-5"),
        (r#""Timeout":-1"#, "Timeout", "-1"),
        (r#""Port":65536"#, "Port", "65536"),
        (r#""StateBytesMax":0"#, "StateBytesMax", "0"),
        (r#""Workers":-1"#, "Workers", "-1"),
        (r#""Resolvers":"8.8.8.8""#, "Resolvers", "\"8.8.8.8\""),
        (r#""Resolvers":[1]"#, "Resolvers", "[1]"),
        (r#""ZoneResolvers":["a"]"#, "ZoneResolvers", "[\"a\"]"),
        (r#""Domain":7"#, "Domain", "7"),
        (r#""DnsOn":false,"HttpOn":false"#, "HttpOn", "false"),
        (r#""MesosCredentials":"p:s""#, "MesosCredentials", "******"),
    ] {
        refused("types", &with_masters(members), &[key, value]);
    }
}

#[test]
fn bad_and_double_masters_are_refused() {
    for (masters, value) in [
        (r#"["127.0.0.1"]"#, "127.0.0.1"),
        (r#"["127.0.0.1:0"]"#, "127.0.0.1:0"),
        (r#"["127.0.0.1:70000"]"#, "127.0.0.1:70000"),
        (r#"["127.0.0.1:http"]"#, "127.0.0.1:http"),
        (r#"["999.0.0.1:5050"]"#, "999.0.0.1:5050"),
        (r#"["127.0.0.1:5050","127.0.0.1:5050"]"#, "127.0.0.1:5050"),
        (r#"["[::1]:5050","[0:0::1]:5050"]"#, "[0:0::1]:5050"),
        (r#""127.0.0.1:5050""#, "127.0.0.1:5050"),
        ("[]", "[]"),
        ("null", "[]"),
    ] {
        refused(
            "masters",
            &format!("{{\"masters\":{masters}}}"),
            &["Masters", value],
        );
    }
    refused("masters", "{}", &["Masters", "[]"]);
}

#[test]
fn bad_domains_and_soa_names_are_refused() {
    let long = "x".repeat(64);
    for domain in ["", "a_b", "a b", "a..b", "café", "-", "a.--", long.as_str()] {
        refused(
            "domain",
            &with_masters(&format!("\"domain\":\"{domain}\"")),
            &["Domain", domain],
        );
    }
    let name = "xxxxxxxxx.".repeat(26);
    for (key, value) in [
        ("SOAMname", "a..b"),
        ("SOAMname", long.as_str()),
        ("SOARname", name.as_str()),
    ] {
        refused(
            "domain",
            &with_masters(&format!("\"{key}\":\"{value}\"")),
            &[key, value],
        );
    }
}

#[test]
fn bad_lists_of_sources_and_resolvers_are_refused() {
    for (members, key, value) in [
        (r#""IPSources":[]"#, "IPSources", "[]"),
        (r#""IPSources":null"#, "IPSources", "[]"),
        (r#""IPSources":["host","rkt"]"#, "IPSources", "rkt"),
        (r#""IPSources":["Host"]"#, "IPSources", "Host"),
        (r#""IPSources":["host","host"]"#, "IPSources", "host"),
        (
            r#""Resolvers":["dns.example.com"]"#,
            "Resolvers",
            "dns.example.com",
        ),
        (r#""Resolvers":["127.0.0.1:0"]"#, "Resolvers", "127.0.0.1:0"),
        (
            r#""Resolvers":["127.0.0.1","127.0.0.1:53"]"#,
            "Resolvers",
            "127.0.0.1:53",
        ),
        (r#""Listener":"localhost""#, "Listener", "localhost"),
        (
            r#""Listener":["127.0.0.1","localhost"]"#,
            "Listener",
            "localhost",
        ),
        (
            r#""Listener":["::1","127.0.0.1","0::1"]"#,
            "Listener",
            "0::1",
        ),
        (
            r#""Listener":["0.0.0.0","127.0.0.1"]"#,
            "Listener",
            "0.0.0.0 without 127.0.0.1",
        ),
        (
            r#""Listener":["0.0.0.0","::"]"#,
            "Listener",
            ":: without 0.0.0.0",
        ),
        (r#""Listener":[]"#, "Listener", "there is no address"),
        (r#""Listener":"127.0.0.1,::1""#, "Listener", "no IP address"),
        (
            r#""Listener":7"#,
            "Listener",
            "a string or a list of strings",
        ),
        (
            r#""HTTPListener":"no.such.host""#,
            "HTTPListener",
            "no.such.host",
        ),
    ] {
        refused("lists", &with_masters(members), &[key, value]);
    }
}

#[test]
fn authentication_that_cannot_work_is_refused() {
    for (members, key, value) in [
        (
            r#""MesosAuthentication":"kerberos""#,
            "MesosAuthentication",
            "kerberos",
        ),
        (
            r#""MesosAuthentication":"basic""#,
            "MesosAuthentication",
            "MesosCredentials",
        ),
        (
            r#""MesosAuthentication":"iam""#,
            "MesosAuthentication",
            "IAMConfigFile is missing",
        ),
        (r#""CACertFile":"no-such.pem""#, "CACertFile", "no-such.pem"),
        (r#""CACertFile":"c.json""#, "CACertFile", "c.json"),
        (r#""CertFile":"x.pem""#, "CertFile", "KeyFile is missing"),
        (r#""KeyFile":"x.pem""#, "KeyFile", "CertFile is missing"),
        (
            r#""CertFile":"c.json","KeyFile":"c.json""#,
            "CertFile",
            "c.json",
        ),
        (
            r#""IAMConfigFile":"no-such.json""#,
            "IAMConfigFile",
            "no-such.json",
        ),
    ] {
        refused("authentication", &with_masters(members), &[key, value]);
    }
}

#[test]
fn zookeeper_is_taken_alone_and_beside_masters() {
    let zk = r#""Zk":"zk://user:pass@10.0.0.1,zk2.test:2182,[::1]:2183/mesos/prod/""#;
    let shown = &[
        "Zk \"zk://user:******@10.0.0.1,zk2.test:2182,[::1]:2183/mesos/prod/\" file",
        "ExitOnZkTimeout false default",
        "ZkDetectionTimeout 30 default",
    ];
    for text in [format!("{{{zk}}}"), with_masters(zk)] {
        let report = taken("zk", &text, shown);
        assert!(!report.contains("warning"), "{report}");
    }
    let exits = r#"{"zk":"zk://a/m","exitOnZkTimeout":true,"zkDetectionTimeout":0}"#;
    let shown = &["ExitOnZkTimeout true file", "ZkDetectionTimeout 0 file"];
    taken("zk", exits, shown);
    refused("zk", "{}", &["Masters", "there is no master to ask", "Zk"]);
}

#[test]
fn zookeeper_url_that_cannot_work_is_refused_without_its_password() {
    for (zk, problem) in [
        (r#""not-a-url""#, "zk://"),
        (r#""zk://user:s3cret@10.0.0.1""#, "the path is missing"),
        (
            r#""zk://user:s3cret@10.0.0.1:2181/""#,
            "the path is missing",
        ),
        (r#""zk://user:s3cret@10.0.0.1:0/mesos""#, "not 1 to 65535"),
        (r#""zk://user:s3cret@::1/mesos""#, "brackets"),
        (r#""zk:/user:s3cret@10.0.0.1/mesos""#, "zk://"),
        (r#"["zk://user:s3cret@10.0.0.1/mesos"]"#, "a list"),
    ] {
        let text = with_masters(&format!(r#""Zk":{zk}"#));
        refused("zk-url", &text, &["Zk", problem]);
        let (output, _) = check("zk-url", &text, &[]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(!message.contains("s3cret"), "{message}");
    }
}

#[test]
fn what_mesos_dns_takes_is_taken() {
    for (members, shown) in [
        (
            "",
            &["SOAMname \"ns1.mesos.\" default", "Port 53 default"][..],
        ),
        (
            r#""ttl":7,"domain":"LOW","ipsources":["host"],"enforcerfc952":true,"srvrecorddefaultweight":9,"recurseon":false"#,
            &[
                "TTL 7 file",
                "Domain \"low\" file",
                "IPSources [\"host\"] file",
                "EnforceRFC952 true",
                "SRVRecordDefaultWeight 9",
                "RecurseOn false",
                "SOAMname \"ns1.low.\"",
            ],
        ),
        (r#""soamname":"a.b""#, &["SOAMname \"a.b.\" file"]),
        (r#""Domain":"mesos.""#, &["Domain \"mesos\""]),
        (r#""Domain":"-a-.b-""#, &["Domain \"-a-.b-\""]),
        (r#""Domain":"1.2.3.4""#, &["Domain \"1.2.3.4\""]),
        (
            r#""Resolvers":["::1","[2001:db8::1]:53"]"#,
            &["Resolvers [\"::1\",\"[2001:db8::1]:53\"]"],
        ),
        (
            r#""Resolvers":["x"],"ExternalOn":false"#,
            &["Resolvers [\"x\"]"],
        ),
        (
            r#""Resolvers":["127.0.0.1","127.0.0.1"],"ExternalOn":false"#,
            &["ExternalOn false"],
        ),
        (r#""Timeout":0"#, &["Timeout 0"]),
        (
            r#""TTL":null,"Domain":null,"SOAMname":null,"Resolvers":null"#,
            &["TTL 60 default", "Resolvers []"],
        ),
        (r#""SOAMname":"""#, &["SOAMname \".\""]),
        (r#""SOAMname":".""#, &["SOAMname \".\""]),
        (r#""SOARname":"a@b@c.d""#, &["SOARname \"a.b.c.d.\""]),
        (r#""TTL":1,"ttl":2"#, &["TTL 2 file"]),
    ] {
        taken("taken", &with_masters(members), shown);
    }
}

#[test]
fn odd_keys_warn_and_never_stop() {
    let report = taken(
        "odd",
        &with_masters(r#""ns":"ns1","email":"x","Resolver":[]"#),
        &[],
    );
    let warnings: Vec<&str> = report
        .lines()
        .filter(|line| line.starts_with("warning: "))
        .collect();
    assert_eq!(warnings.len(), 1, "{report}");
    assert!(
        warnings[0].contains("\"Resolver\"") && warnings[0].contains("Resolvers"),
        "{report}"
    );
}

#[test]
fn secrets_are_masked() {
    let members =
        r#""MesosAuthentication":"basic","MesosCredentials":{"principal":"dns","secret":"s3cret"}"#;
    let report = taken(
        "secrets",
        &with_masters(members),
        &["MesosCredentials.Secret \"******\""],
    );
    assert!(!report.contains("s3cret"), "{report}");
    let unused = with_masters(r#""MesosCredentials":{"principal":"p","secret":"s3cret"}"#);
    let report = taken("secrets", &unused, &["MesosCredentials.Principal \"p\""]);
    assert!(
        report.contains("warning: MesosCredentials is not used"),
        "{report}"
    );
    assert!(!report.contains("s3cret"), "{report}");
}

#[test]
fn the_sample_configuration_is_good() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/config.example.json");
    let text = std::fs::read_to_string(sample).expect(sample);
    let report = taken("sample", &text, &["Domain \"mesos\" file"]);
    assert!(!report.contains("warning"), "{report}");
}

#[test]
fn v1_config_has_the_original_keys_in_their_order() {
    let variables = [("ROLLCALL_MASTERS".to_owned(), "127.0.0.1:5050".to_owned())];
    let loaded = rollcall::config::Config::load(None, variables.into_iter()).expect("good");
    let shown = loaded.config.upstream_json(7).to_string();
    assert_eq!(
        shown,
        concat!(
            r#"{"RefreshSeconds":60,"Port":53,"Timeout":5,"StateTimeoutSeconds":300,"ZkDetectionTimeout":30,"#,
            r#""HttpPort":8123,"TTL":60,"SRVRecordDefaultWeight":1,"SOASerial":7,"SOARefresh":60,"SOARetry":600,"#,
            r#""SOAExpire":86400,"SOAMinttl":60,"SOAMname":"ns1.mesos.","SOARname":"root.ns1.mesos.","#,
            r#""Masters":["127.0.0.1:5050"],"ZoneResolvers":{},"Resolvers":["8.8.8.8"],"#,
            r#""IPSources":["netinfo","mesos","host"],"Zk":"","Domain":"mesos","File":"","Listener":"0.0.0.0","#,
            r#""HTTPListener":"0.0.0.0","RecurseOn":true,"DnsOn":true,"ReverseDnsOn":false,"HttpOn":true,"#,
            r#""ExternalOn":true,"EnforceRFC952":false,"SetTruncateBit":true,"EnumerationOn":true,"#,
            r#""MesosHTTPSOn":false,"CACertFile":"","CertFile":"","KeyFile":"","#,
            r#""MesosCredentials":{"Principal":"","Secret":""},"IAMConfigFile":"","ResolvSubnetFirst":false,"#,
            r#""MesosAuthentication":""}"#,
        )
    );
}
