//! What the real program logs, and how: lines, JSON, the journal's fields; queries when it is asked to,
//! and nothing of them else; errors that go on once; what is always told.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use hickory_proto::op::ResponseCode;
use rollcall::limits::HTTP_CONNECTIONS_PER_CLIENT_MAX;
use rollcall::simulate::faults::StreamFault;
use rollcall::simulate::{SimulateOptions, Simulator};
use serde_json::{Value, json};

use crate::support::client::{A, SRV, query};
use crate::support::files::Folder;
use crate::support::master::{Behaviour, Master};
use crate::support::process::Rollcall;
use crate::support::resolver::Resolver;
use crate::support::state::State;
use crate::support::{namespace, wait_until};

const NAME: &str = "web.marathon.mesos";

fn serving(master: &Master, tasks: u16) {
    let mut state = State::new(master.address());
    for number in 0..tasks {
        let address = Ipv4Addr::new(10, 3, 0, number as u8);
        state = state.task(&format!("web{number}"), address);
    }
    let state = state.task("web", Ipv4Addr::new(10, 3, 1, 1));
    master.set(Behaviour::Serve(state.text()));
}

fn master(tasks: u16) -> Master {
    let master = Master::start(|_| Behaviour::HangUp);
    serving(&master, tasks);
    master
}

/// Lines of the log that hold a text, each as JSON.
fn json_lines(rollcall: &Rollcall, text: &str) -> Vec<Value> {
    let log = rollcall.log();
    let lines = log.lines().filter(|line| line.contains(text));
    let parsed = lines.map(|line| serde_json::from_str(line).expect(line));
    parsed.collect()
}

#[test]
fn json_lines_are_json_each_and_the_format_is_followed() {
    let master = master(0);
    let settings = json!({"LogFormat": "json", "Source": "poll", "Unknown": 1});
    let rollcall = Rollcall::serving(&[master.address()], settings);
    master.set(Behaviour::Status(500, "\"\n\u{7f}".to_owned()));
    wait_until("an error", || rollcall.log_lines("\"ERROR\"") > 0);
    let lines = json_lines(&rollcall, "");
    assert!(lines.len() > 3, "{}", rollcall.log());
    for line in &lines {
        for key in ["timestamp", "level", "message", "target"] {
            assert!(line[key].is_string(), "{key}: {line}");
        }
    }
    let warning = lines.iter().find(|line| line["level"] == "WARN");
    let message = warning.expect("a warning")["message"].to_string();
    assert!(message.contains("Unknown"), "{message}");
    rollcall.reconfigure(json!({"LogFormat": "plain"}));
    let log = rollcall.log();
    let last = log.lines().last().expect("a line");
    assert!(serde_json::from_str::<Value>(last).is_err(), "{last}");
}

#[test]
fn a_wrong_format_is_told_without_a_log() {
    let output = Command::new(env!("CARGO_BIN_EXE_rollcall"))
        .env_clear()
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .env("ROLLCALL_MASTERS", "127.0.0.1:5050")
        .env("ROLLCALL_LOG_FORMAT", "xml")
        .output()
        .expect("rollcall runs");
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr);
    let line = "rollcall: environment: ROLLCALL_LOG_FORMAT: LogFormat: \"xml\": unknown format; right \
                would be auto, plain, json or journald\n";
    assert_eq!(told, line);
}

/// The program with stderr in a file, of which it is told that the journal reads it.
struct Journaled {
    child: Child,
    stderr: PathBuf,
}

impl Journaled {
    fn start(folder: &Folder, name: &str, is_stated: bool) -> Self {
        let stderr = folder.join(name);
        let file = File::create(&stderr).expect("a file");
        let metadata = file.metadata().expect("its metadata");
        let inode = metadata.ino() + u64::from(!is_stated);
        let child = Command::new(env!("CARGO_BIN_EXE_rollcall"))
            .env_clear()
            .current_dir(&**folder)
            .envs([
                ("ROLLCALL_MASTERS", "127.0.0.1:1"),
                ("ROLLCALL_LISTENER", "127.0.0.1"),
                ("ROLLCALL_HTTP_LISTENER", "127.0.0.1"),
                ("ROLLCALL_PORT", "0"),
                ("ROLLCALL_HTTP_PORT", "0"),
                ("ROLLCALL_EXTERNAL_ON", "false"),
                ("ROLLCALL_UNKNOWN", "1"),
            ])
            .env("JOURNAL_STREAM", format!("{}:{inode}", metadata.dev()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .expect("rollcall runs");
        Self { child, stderr }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.stderr).expect("the log")
    }
}

impl Drop for Journaled {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Name and value of each field of a datagram to the journal (its native protocol).
fn fields(mut datagram: &[u8]) -> Vec<(String, String)> {
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).expect("text");
    let mut fields = Vec::new();
    while let Some(end) = datagram.iter().position(|&octet| octet == b'\n') {
        let (line, rest) = (&datagram[..end], &datagram[end + 1..]);
        if let Some(at) = line.iter().position(|&octet| octet == b'=') {
            fields.push((text(&line[..at]), text(&line[at + 1..])));
            datagram = rest;
            continue;
        }
        let (length, rest) = rest.split_at(8);
        let length = u64::from_le_bytes(length.try_into().expect("eight octets")) as usize;
        fields.push((text(line), text(&rest[..length])));
        datagram = &rest[length + 1..];
    }
    fields
}

#[test]
fn the_journal_gets_fields_where_it_has_stderr_and_lines_with_priorities_without_its_socket() {
    let name = "logs::the_journal_gets_fields_where_it_has_stderr_and_lines_with_priorities_without_its_socket";
    if !namespace::enter(name, &["--mount"]) {
        return;
    }
    // Seen by this process and its children alone.
    namespace::run("mount -t tmpfs tmpfs /run");
    let socket = Path::new("/run/systemd/journal/socket");
    fs::create_dir_all(socket.parent().expect("a directory")).expect("it is made");
    let journal = UnixDatagram::bind(socket).expect("the journal's socket");
    journal.set_nonblocking(true).expect("nonblocking");
    let folder = Folder::new();

    let running = Journaled::start(&folder, "journal", true);
    let mut entries: Vec<Vec<(String, String)>> = Vec::new();
    let has = |entry: &[(String, String)], name: &str, value: &str| {
        let mut of_name = entry.iter().filter(|(it, _)| it == name);
        of_name.any(|(_, it)| it.contains(value))
    };
    let mut buffer = vec![0; 1 << 16];
    for (priority, message) in [
        ("4", "ROLLCALL_UNKNOWN is ignored"),
        ("6", "answering HTTP on 127.0.0.1"),
        ("3", "cannot read http://127.0.0.1:1/state"),
    ] {
        wait_until(message, || {
            while let Ok(length) = journal.recv(&mut buffer) {
                entries.push(fields(&buffer[..length]));
            }
            entries.iter().any(|entry| {
                has(entry, "PRIORITY", priority)
                    && has(entry, "MESSAGE", message)
                    && has(entry, "SYSLOG_IDENTIFIER", "rollcall")
            })
        });
    }
    assert_eq!(running.log(), "");

    // A variable that was inherited, while stderr leads elsewhere.
    let running = Journaled::start(&folder, "elsewhere", false);
    wait_until("plain lines", || running.log().contains("answering HTTP"));
    assert!(!running.log().starts_with('<'), "{}", running.log());

    drop(journal);
    let running = Journaled::start(&folder, "hidden", true);
    wait_until("an error", || running.log().contains("127.0.0.1:1/state"));
    for line in running.log().lines() {
        let priority = line.get(..3).expect("a priority");
        let level = line[3..].split_whitespace().next().expect("a level");
        let wanted = match level {
            "ERROR" => "<3>",
            "WARN" => "<4>",
            "INFO" => "<6>",
            _ => "<7>",
        };
        assert_eq!(priority, wanted, "{line}");
    }
}

#[test]
fn nothing_is_logged_of_a_query_by_default() {
    let master = master(0);
    let rollcall = Rollcall::serving(&[master.address()], json!({"Source": "poll"}));
    let client = rollcall.client();
    for _ in 0..100 {
        client.ask(NAME, A);
        client.tcp(&query("nothing.mesos", A));
    }
    rollcall.reconfigure(json!({}));
    assert_eq!(rollcall.log_lines("rollcall::query"), 0);
    assert!(!rollcall.log().contains("nothing.mesos"));
}

#[test]
fn queries_are_logged_with_what_was_asked_and_what_became_of_it() {
    let (master, resolver) = (master(0), Resolver::start());
    let settings = json!({
        "Source": "poll", "LogFormat": "json", "QueryLog": 1,
        // Each thread remembers for itself.
        "Workers": 1,
        "ExternalOn": true, "Resolvers": [resolver.address().to_string()],
    });
    let rollcall = Rollcall::serving(&[master.address()], settings);
    let client = rollcall.client();
    client.ask("WEB.marathon.mesos", A);
    client.tcp(&query("_web._tcp.marathon.mesos", SRV));
    client.ask("nothing.mesos", A);
    // The first is asked for, the second is remembered.
    client.ask("some.example", A);
    client.tcp(&query("some.example", A));
    let mut formless = query("web.mesos", A);
    formless[5] = 2;
    client.udp(&formless);
    for (name, rtype, transport, rcode, route) in [
        ("WEB.marathon.mesos.", "A", "udp", "NOERROR", "own"),
        ("_web._tcp.marathon.mesos.", "SRV", "tcp", "NOERROR", "own"),
        ("nothing.mesos.", "A", "udp", "NXDOMAIN", "own"),
        ("some.example.", "A", "udp", "NOERROR", "upstream"),
        ("some.example.", "A", "tcp", "NOERROR", "cache"),
        ("web.mesos.", "A", "udp", "FORMERR", "-"),
    ] {
        wait_until(name, || {
            json_lines(&rollcall, "rollcall::query").iter().any(|line| {
                let bytes = line["bytes"].as_u64();
                line["name"] == name
                    && line["type"] == rtype
                    && line["transport"] == transport
                    && line["rcode"] == rcode
                    && line["route"] == route
                    && line["client"] == "127.0.0.1"
                    && bytes.is_some_and(|bytes| (12..1000).contains(&bytes))
            })
        });
    }
}

#[test]
fn one_query_in_so_many_is_logged_and_the_number_is_followed() {
    let master = master(0);
    let settings = json!({"Source": "poll", "Workers": 1});
    let rollcall = Rollcall::serving(&[master.address()], settings);
    let client = rollcall.client();
    let logged = |every: u32, queries: usize| {
        rollcall.reconfigure(json!({"QueryLog": every}));
        let before = rollcall.log_lines("rollcall::query");
        (0..queries).for_each(|_| _ = client.ask(NAME, A));
        // What waits is written before the thread ends, which is before this is in force.
        rollcall.reconfigure(json!({"QueryLog": 0}));
        rollcall.log_lines("rollcall::query") - before
    };
    assert_eq!(logged(1, 7), 7);
    assert_eq!(logged(10, 100), 10);
    assert_eq!(logged(0, 100), 0);
}

#[test]
fn an_error_that_goes_on_is_one_line_and_its_end_says_how_often() {
    let master = master(0);
    let settings = json!({"Source": "poll", "RefreshSeconds": 1});
    let rollcall = Rollcall::serving(&[master.address()], settings);
    master.set(Behaviour::Status(500, String::new()));
    master.wait_for_two_more_requests();
    master.wait_for_two_more_requests();
    assert_eq!(rollcall.log_lines("status 500"), 1, "{}", rollcall.log());
    serving(&master, 0);
    wait_until("end of the error", || {
        rollcall.has_line(&["INFO", "the masters answer again, it failed", "times in"])
    });
}

#[test]
fn a_stream_that_is_cut_again_and_again_is_one_line() {
    let master = Simulator::start(&SimulateOptions::default()).expect("a simulated master");
    let settings = json!({"Source": "stream", "RefreshSeconds": 3600});
    let rollcall = Rollcall::serving(&[master.address()], settings);
    for _ in 0..3 {
        let subscribed = master.counts().subscribed;
        master.fault_streams(StreamFault::Disconnect);
        master.fault_streams(StreamFault::Normal);
        wait_until("another stream", || master.counts().subscribed > subscribed);
    }
    assert_eq!(
        rollcall.log_lines("subscribing anew"),
        1,
        "{}",
        rollcall.log()
    );
}

#[test]
fn another_leader_is_told_with_the_one_before() {
    let (first, second) = (master(0), master(0));
    let masters = [first.address(), second.address()];
    let settings = json!({"Source": "poll", "RefreshSeconds": 1});
    let rollcall = Rollcall::serving(&masters, settings);
    first.set(Behaviour::Redirect(second.address()));
    let [first_at, second_at] = masters.map(|it| it.to_string());
    let line = format!("the leading master is {second_at} now, before it was {first_at}");
    wait_until("the new leader", || rollcall.has_line(&["WARN", &line]));
    second.wait_for_two_more_requests();
    assert_eq!(rollcall.log_lines("the leading master is"), 2);
}

#[test]
fn another_source_is_told_with_the_one_before() {
    let master = Simulator::start(&SimulateOptions::default()).expect("a simulated master");
    let rollcall = Rollcall::serving(&[master.address()], json!({"RefreshSeconds": 1}));
    wait_until("the stream", || rollcall.status()["source"] == "stream");
    master.fault_streams(StreamFault::Refuse(503));
    master.fault_streams(StreamFault::Disconnect);
    master.fault_streams(StreamFault::Refuse(503));
    let line = [
        "WARN",
        "come from the state of",
        "now, before from the event stream of",
    ];
    wait_until("the state", || rollcall.has_line(&line));
    master.fault_streams(StreamFault::Normal);
    let line = [
        "INFO",
        "come from the event stream of",
        "now, before from the state of",
    ];
    wait_until("the stream again", || rollcall.has_line(&line));
}

#[test]
fn a_table_that_shrinks_much_is_told_and_so_is_its_growth_back() {
    let master = master(40);
    let settings = json!({"Source": "poll", "RefreshSeconds": 1, "HoldSeconds": 0});
    let rollcall = Rollcall::serving(&[master.address()], settings);
    // A little is nothing to speak of.
    serving(&master, 35);
    let client = rollcall.client();
    wait_until("five tasks less", || {
        client.rcode("web36.marathon.mesos", A) == ResponseCode::NXDomain
    });
    assert_eq!(rollcall.log_lines("shrank"), 0);
    serving(&master, 2);
    wait_until("warning", || {
        rollcall.has_line(&["WARN", "the table shrank from", "names to"])
    });
    serving(&master, 40);
    wait_until("growth", || {
        rollcall.has_line(&["INFO", "the table has", "names again, of"])
    });
    assert_eq!(rollcall.log_lines("shrank"), 2, "once each");
}

#[test]
fn connections_that_cannot_be_accepted_are_one_line() {
    let master = master(0);
    let settings = json!({"Source": "poll", "Workers": 1});
    let rollcall = Rollcall::serving_within(48, &[master.address()], settings);
    for _ in 0..3 {
        // As many as one client may have, of which the last find no descriptor.
        let taken: Vec<TcpStream> = (0..HTTP_CONNECTIONS_PER_CLIENT_MAX)
            .map(|_| TcpStream::connect(rollcall.http_address()).expect("connect"))
            .collect();
        wait_until("failure", || rollcall.log_lines("not accepted") > 0);
        drop(taken);
        wait_until("an answer", || rollcall.get("/healthz").0 == 200);
    }
    assert_eq!(rollcall.log_lines("accepted"), 1, "{}", rollcall.log());
}
