//! Which engine moves datagrams: as asked for, said where one looks, and never a reason not to serve.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Output};

use serde_json::{Value, json};

use crate::support::client::{A, Client};
use crate::support::files::Folder;
use crate::support::master::{Behaviour, Master};
use crate::support::process::{Rollcall, free_address, get};
use crate::support::state::State;
use crate::support::wait_until;

const WEB: Ipv4Addr = Ipv4Addr::new(10, 3, 0, 1);

fn master() -> Master {
    Master::start(|leader| Behaviour::Serve(State::new(leader).task("web", WEB).text()))
}

/// Whether rings may be used where the tests run.
pub fn has_rings() -> bool {
    let probed = rollcall::sys::uring::probe();
    if let Err(unavailable) = &probed {
        eprintln!("no ring here: {unavailable}");
    }
    probed.is_ok()
}

#[test]
fn engine_that_is_asked_for_answers_and_is_told() {
    for (wanted, uses) in [("auto", "epoll"), ("epoll", "epoll"), ("uring", "uring")] {
        if wanted == "uring" && !has_rings() {
            continue;
        }
        let master = master();
        let variables = [("ROLLCALL_ENGINE", wanted)];
        let rollcall = Rollcall::listening_with(&[master.address()], json!({}), &variables);
        wait_until("an answer", || {
            let client = rollcall.client();
            client.addresses("web.marathon.mesos") == [WEB]
        });
        assert_eq!(rollcall.status()["engine"]["uses"], uses, "{wanted}");
        assert!(rollcall.has_line(&["datagrams are moved by", uses]));
        let rings = rollcall.ring_count();
        assert_eq!(rings > 0, uses == "uring", "{wanted}: {rings} rings");
    }
}

#[test]
fn hup_changes_the_engine_without_losing_an_answer() {
    if !has_rings() {
        return;
    }
    let master = master();
    let variables = [("ROLLCALL_ENGINE", "")];
    let settings = json!({"Engine": "epoll"});
    let rollcall = Rollcall::listening_with(&[master.address()], settings, &variables);
    let client = rollcall.client();
    wait_until("an answer", || {
        client.addresses("web.marathon.mesos") == [WEB]
    });
    for engine in ["uring", "epoll", "uring"] {
        rollcall.configure(json!({"Engine": engine}));
        rollcall.signal("HUP");
        wait_until("the other engine", || {
            assert_eq!(client.addresses("web.marathon.mesos"), [WEB]);
            rollcall.status()["engine"]["uses"] == engine
        });
    }
    // The rings of engines that were given up are given up as well.
    rollcall.configure(json!({"Engine": "epoll"}));
    rollcall.signal("HUP");
    wait_until("no ring", || rollcall.ring_count() == 0);
}

#[test]
fn check_says_which_engine_and_why() {
    for (wanted, expected) in [
        ("auto", "datagrams: epoll: auto"),
        ("epoll", "datagrams: epoll: as configured"),
    ] {
        let output = check(Command::new(env!("CARGO_BIN_EXE_rollcall")), wanted);
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(text.contains(expected), "{text}");
    }
    let output = check(Command::new(env!("CARGO_BIN_EXE_rollcall")), "fast");
    let text = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text.contains("Engine") && text.contains("auto, uring or epoll"),
        "{text}"
    );
}

/// What Docker's filter does (EPERM), and what a kernel without io_uring says (ENOSYS).
#[test]
fn refused_ring_falls_back_and_says_why() {
    for (error, why) in [
        (libc_error::EPERM, "seccomp"),
        (libc_error::ENOSYS, "the kernel lacks"),
    ] {
        let output = check(without_rings(error), "uring");
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(
            text.contains("datagrams: epoll: io_uring was asked for") && text.contains(why),
            "{text}"
        );

        let master = master();
        let (dns, http) = (free_address(), free_address());
        let folder = Folder::new();
        let config = json!({
            "Masters": [master.address().to_string()], "Port": dns.port(), "HttpPort": http.port(),
            "Listener": "127.0.0.1", "HTTPListener": "127.0.0.1", "Engine": "uring",
        });
        let file = folder.write("config.json", config.to_string());
        let mut command = without_rings(error);
        command
            .arg(format!("-config={}", file.display()))
            .env_remove("ROLLCALL_ENGINE");
        let _server = Server(command.spawn().expect("python3"));
        wait_until("an answer", || answers(dns));
        let (_, status) = get(http, "/v1/status");
        let status: Value = serde_json::from_str(&status).expect("JSON");
        assert_eq!(status["engine"]["uses"], "epoll");
        assert!(
            status["engine"]["why"]
                .as_str()
                .is_some_and(|it| it.contains(why)),
            "{status}"
        );
    }
}

fn answers(dns: SocketAddr) -> bool {
    let query = crate::support::client::query("web.marathon.mesos", A);
    let answer = Client::new(dns).try_udp(&query);
    // One answer record.
    answer.is_some_and(|octets| octets[6..8] == [0, 1])
}

fn check(mut command: Command, engine: &str) -> Output {
    command
        .arg("check")
        .env("ROLLCALL_MASTERS", "127.0.0.1:5050")
        .env("ROLLCALL_ENGINE", engine)
        .current_dir(&*Folder::new())
        .output()
        .expect("rollcall runs")
}

mod libc_error {
    pub const EPERM: u32 = 1;
    pub const ENOSYS: u32 = 38;
}

/// The program below a seccomp filter that refuses io_uring_setup (425 on all machines) with an error.
fn without_rings(error: u32) -> Command {
    const WRAPPER: &str = "
import ctypes, os, struct, sys
error, program = int(sys.argv[1]), sys.argv[2:]
code = b''.join(struct.pack('HBBI', *one) for one in [
    (0x20, 0, 0, 0), (0x15, 0, 1, 425), (0x06, 0, 0, 0x50000 | error), (0x06, 0, 0, 0x7fff0000)])
octets = ctypes.create_string_buffer(code)
class Program(ctypes.Structure):
    _fields_ = [('len', ctypes.c_ushort), ('filter', ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Program(4, ctypes.addressof(octets)))) == 0
os.execv(program[0], program)
";
    let mut command = Command::new("python3");
    let error = error.to_string();
    command.args(["-c", WRAPPER, &error, env!("CARGO_BIN_EXE_rollcall")]);
    command
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
