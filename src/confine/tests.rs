//! What a confined process can and cannot do, tried by copies of this test that confine themselves.

use std::fs::{self, File};
use std::io;
use std::net::{TcpListener, ToSocketAddrs, UdpSocket};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use caps::{CapSet, Capability};
use nix::sys::signal;
use nix::unistd::Pid;
use socket2::{Domain, Socket, Type};

use super::*;

/// Names what the copy is to try.
const TRIED: &str = "ROLLCALL_TEST_TRIED";
/// Names the directory of its configuration.
const DIRECTORY: &str = "ROLLCALL_TEST_DIRECTORY";

/// Has a copy of this test confine itself and try something. It exits with 0 where all was as it should.
fn try_confined(tried: &str) -> Output {
    let directory = directory(tried);
    fs::create_dir_all(directory.join("state")).expect("a directory");
    fs::write(directory.join("config.json"), "{}").expect("a file");
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "confine::tests::copy", "--nocapture"])
        .env(TRIED, tried)
        .env(DIRECTORY, &directory)
        .output()
        .expect("a copy of this test");
    fs::remove_dir_all(&directory).expect("the directory");
    output
}

fn directory(tried: &str) -> PathBuf {
    std::env::temp_dir().join(format!("rollcall-confined-{tried}-{}", std::process::id()))
}

/// Does nothing but in a copy.
#[test]
fn copy() {
    let (Ok(tried), Ok(directory)) = (std::env::var(TRIED), std::env::var(DIRECTORY)) else {
        return;
    };
    let directory = PathBuf::from(directory);
    let mut config = Config {
        file: Some(directory.join("config.json")),
        state_directory: Some(directory.join("state")),
        ..Config::default()
    };
    match tried.as_str() {
        "normal" => {
            Confined::enter(&config);
            try_what_is_needed(&directory);
        }
        "other" => {
            Confined::enter(&config);
            try_what_is_not(&directory);
        }
        "log" => {
            config.sandbox = config::Sandbox::Log;
            let calls = Confined::enter(&config).shown.calls;
            let refused = alg_socket().is_err_and(|error| is(&error, libc::EPERM));
            assert!(calls != Calls::Logged || !refused);
        }
        "exec" => {
            Confined::enter(&config);
            let error = Command::new("/bin/true").exec();
            panic!("{error}");
        }
        _ => panic!("{tried}"),
    }
}

fn try_what_is_needed(directory: &Path) {
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a UDP socket");
    udp.send_to(b"?", udp.local_addr().expect("its address"))
        .expect("sent");
    TcpListener::bind("[::1]:0")
        .or_else(|_| TcpListener::bind("127.0.0.1:0"))
        .expect("a listener");
    std::os::unix::net::UnixDatagram::unbound().expect("a socket to the journal");
    crate::sys::interfaces::local_networks().expect("netlink");
    ("localhost", 1)
        .to_socket_addrs()
        .expect("a host's address");
    let inside = std::thread::spawn(|| {
        crate::sys::priority::give_way().expect("it may");
        let cores = crate::sys::affinity::allowed_cores().expect("cores");
        crate::sys::affinity::pin_current_thread(cores[0]).expect("it may");
    });
    inside.join().expect("a thread");
    assert!(std::panic::catch_unwind(|| panic!("a panic is caught")).is_err());
    crate::sys::memory::release_free_pages();
    let usage = crate::sys::process::Usage::read();
    assert!(
        usage.descriptors.is_some() && usage.udp_drops.is_some(),
        "{usage:?}"
    );
    fs::read("/etc/hosts").expect("it may");
    fs::read(directory.join("config.json")).expect("it may");
    let state = directory.join("state");
    fs::write(state.join("new"), "x").expect("it may");
    fs::rename(state.join("new"), state.join("old")).expect("it may");
    File::open(&state)
        .and_then(|it| it.sync_all())
        .expect("it may");
}

fn try_what_is_not(directory: &Path) {
    let effective = caps::read(None, CapSet::Effective).expect("its own");
    assert!(
        effective
            .iter()
            .all(|it| *it == Capability::CAP_NET_BIND_SERVICE)
    );
    let error = alg_socket().expect_err("a family that nobody needs");
    assert!(is(&error, libc::EPERM), "{error}");
    let packets = Socket::new(Domain::PACKET, Type::RAW, None);
    packets.expect_err("all traffic of the host");
    let error = signal::kill(Pid::parent(), None).expect_err("another process");
    assert_eq!(error, nix::errno::Errno::EPERM);
    // Where Landlock is not there, files are those of the user.
    if files::version().is_ok() {
        let other = directory.join("config.json");
        let error = fs::write(other, "{}").expect_err("not the state's directory");
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        let beside = directory.with_extension("beside");
        fs::create_dir(&beside).expect_err("a directory elsewhere");
        let list = fs::read_dir(std::env::temp_dir());
        list.map(drop).expect_err("a directory that nothing names");
    }
}

fn alg_socket() -> io::Result<Socket> {
    Socket::new(Domain::from(libc::AF_ALG), Type::SEQPACKET, None)
}

fn is(error: &io::Error, code: libc::c_int) -> bool {
    error.raw_os_error() == Some(code)
}

fn passes(output: &Output) {
    let text = String::from_utf8_lossy(&output.stderr);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{:?}\n{told}{text}", output.status);
}

#[test]
fn what_rollcall_needs_goes_on() {
    passes(&try_confined("normal"));
}

#[test]
fn what_it_does_not_need_is_refused() {
    passes(&try_confined("other"));
}

#[test]
fn log_refuses_no_call() {
    passes(&try_confined("log"));
}

#[test]
fn another_program_ends_the_process() {
    let status = try_confined("exec").status;
    assert_eq!(status.signal(), Some(libc::SIGSYS), "{status:?}");
}

/// Where both have a list, the service's must not be the shorter one.
#[test]
fn every_call_of_the_list_is_allowed_by_the_unit() {
    let unit = include_str!("../../packaging/systemd/rollcall.service");
    let mut allowed: Vec<String> = Vec::new();
    for line in unit.lines() {
        let Some(list) = line.strip_prefix("SystemCallFilter=") else {
            continue;
        };
        let without = list.starts_with('~');
        for name in list.trim_start_matches('~').split_whitespace() {
            let calls = members(name);
            match without {
                true => allowed.retain(|call| !calls.contains(call)),
                false => allowed.extend(calls),
            }
        }
    }
    let names = calls::names()
        .into_iter()
        .chain(calls::ENTERING.iter().copied());
    let missing: Vec<_> = names
        .filter(|name| !allowed.iter().any(|it| it == name))
        .collect();
    assert!(missing.is_empty(), "the unit does not allow {missing:?}");
}

/// A call, or those of a group and of the groups in it.
fn members(name: &str) -> Vec<String> {
    if !name.starts_with('@') {
        return vec![name.to_owned()];
    }
    let output = Command::new("systemd-analyze")
        .args(["syscall-filter", "--no-pager", name])
        .output();
    let output = output.expect("systemd-analyze");
    assert!(output.status.success(), "{name}");
    let text = String::from_utf8(output.stdout).expect("text");
    let names = text.lines().skip(1).map(str::trim);
    let names = names.filter(|line| !line.is_empty() && !line.starts_with('#'));
    names.flat_map(members).collect()
}
