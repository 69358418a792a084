//! The log: a level and a format in, lines on stderr or fields in the journal out. It must never write
//! to stdout, which belongs to answers.

use std::fmt;
use std::io::{IsTerminal, stderr};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use tracing::{Event, Level, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, format};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

use super::{Command, Invocation};
use crate::config::LogFormat;

/// Starts the log of any command but the server, whose configuration says the format; its own errors
/// are told without a log.
pub fn start_for(invocation: &Invocation) {
    let (is_server, quiet) = match invocation.command {
        Command::Serve { .. } => (true, false),
        Command::Demo(_) => (false, true),
        _ => (false, false),
    };
    if !is_server {
        start(invocation.verbosity, quiet, LogFormat::default());
    }
}

/// Starts the log of the program, once: `-v` gives the level, RUST_LOG wins over it. A `quiet`
/// program tells of faults alone: the demonstration speaks on the same screen.
///
/// What libraries say through the crate `log` is not collected, at any level: the HTTP client writes
/// whole requests at trace, passwords and tokens among them.
pub fn start(verbosity: u8, quiet: bool, format: LogFormat) {
    let level = match verbosity {
        0 if quiet => "error",
        0 => "info",
        1 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let (lines, handle) = reload::Layer::new(lines(format));
    // It fails where a test of this crate has a log already, which then stays.
    if tracing_subscriber::registry()
        .with(lines)
        .with(filter)
        .try_init()
        .is_ok()
    {
        let _ = IN_USE.set(handle);
    }
}

/// Changes the format of the log that was started, if one was.
pub fn follow(format: LogFormat) {
    if let Some(handle) = IN_USE.get() {
        // It fails only where the subscriber is gone.
        let _ = handle.reload(lines(format));
    }
}

/// What writes lines.
type Lines = Box<dyn Layer<Registry> + Send + Sync>;

static IN_USE: OnceLock<reload::Handle<Lines, Registry>> = OnceLock::new();

fn lines(format: LogFormat) -> Lines {
    let plain = tracing_subscriber::fmt::layer()
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal());
    let of_journal = match format {
        LogFormat::Auto => is_stream_of_the_journal(),
        LogFormat::Journald => true,
        LogFormat::Plain => false,
        LogFormat::Json => {
            return plain
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .boxed();
        }
    };
    if !of_journal {
        return plain.boxed();
    }
    match tracing_journald::layer() {
        Ok(journal) => journal
            .with_field_prefix(Some("ROLLCALL".to_owned()))
            .with_syslog_identifier("rollcall".to_owned())
            .with_priority_mappings(PriorityMappings {
                info: Priority::Informational,
                debug: Priority::Debug,
                ..PriorityMappings::new()
            })
            .boxed(),
        // A sandbox may hide the journal's socket, while what reads stderr knows priorities.
        Err(_) => plain.with_ansi(false).event_format(Prioritised).boxed(),
    }
}

/// Whether stderr leads to the journal, as systemd says it does (systemd.exec(5), JOURNAL_STREAM).
fn is_stream_of_the_journal() -> bool {
    let stated = std::env::var("JOURNAL_STREAM").ok();
    stated.is_some_and(|stated| stderr_is(&stated))
}

/// `stated` is a device and an inode: a variable that was inherited says nothing of another stderr.
fn stderr_is(stated: &str) -> bool {
    let numbers = stated.split_once(':');
    let numbers = numbers.and_then(|(dev, ino)| Some((dev.parse().ok()?, ino.parse().ok()?)));
    let own = stderr().as_fd().try_clone_to_owned();
    let own = own.and_then(|own| std::fs::File::from(own).metadata());
    own.is_ok_and(|own| numbers == Some((own.dev(), own.ino())))
}

/// Lines without a time, each behind its priority (sd-daemon(3)): who reads them has both.
struct Prioritised;

impl<S, N> FormatEvent<S, N> for Prioritised
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        write!(writer, "<{priority}>")?;
        format().without_time().format_event(context, writer, event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_stream_that_is_stderr_is_the_journals() {
        let own = stderr().as_fd().try_clone_to_owned().expect("stderr");
        let own = std::fs::File::from(own).metadata().expect("its metadata");
        let (dev, ino) = (own.dev(), own.ino());
        assert!(stderr_is(&format!("{dev}:{ino}")));
        for other in [
            format!("{dev}:{}", ino + 1),
            format!("{}:{ino}", dev + 1),
            format!("{dev}"),
            String::new(),
            ":".to_owned(),
        ] {
            assert!(!stderr_is(&other), "{other:?}");
        }
    }
}
