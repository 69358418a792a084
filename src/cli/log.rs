//! The log: a level in, lines on stderr. It must never write to stdout, which belongs to answers.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts the log of the program, once: `-v` gives the level, RUST_LOG wins over it. A `quiet`
/// program tells of faults alone: the demonstration speaks on the same screen.
///
/// What libraries say through the crate `log` is not collected, at any level: the HTTP client writes
/// whole requests at trace, passwords and tokens among them.
pub fn start(verbosity: u8, quiet: bool) {
    let level = match verbosity {
        0 if quiet => "error",
        0 => "info",
        1 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}
