//! The command line: arguments in, a `Command` out. Takes mesos-dns's flags in Go's spelling. It
//! must never take an argument that it does not know.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use lexopt::{Arg, Parser, ValueExt};

pub mod completions;
pub mod explain;
pub mod healthy;
pub mod log;
pub mod man;
pub mod simulate;
pub mod words;

pub use simulate::SimulateFlags;

/// Fits a screen of 24 lines of 80 columns.
pub const HELP: &str = "\
Rollcall answers DNS for the tasks of an Apache Mesos cluster, like mesos-dns.

  rollcall [-config=FILE]         serve (else config.json here or in /etc)
  rollcall check [-config=FILE]   show the effective configuration; exit 0 or 2
  rollcall explain NAME           why NAME has its answers, or why it has none
  rollcall demo                   a simulated cluster and Rollcall on loopback
  rollcall simulate               the simulated Mesos master alone
  rollcall healthy                exit 0 while the instance here serves, else 1
  rollcall man 8|5, rollcall completions bash|zsh|fish   print these

  -config=FILE        mesos-dns's config.json, unchanged
  -v=1, -v=2          log more, on stderr; RUST_LOG is heeded too
  -version, --help    print the version, or this

  explain, healthy    --http ADDRESS:PORT of the running instance, where it is
                      not that of the configuration
  demo, simulate      --agents N  --tasks N  --churn CHANGES_PER_SECOND
                      --seed S  and for demo --seconds N (then it ends)
  simulate            --listen ADDRESS:PORT and more: rollcall simulate --help

Every key of the configuration has a variable, which wins over the file:
ROLLCALL_MASTERS=10.0.0.1:5050 ROLLCALL_REFRESH_SECONDS=30 rollcall
`check` shows every key and where its value came from; the README has the table.
";

/// What the program was asked to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Serve {
        config: Option<PathBuf>,
    },
    Check {
        config: Option<PathBuf>,
    },
    Explain(ExplainOptions),
    Healthy(HealthOptions),
    /// The finished text of a manual page or of a shell's completions.
    Print(String),
    Demo(SimulateFlags),
    Simulate(SimulateFlags),
    Version,
    Help,
    SimulateHelp,
}

/// Whom `explain` asks for what.
#[derive(Clone, Debug, PartialEq)]
pub struct ExplainOptions {
    pub name: String,
    /// `ADDRESS:PORT`; `None` takes `HTTPListener` and `HttpPort` of the configuration.
    pub http: Option<String>,
    pub config: Option<PathBuf>,
}

/// Which instance `healthy` asks.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthOptions {
    /// As for `explain`.
    pub http: Option<String>,
    pub config: Option<PathBuf>,
}

/// A command and how much it logs.
#[derive(Clone, Debug, PartialEq)]
pub struct Invocation {
    pub command: Command,
    /// `-v`: 0 tells what operators want to know, 1 and 2 what developers do.
    pub verbosity: u8,
}

/// Arguments that are not understood; names the one at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; see rollcall --help", self.0)
    }
}

impl std::error::Error for UsageError {}

impl From<lexopt::Error> for UsageError {
    fn from(error: lexopt::Error) -> Self {
        Self(error.to_string())
    }
}

/// Reads the arguments, without the program's name.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Invocation, UsageError> {
    let mut parser = Parser::from_args(fold_go_flags(arguments));
    let mut found = Found::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') => found.help = true,
            Arg::Short('v') => found.verbosity = verbosity(&mut parser)?,
            Arg::Long(name) => {
                let name = name.to_owned();
                found.long(&name, &mut parser)?;
            }
            Arg::Short(letter) => return Err(UsageError(format!("unknown flag -{letter}"))),
            Arg::Value(value) => found.words.push(text(value)?),
        }
    }
    found.into_invocation()
}

/// Go's flags have one dash, or two: `-config=F` gets its second here, since lexopt would read it
/// as `-c onfig=F`. `-v` alone has one letter.
fn fold_go_flags(arguments: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    let mut flags_ended = false;
    arguments.map(move |argument| {
        flags_ended |= argument == "--";
        let bytes = argument.as_encoded_bytes();
        let one_dash = bytes.len() > 2 && bytes[0] == b'-' && bytes[1] != b'-';
        let level = one_dash && bytes[1] == b'v' && matches!(bytes[2], b'=' | b'v' | b'0'..=b'9');
        if flags_ended || !one_dash || level {
            return argument;
        }
        let mut folded = OsString::from("-");
        folded.push(&argument);
        folded
    })
}

/// `-v`, `-vv`, `-v1`, `-v=1` and `-v 1`.
fn verbosity(parser: &mut Parser) -> Result<u8, UsageError> {
    let is_level = |value: &OsStr| {
        value
            .to_str()
            .is_some_and(|text| u8::from_str(text).is_ok())
    };
    let attached = parser.optional_value();
    let value = match attached {
        Some(value) => Some(value),
        None => parser
            .try_raw_args()
            .and_then(|mut rest| rest.next_if(is_level)),
    };
    match value {
        None => Ok(1),
        Some(letters) if letters == "v" => Ok(2),
        Some(level) => parsed("-v", level, "0, 1 or 2"),
    }
}

fn text(value: OsString) -> Result<String, UsageError> {
    value
        .into_string()
        .map_err(|value| UsageError(format!("{value:?} is not UTF-8")))
}

fn parsed<T: FromStr>(flag: &str, value: OsString, wanted: &str) -> Result<T, UsageError> {
    let text = text(value)?;
    let wrong = |_| UsageError(format!("{flag}: {text:?} is not {wanted}"));
    text.parse().map_err(wrong)
}

/// Go's flags without a value may have one after `=`.
fn switch(flag: &str, parser: &mut Parser) -> Result<bool, UsageError> {
    let value = parser.optional_value();
    value.map_or(Ok(true), |value| parsed(flag, value, "true or false"))
}

/// What was on the command line, before it is known whether it fits together.
#[derive(Default)]
struct Found {
    config: Option<PathBuf>,
    http: Option<String>,
    simulate: SimulateFlags,
    /// The first flag that only `demo` and `simulate` take.
    simulate_flag: Option<String>,
    verbosity: u8,
    version: bool,
    help: bool,
    words: Vec<String>,
}

impl Found {
    fn long(&mut self, name: &str, parser: &mut Parser) -> Result<(), UsageError> {
        let flag = format!("--{name}");
        match name {
            "config" => self.config = Some(PathBuf::from(parser.value()?)),
            "http" => self.http = Some(parser.value()?.string()?),
            "version" => self.version = switch(&flag, parser)?,
            "help" => self.help = switch(&flag, parser)?,
            "v" => self.verbosity = verbosity(parser)?,
            // Flags of mesos-dns's logging library: taken, since unit files carry them, and of no
            // effect, since everything goes to stderr here.
            "logtostderr" | "alsologtostderr" => _ = switch(&flag, parser)?,
            "stderrthreshold" | "log_dir" | "log_backtrace_at" | "vmodule" => _ = parser.value()?,
            _ if self.simulate.take(name, parser)? => {
                self.simulate_flag.get_or_insert(flag);
            }
            _ => return Err(UsageError(format!("unknown flag {flag}"))),
        }
        Ok(())
    }

    fn into_invocation(self) -> Result<Invocation, UsageError> {
        let verbosity = self.verbosity;
        let command = self.into_command()?;
        Ok(Invocation { command, verbosity })
    }

    fn into_command(self) -> Result<Command, UsageError> {
        if self.help {
            return Ok(match self.words.first().map(String::as_str) {
                Some("simulate") => Command::SimulateHelp,
                _ => Command::Help,
            });
        }
        if self.version {
            return Ok(Command::Version);
        }
        let mut words = self.words.into_iter();
        let verb = words.next();
        let subject = match verb.as_deref() {
            Some("explain" | "man" | "completions") => words.next(),
            _ => None,
        };
        if let Some(word) = words.next() {
            return Err(UsageError(format!("unexpected argument {word:?}")));
        }
        let simulates = matches!(verb.as_deref(), Some("demo" | "simulate"));
        if let Some(flag) = self.simulate_flag.filter(|_| !simulates) {
            return Err(UsageError(format!("{flag} belongs to demo and simulate")));
        }
        if verb.as_deref() == Some("demo") && !self.simulate.is_for_demo() {
            return Err(UsageError(
                "demo takes --agents, --tasks, --churn, --seed and --seconds; the other flags belong to simulate"
                    .to_owned(),
            ));
        }
        let asks = matches!(verb.as_deref(), Some("explain" | "healthy"));
        if self.http.is_some() && !asks {
            return Err(UsageError(
                "--http belongs to explain and healthy".to_owned(),
            ));
        }
        let (config, http) = (self.config, self.http);
        match verb.as_deref() {
            None => Ok(Command::Serve { config }),
            Some("check") => Ok(Command::Check { config }),
            Some("demo") => Ok(Command::Demo(self.simulate)),
            Some("simulate") => Ok(Command::Simulate(self.simulate)),
            Some("explain") => {
                let name = subject.ok_or_else(|| {
                    UsageError("explain needs a NAME, as in web.marathon.mesos".to_owned())
                })?;
                Ok(Command::Explain(ExplainOptions { name, http, config }))
            }
            Some("healthy") => Ok(Command::Healthy(HealthOptions { http, config })),
            Some("man") => subject
                .and_then(|section| man::page(&section))
                .map(Command::Print)
                .ok_or_else(|| UsageError("man needs a section, 8 or 5".to_owned())),
            Some("completions") => subject
                .and_then(|shell| completions::script(&shell))
                .map(Command::Print)
                .ok_or_else(|| {
                    UsageError("completions needs a shell: bash, zsh or fish".to_owned())
                }),
            Some(other) => Err(UsageError(format!("unknown command {other:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(line: &str) -> Result<Invocation, UsageError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn config_is_taken_in_every_spelling_of_go() {
        let config = Some(PathBuf::from("/x.json"));
        for line in [
            "-config=/x.json",
            "-config /x.json",
            "--config=/x.json",
            "--config /x.json",
        ] {
            let expected = Command::Serve {
                config: config.clone(),
            };
            assert_eq!(
                parse_words(line).map(|found| found.command),
                Ok(expected),
                "{line}"
            );
        }
    }

    #[test]
    fn verbosity_is_taken_in_every_spelling() {
        for (line, level) in [
            ("", 0),
            ("-v", 1),
            ("-v=1", 1),
            ("-v=2", 2),
            ("-v 1", 1),
            ("-v 2", 2),
            ("-v1", 1),
            ("-vv", 2),
            ("--v=2", 2),
            ("-v=0", 0),
            ("-v check", 1),
            ("-v 2 check", 2),
        ] {
            assert_eq!(
                parse_words(line).map(|found| found.verbosity),
                Ok(level),
                "{line}"
            );
        }
        assert!(parse_words("-v=x").is_err());
    }

    #[test]
    fn flags_of_the_old_logging_library_have_no_effect() {
        let line = "-logtostderr -alsologtostderr=true -stderrthreshold=INFO -log_dir /tmp -vmodule=a=1 -config=c";
        let config = Some(PathBuf::from("c"));
        assert_eq!(
            parse_words(line).map(|found| found.command),
            Ok(Command::Serve { config })
        );
    }

    #[test]
    fn commands_take_their_own_flags() {
        let found = parse_words("demo --agents 5 --tasks=7 --seconds 3");
        let expected = SimulateFlags {
            agents: Some(5),
            tasks: Some(7),
            seconds: Some(3),
            ..SimulateFlags::default()
        };
        assert_eq!(
            found.map(|found| found.command),
            Ok(Command::Demo(expected))
        );
        let found = parse_words("simulate --help").map(|found| found.command);
        assert_eq!(found, Ok(Command::SimulateHelp));
        let found = parse_words("explain --http 127.0.0.1:1 web.marathon.mesos -config=c");
        let expected = ExplainOptions {
            name: "web.marathon.mesos".to_owned(),
            http: Some("127.0.0.1:1".to_owned()),
            config: Some(PathBuf::from("c")),
        };
        assert_eq!(
            found.map(|found| found.command),
            Ok(Command::Explain(expected))
        );
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, culprit) in [
            ("-foo=1", "-foo"),
            ("--bar", "--bar"),
            ("-x", "-x"),
            ("explode", "explode"),
            ("check extra", "extra"),
            ("explain", "NAME"),
            ("man 7", "8 or 5"),
            ("completions", "bash"),
            ("healthy extra", "extra"),
            ("--agents 3", "--agents"),
            ("check --http 1.2.3.4:5", "--http"),
            ("simulate --tasks many", "many"),
            ("simulate --churn -1", "-1"),
            ("-config", "config"),
            ("-version=perhaps", "perhaps"),
        ] {
            let error = parse_words(line).expect_err(line).to_string();
            assert!(error.contains(culprit), "{line}: {error}");
            assert!(
                error.ends_with("see rollcall --help") && !error.contains('\n'),
                "{error}"
            );
        }
    }

    #[test]
    fn help_fits_on_a_screen() {
        assert!(HELP.lines().count() <= 24);
        for line in HELP.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
