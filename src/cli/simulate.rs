//! Flags of `demo` and `simulate`. In: flags one after the other. Out: options of the simulated master.
//! It must never take a flag that it does not know.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Parser, ValueExt};

use super::{UsageError, parsed, switch};
use crate::simulate::demo::DemoOptions;
use crate::simulate::{Credentials, SimulateOptions, Stream, TlsFiles};

/// Lines of 80 columns.
pub const HELP: &str = "\
rollcall simulate: a Mesos master with a made-up cluster, for tests and demos.

  --agents N --tasks N       size of the cluster (20 and 100)
  --seed S                   the same seed gives the same cluster and changes
  --churn N                  changes a second: an instance ends, another starts
  --steps N                  changes that happened before the start
  --listen ADDRESS:PORT      where it listens (a free port of 127.0.0.1)
  --id ID                    the master's own id (random)
  --standby HOST:PORT        it follows that leader: redirects
  --zk zk://[USER:PASSWORD@]HOST:PORT,.../PATH
                             it stands for election in ZooKeeper
  --zk-session-ms N          when ZooKeeper forgets a dead master (10000)
  --recovery-ms N            how long a later leader has not recovered (0)
  --return-ms N              over how long agents come back to it then (0)
  --heartbeat-ms N           between heartbeats of a stream (15000)
  --streams-max N            above it the oldest stream is closed (1000)
  --no-stream, --old-stream  no v1 API at all; a stream without heartbeats
  --credentials NAME:PASSWORD  nobody else is let in
  --blind NAME:PASSWORD      one who sees neither frameworks nor tasks
  --tls-cert FILE --tls-key FILE [--tls-client-ca FILE]
                             https; with the last for clients it has signed

While it runs, POST to it (each answers JSON; counts and roles by GET too):

  /simulate/step?count=N  /simulate/step-app?name=APP&count=N
  /simulate/agent?index=N&do=lose|return|remove
  /simulate/health?app=APP&instance=N&is=good|bad|unknown
  /simulate/framework?do=add&name=NAME&app=APP&tasks=N
  /simulate/framework?index=N&do=tear-down|update&hostname=H&pid=P
  /simulate/stream?do=FAULT&for=open|new|all   normal, disconnect, hang-up,
      silence, garbage, bad-json, bad-length, too-long, split&bytes=N,
      delay&ms=N, refuse&status=N
  /simulate/state?do=FAULT   normal, empty, garbage, cut, hang-up,
      status&status=N, slow&ms=N
  /simulate/restart          as when started anew, without --zk
  /simulate/counts           requests and streams so far, role, id
";

/// The simulated cluster of `demo` and `simulate`; `None` leaves the choice to them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SimulateFlags {
    pub agents: Option<usize>,
    pub tasks: Option<usize>,
    /// Changes of tasks a second.
    pub churn_per_second: Option<f64>,
    pub seed: Option<u64>,
    /// The demonstration ends by itself after this.
    pub seconds: Option<u64>,
    /// What `simulate` alone takes.
    pub master: MasterFlags,
}

/// Flags of `simulate` alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MasterFlags {
    pub listen: Option<SocketAddr>,
    pub steps: Option<u64>,
    pub id: Option<String>,
    /// `HOST:PORT` of the leader to redirect to, as a master does that does not lead.
    pub standby: Option<String>,
    pub zk: Option<String>,
    pub zk_session: Option<Duration>,
    pub recovery: Option<Duration>,
    pub return_over: Option<Duration>,
    pub heartbeat: Option<Duration>,
    pub streams_max: Option<usize>,
    pub no_stream: bool,
    pub old_stream: bool,
    pub credentials: Option<Credentials>,
    pub blind: Option<Credentials>,
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub tls_client_ca: Option<PathBuf>,
}

impl SimulateFlags {
    /// Takes a flag with its value. `false`: it is not one of these.
    pub(super) fn take(&mut self, name: &str, parser: &mut Parser) -> Result<bool, UsageError> {
        let flag = format!("--{name}");
        match name {
            "agents" => self.agents = Some(parsed(&flag, parser.value()?, COUNT)?),
            "tasks" => self.tasks = Some(parsed(&flag, parser.value()?, COUNT)?),
            "seed" => self.seed = Some(parsed(&flag, parser.value()?, COUNT)?),
            "churn" => {
                let churn: f64 = parsed(&flag, parser.value()?, "a number of changes a second")?;
                if !churn.is_finite() || churn < 0.0 {
                    return Err(UsageError(format!("{flag}: {churn} is below 0 or endless")));
                }
                self.churn_per_second = Some(churn);
            }
            "seconds" => self.seconds = Some(parsed(&flag, parser.value()?, COUNT)?),
            _ => return self.master.take(name, &flag, parser),
        }
        Ok(true)
    }

    /// The flags that `simulate` alone takes were not given.
    pub(super) fn is_for_demo(&self) -> bool {
        self.master == MasterFlags::default()
    }

    /// What was not said is as `simulate` has it.
    pub fn for_simulate(self) -> Result<SimulateOptions, UsageError> {
        let default = SimulateOptions::default();
        let flags = self.master;
        let stream = match (flags.no_stream, flags.old_stream) {
            (false, false) => Stream::Modern,
            (false, true) => Stream::Old,
            (true, false) => Stream::None,
            (true, true) => {
                let message = "--no-stream and --old-stream exclude each other";
                return Err(UsageError(message.to_owned()));
            }
        };
        let tls = match (flags.tls_cert, flags.tls_key, flags.tls_client_ca) {
            (Some(cert), Some(key), client_ca) => Some(TlsFiles {
                cert,
                key,
                client_ca,
            }),
            (None, None, None) => None,
            _ => {
                let message = "--tls-cert, --tls-key and --tls-client-ca go together";
                return Err(UsageError(message.to_owned()));
            }
        };
        Ok(SimulateOptions {
            agents: self.agents.unwrap_or(default.agents),
            tasks: self.tasks.unwrap_or(default.tasks),
            churn_per_second: self.churn_per_second.unwrap_or(default.churn_per_second),
            seed: self.seed.unwrap_or(default.seed),
            steps: flags.steps.unwrap_or(default.steps),
            listen: flags.listen.unwrap_or(default.listen),
            id: flags.id,
            standby: flags.standby,
            zk: flags.zk,
            zk_session: flags.zk_session.unwrap_or(default.zk_session),
            recovery: flags.recovery.unwrap_or(default.recovery),
            return_over: flags.return_over.unwrap_or(default.return_over),
            stream,
            heartbeat: flags.heartbeat.unwrap_or(default.heartbeat),
            streams_max: flags.streams_max.unwrap_or(default.streams_max),
            credentials: flags.credentials,
            blind: flags.blind,
            tls,
        })
    }

    /// What was not said is as `demo` has it.
    pub fn for_demo(self) -> DemoOptions {
        let default = DemoOptions::default();
        DemoOptions {
            agents: self.agents.unwrap_or(default.agents),
            tasks: self.tasks.unwrap_or(default.tasks),
            seed: self.seed.unwrap_or(default.seed),
            churn_per_second: self.churn_per_second.unwrap_or(default.churn_per_second),
            seconds: self.seconds,
        }
    }
}

impl MasterFlags {
    fn take(&mut self, name: &str, flag: &str, parser: &mut Parser) -> Result<bool, UsageError> {
        match name {
            "listen" => {
                let address = parsed(flag, parser.value()?, "ADDRESS:PORT, as in 127.0.0.1:5050")?;
                self.listen = Some(address);
            }
            "steps" => self.steps = Some(parsed(flag, parser.value()?, COUNT)?),
            "id" => self.id = Some(parser.value()?.string()?),
            "standby" => self.standby = Some(parser.value()?.string()?),
            "zk" => self.zk = Some(parser.value()?.string()?),
            "zk-session-ms" => self.zk_session = Some(milliseconds(flag, parser)?),
            "recovery-ms" => self.recovery = Some(milliseconds(flag, parser)?),
            "return-ms" => self.return_over = Some(milliseconds(flag, parser)?),
            "heartbeat-ms" => self.heartbeat = Some(milliseconds(flag, parser)?),
            "streams-max" => self.streams_max = Some(parsed(flag, parser.value()?, COUNT)?),
            "no-stream" => self.no_stream = switch(flag, parser)?,
            "old-stream" => self.old_stream = switch(flag, parser)?,
            "credentials" => self.credentials = Some(credentials(flag, parser)?),
            "blind" => self.blind = Some(credentials(flag, parser)?),
            "tls-cert" => self.tls_cert = Some(PathBuf::from(parser.value()?)),
            "tls-key" => self.tls_key = Some(PathBuf::from(parser.value()?)),
            "tls-client-ca" => self.tls_client_ca = Some(PathBuf::from(parser.value()?)),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn milliseconds(flag: &str, parser: &mut Parser) -> Result<Duration, UsageError> {
    let wanted = "a whole number of milliseconds";
    parsed(flag, parser.value()?, wanted).map(Duration::from_millis)
}

/// The value is not shown: it holds a password.
fn credentials(flag: &str, parser: &mut Parser) -> Result<Credentials, UsageError> {
    let text = parser.value()?.string()?;
    text.parse()
        .map_err(|wanted| UsageError(format!("{flag} wants {wanted}")))
}

const COUNT: &str = "a whole number";

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::{Command, UsageError, parse};
    use super::*;

    fn flags(line: &str) -> Result<SimulateFlags, UsageError> {
        let words = line.split_whitespace().map(OsString::from);
        match parse(words)?.command {
            Command::Simulate(flags) => Ok(flags),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn every_flag_of_the_help_sets_its_option() {
        let options = flags(
            "simulate --agents 5 --tasks=7 --churn 0.5 --seed 9 --steps 3 --listen 127.0.0.1:0 \
             --id m1 --zk zk://u:p@127.0.0.1:2181/mesos --zk-session-ms 1000 --recovery-ms 20 \
             --return-ms 30 --heartbeat-ms 40 --streams-max 2 --old-stream --credentials a:b:c \
             --blind d:e --tls-cert c.pem --tls-key k.pem --tls-client-ca ca.pem",
        )
        .and_then(SimulateFlags::for_simulate)
        .expect("options");
        let pair = |name: &str, password: &str| {
            Some(Credentials {
                name: name.to_owned(),
                password: password.to_owned(),
            })
        };
        let expected = SimulateOptions {
            agents: 5,
            tasks: 7,
            churn_per_second: 0.5,
            seed: 9,
            steps: 3,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            id: Some("m1".to_owned()),
            standby: None,
            zk: Some("zk://u:p@127.0.0.1:2181/mesos".to_owned()),
            zk_session: Duration::from_millis(1000),
            recovery: Duration::from_millis(20),
            return_over: Duration::from_millis(30),
            stream: Stream::Old,
            heartbeat: Duration::from_millis(40),
            streams_max: 2,
            credentials: pair("a", "b:c"),
            blind: pair("d", "e"),
            tls: Some(TlsFiles {
                cert: "c.pem".into(),
                key: "k.pem".into(),
                client_ca: Some("ca.pem".into()),
            }),
        };
        assert_eq!(options, expected);
        for (line, stream, standby) in [
            ("simulate --no-stream", Stream::None, None),
            (
                "simulate --standby m2:5050",
                Stream::Modern,
                Some("m2:5050"),
            ),
        ] {
            let options = flags(line).and_then(SimulateFlags::for_simulate);
            let options = options.expect("options");
            assert_eq!(options.stream, stream);
            assert_eq!(options.standby.as_deref(), standby);
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        for (line, culprit) in [
            ("simulate --no-stream --old-stream", "--old-stream"),
            ("simulate --tls-cert c.pem", "--tls-key"),
            ("simulate --tls-client-ca c.pem", "--tls-cert"),
            ("simulate --credentials nothing", "NAME:PASSWORD"),
            ("simulate --heartbeat-ms soon", "soon"),
        ] {
            let error = flags(line)
                .and_then(SimulateFlags::for_simulate)
                .expect_err(line)
                .to_string();
            assert!(error.contains(culprit), "{line}: {error}");
        }
        let words = ["demo", "--heartbeat-ms", "1"].map(OsString::from);
        let error = parse(words.into_iter())
            .expect_err("not of demo")
            .to_string();
        assert!(error.contains("simulate"), "{error}");
    }

    #[test]
    fn help_names_every_flag_within_80_columns() {
        for line in HELP.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        for flag in [
            "agents",
            "tasks",
            "seed",
            "churn",
            "steps",
            "listen",
            "id",
            "standby",
            "zk",
            "zk-session-ms",
            "recovery-ms",
            "return-ms",
            "heartbeat-ms",
            "streams-max",
            "no-stream",
            "old-stream",
            "credentials",
            "blind",
            "tls-cert",
            "tls-key",
            "tls-client-ca",
        ] {
            assert!(HELP.contains(&format!("--{flag}")), "{flag}");
        }
    }
}
