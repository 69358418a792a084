//! The words of the command line as a table: commands, flags, who takes which, and what they mean.
//! Manual pages and completions are made from it. It must never have a word that the parser does
//! not take, nor lack one that it does.

use super::simulate;

/// A command: `rollcall NAME`.
#[derive(Debug)]
pub struct Verb {
    pub name: &'static str,
    /// What follows it; several choices have `|` between them.
    pub subject: &'static str,
    /// A whole sentence without its full stop, for `rollcall(8)`.
    pub meaning: &'static str,
    /// A few words, for a menu of completions.
    pub short: &'static str,
}

/// A flag, with one dash or two.
#[derive(Debug)]
pub struct Flag {
    pub name: &'static str,
    pub value: Value,
    /// The commands that take it; empty: all.
    pub verbs: &'static [&'static str],
    pub meaning: &'static str,
}

/// What a flag has behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    None,
    File,
    Text(&'static str),
}

#[rustfmt::skip]
pub const VERBS: &[Verb] = &[
    Verb { name: "check", subject: "", short: "show the effective configuration", meaning: "Show the effective configuration, where each value came from, and what is odd about it; exit 0 where it is good and 2 where it is not" },
    Verb { name: "explain", subject: "NAME", short: "why a name has its answers, or none", meaning: "Ask the running instance which tasks made NAME, and why it has its addresses and ports, or none" },
    Verb { name: "healthy", subject: "", short: "whether the instance here serves", meaning: "Ask the running instance of the configuration whether it serves; exit 0 where it does and 1 where not, as the health checks of containers want it" },
    Verb { name: "demo", subject: "", short: "a simulated cluster and Rollcall on loopback", meaning: "Run a simulated cluster and Rollcall on it, on free ports of loopback" },
    Verb { name: "simulate", subject: "", short: "the simulated Mesos master alone", meaning: "Run the simulated Mesos master alone; simulate --help lists its flags" },
    Verb { name: "man", subject: "8|5", short: "print a manual page", meaning: "Print this page, or that of the configuration, as roff" },
    Verb { name: "completions", subject: "bash|zsh|fish", short: "print the completions of a shell", meaning: "Print the completions for a shell" },
];

#[rustfmt::skip]
pub const FLAGS: &[Flag] = &[
    Flag { name: "config", value: Value::File, verbs: &["", "check", "explain", "healthy"], meaning: "the configuration file" },
    Flag { name: "http", value: Value::Text("ADDRESS:PORT"), verbs: &["explain", "healthy"], meaning: "the HTTP API of the instance to ask, where it is not that of the configuration" },
    Flag { name: "v", value: Value::Text("LEVEL"), verbs: &[], meaning: "1 or 2: log more, on standard error" },
    Flag { name: "version", value: Value::None, verbs: &[], meaning: "print the version" },
    Flag { name: "help", value: Value::None, verbs: &[], meaning: "print a screen of help" },
    Flag { name: "agents", value: Value::Text("N"), verbs: SIMULATED, meaning: "agents of the simulated cluster" },
    Flag { name: "tasks", value: Value::Text("N"), verbs: SIMULATED, meaning: "tasks of the simulated cluster" },
    Flag { name: "churn", value: Value::Text("N"), verbs: SIMULATED, meaning: "changes of tasks a second" },
    Flag { name: "seed", value: Value::Text("S"), verbs: SIMULATED, meaning: "the same seed gives the same cluster" },
    Flag { name: "seconds", value: Value::Text("N"), verbs: &["demo"], meaning: "end after so many seconds" },
];

const SIMULATED: &[&str] = &["demo", "simulate"];

/// The shells that there are completions for.
pub const SHELLS: &[&str] = &["bash", "zsh", "fish"];

impl Flag {
    pub fn is_for(&self, verb: &str) -> bool {
        self.verbs.is_empty() || self.verbs.contains(&verb)
    }
}

/// Flags of `simulate` alone, as its help names them.
pub fn simulate_flags() -> Vec<&'static str> {
    let words = simulate::HELP
        .split(|c: char| c.is_whitespace() || ",[]".contains(c))
        .filter_map(|word| word.strip_prefix("--"));
    let own = words.filter(|word| !FLAGS.iter().any(|flag| flag.name == *word));
    own.collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Command, HELP, parse};
    use super::*;
    use std::ffi::OsString;

    fn line(words: &[&str]) -> Vec<OsString> {
        let words = words.iter().filter(|word| !word.is_empty());
        words.map(OsString::from).collect()
    }

    #[test]
    fn every_command_of_the_table_is_taken_and_in_the_help() {
        for verb in VERBS {
            for subject in verb.subject.split('|') {
                let words = line(&[verb.name, subject]);
                let found = parse(words.into_iter()).expect(verb.name);
                assert!(!matches!(found.command, Command::Serve { .. }));
            }
            assert!(HELP.contains(&format!("rollcall {}", verb.name)), "{HELP}");
        }
    }

    #[test]
    fn every_flag_of_the_table_is_taken_where_it_belongs() {
        for flag in FLAGS {
            let value = match flag.value {
                Value::None => String::new(),
                Value::File => "=f.json".to_owned(),
                Value::Text(_) => "=1".to_owned(),
            };
            for verb in VERBS.iter().map(|verb| verb.name).chain([""]) {
                let subject = VERBS.iter().find(|known| known.name == verb);
                let subject = subject.map_or("", |verb| verb.subject);
                let subject = subject.split('|').next().unwrap_or_default();
                let words = line(&[verb, subject, &format!("--{}{value}", flag.name)]);
                let taken = parse(words.into_iter()).is_ok();
                // Read by all, and by `simulate` what is for `demo`, and of no effect there.
                let idle = flag.name == "config" || (flag.name, verb) == ("seconds", "simulate");
                assert_eq!(taken, flag.is_for(verb) || idle, "{verb} --{}", flag.name);
            }
        }
    }

    #[test]
    fn flags_of_the_simulated_master_are_read_off_its_help() {
        let flags = simulate_flags();
        for flag in ["listen", "zk", "no-stream", "old-stream", "tls-client-ca"] {
            assert!(flags.contains(&flag), "{flag}: {flags:?}");
        }
        assert!(!flags.contains(&"agents"));
    }
}
