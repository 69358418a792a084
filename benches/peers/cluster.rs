//! The cluster whose names are asked. In: a number of tasks. Out: a stand-in for its master on loopback,
//! and a name that it has. Deterministic: the same number gives the same names.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::process::Process;
use crate::wire::free_address;

pub struct Cluster {
    pub master: SocketAddr,
    pub state_bytes: u64,
    /// With addresses.
    pub name: String,
    _process: Process,
}

impl Cluster {
    pub fn start(directory: &Path, tasks: usize, core: usize) -> Result<Self, String> {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/tools");
        let place = directory.join(format!("cluster-{tasks}"));
        let master = free_address();
        let made = Command::new("python3")
            .arg(tools.join("gen_state.py"))
            .arg(&place)
            .args(["--agents", &(tasks / 20).max(20).to_string()])
            .args(["--tasks", &tasks.to_string()])
            .args(["--leader", &master.to_string()])
            .status();
        if !made.is_ok_and(|status| status.success()) {
            return Err("gen_state.py fails (apt-get install python3)".to_owned());
        }
        let state = place.join("state.json");
        let command = [
            "python3".to_owned(),
            tools.join("fake_master.py").display().to_string(),
            state.display().to_string(),
            master.port().to_string(),
        ];
        let process = Process::start(&command, &[core], &directory.join("master.log"));
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(master).is_err() {
            if Instant::now() > end {
                return Err(format!(
                    "the stand-in for the master does not listen:\n{}",
                    process.last_words()
                ));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(Self {
            master,
            state_bytes: fs::metadata(&state).expect("the state").len(),
            name: fs::read_to_string(place.join("name")).expect("a name"),
            _process: process,
        })
    }
}

const PATIENCE: Duration = Duration::from_secs(30);
