//! What was asked for on the command line. In: words. Out: options within their bounds, or what is wrong
//! with one of them.

use std::path::PathBuf;
use std::time::Duration;

use crate::queries::Kind;

pub struct Options {
    pub task: Task,
    pub tasks: usize,
    pub rounds: usize,
    /// One closed run; each open one takes half of it.
    pub time: Duration,
    pub kinds: Vec<Kind>,
    pub sockets: usize,
    pub window: usize,
    pub workers: usize,
    pub directory: Option<PathBuf>,
}

/// What to do.
pub enum Task {
    Compare,
    Quick,
    /// Time to the first answer and memory, for clusters of so many tasks.
    Load(Vec<usize>),
}

impl Options {
    pub fn from_args() -> Result<Self, String> {
        let mut options = Self {
            task: Task::Compare,
            tasks: 10_000,
            rounds: 5,
            time: Duration::from_secs(1),
            kinds: Kind::ALL.to_vec(),
            sockets: 8,
            window: 512,
            workers: 1,
            directory: None,
        };
        // Cargo adds `--bench`.
        let args = std::env::args().skip(1).filter(|arg| arg != "--bench");
        let mut args = args.peekable();
        while let Some(flag) = args.next() {
            match flag.as_str() {
                "--quick" => {
                    options.task = Task::Quick;
                    continue;
                }
                "--load" => {
                    let sizes = args.next_if(|arg| !arg.starts_with("--"));
                    let sizes = sizes.unwrap_or_else(|| "1000 10000 100000".to_owned());
                    let numbers = words(&sizes).map(|size| number(&flag, size, 100, 1_000_000));
                    options.task = Task::Load(numbers.collect::<Result<_, _>>()?);
                    continue;
                }
                "--help" | "-h" => return Err(HELP.to_owned()),
                _ => {}
            }
            let value = args
                .next()
                .ok_or_else(|| format!("{flag}: no value\n{HELP}"))?;
            match flag.as_str() {
                "--tasks" => options.tasks = number(&flag, &value, 100, 1_000_000)?,
                "--rounds" => options.rounds = number(&flag, &value, 1, 1_000)?,
                "--seconds" => {
                    let seconds: f64 = value.parse().unwrap_or(0.0);
                    if !(0.1..=600.0).contains(&seconds) {
                        return Err(format!("{flag} {value}: 0.1 to 600"));
                    }
                    options.time = Duration::from_secs_f64(seconds);
                }
                "--kinds" => {
                    let kinds = words(&value).map(|kind| {
                        Kind::from_text(kind)
                            .ok_or_else(|| format!("no kind of queries is called {kind}\n{HELP}"))
                    });
                    options.kinds = kinds.collect::<Result<_, _>>()?;
                }
                "--sockets" => options.sockets = number(&flag, &value, 1, 64)?,
                "--window" => options.window = number(&flag, &value, 1, 16_384)?,
                "--workers" => options.workers = number(&flag, &value, 1, 2)?,
                "--out" => options.directory = Some(value.into()),
                _ => return Err(format!("no option is called {flag}\n{HELP}")),
            }
        }
        if options.window < options.sockets {
            return Err("--window: not less than --sockets".to_owned());
        }
        Ok(options)
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', ',']).filter(|word| !word.is_empty())
}

fn number(flag: &str, text: &str, least: usize, most: usize) -> Result<usize, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("{flag} {text}: {least} to {most}"))
}

const HELP: &str = "\
benches/versus [OPTIONS]
  --tasks N            size of the cluster (10000)
  --rounds N           interleaved rounds (5)
  --seconds N          time of one closed run; an open one takes half (1)
  --kinds \"a srv ...\"  a, srv, mixed, nxdomain, many (all)
  --sockets N          sockets of the load (8; many: 1)
  --window N           queries under way in a closed run (512)
  --workers 2          one worker beside two, with load on both cores
  --out DIRECTORY      also writes versus.md, versus.json, versus.svg
  --quick              asks every server for every name of a small cluster; 1 where Rollcall errs
  --load [\"N ...\"]     time to the first answer, memory (1000 10000 100000)
Environment: ROLLCALL, ROLLCALL_BEFORE (binaries), MESOS_DNS (where it is not in the path)";
