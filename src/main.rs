//! Arguments in, an exit status out: 0 good, 1 failed at work, 2 refused before any. It must do
//! nothing itself but choose who does it.

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use rollcall::cli::{self, Command, UsageError};
use rollcall::config::{self, Config, ConfigError, Loaded};
use rollcall::{daemon, simulate};

fn main() -> ExitCode {
    let Err(error) = run() else {
        return ExitCode::SUCCESS;
    };
    _ = writeln!(std::io::stderr(), "rollcall: {error}");
    let refused = error.is::<UsageError>() || error.is::<ConfigError>();
    ExitCode::from(if refused { 2 } else { 1 })
}

fn run() -> Result<(), Box<dyn Error>> {
    let invocation = cli::parse(std::env::args_os().skip(1))?;
    cli::log::start_for(&invocation);
    daemon::install_tls_provider();
    match invocation.command {
        Command::Help => print(cli::HELP),
        Command::SimulateHelp => print(cli::simulate::HELP),
        Command::Version => print(concat!("rollcall ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Check { config } => {
            let loaded = load(config)?;
            let found = daemon::findings(&loaded.config);
            print(&config::check::report(&loaded, &found));
        }
        Command::Explain(asked) => print(&cli::explain::run(&asked, load)?),
        Command::Healthy(asked) => cli::healthy::run(&asked, load)?,
        Command::Print(text) => print(&text),
        Command::Demo(flags) => simulate::demo::run(&flags.for_demo())?,
        Command::Simulate(flags) => simulate::run(&flags.for_simulate()?)?,
        Command::Serve { config } => {
            let loaded = load(config.clone())?;
            cli::log::start(invocation.verbosity, false, loaded.config.log_format);
            for warning in &loaded.warnings {
                tracing::warn!("{warning}");
            }
            daemon::run(loaded.config, || load(config.clone()))?;
        }
    }
    Ok(())
}

fn load(path: Option<PathBuf>) -> Result<Loaded, ConfigError> {
    Config::load(path.as_deref(), config::environment())
}

/// A reader that went away (`| head`) is no failure.
fn print(text: &str) {
    _ = std::io::stdout().write_all(text.as_bytes());
}
