//! `rollcall man`: the tables of words and of keys in, `rollcall(8)` and `rollcall.json(5)` in mdoc
//! out. It must never say of a key what its table, and with it the README, does not.

use std::fmt::Write;

use super::words::{FLAGS, VERBS, Value};
use crate::config::keys::{KEYS, Key, Since};

/// The page of a section; `None` where there is none.
pub fn page(section: &str) -> Option<String> {
    match section {
        "8" => Some(program()),
        "5" => Some(configuration()),
        _ => None,
    }
}

fn program() -> String {
    let mut text = String::from(PROGRAM_HEAD);
    for verb in VERBS {
        text.push_str(".Nm\n.Cm ");
        text.push_str(verb.name);
        if !verb.subject.is_empty() {
            _ = write!(text, " Ar {}", verb.subject.replace('|', " | "));
        }
        for flag in FLAGS {
            if flag.verbs.contains(&verb.name) {
                text.push_str("\n.Op Fl ");
                text.push_str(&flag_words(flag.name, flag.value));
            }
        }
        text.push('\n');
    }
    text.push_str(PROGRAM_DESCRIPTION);
    for verb in VERBS {
        _ = write!(text, ".It Cm {}", verb.name);
        if !verb.subject.is_empty() {
            _ = write!(text, " Ar {}", verb.subject.replace('|', " | "));
        }
        _ = writeln!(text, "\n{}.", prose(verb.meaning));
    }
    text.push_str(
        ".El\n.Pp\nFlags have one dash or two, and their value behind a space or a\n.Ql = :\n",
    );
    text.push_str(".Bl -tag -width Ds\n");
    for flag in FLAGS {
        _ = writeln!(text, ".It Fl {}", flag_words(flag.name, flag.value));
        _ = writeln!(text, "{}.", prose(&upper(flag.meaning)));
    }
    text.push_str(
        ".El\n.Pp\nOther flags of mesos-dns's logging library are taken and have no effect.\n",
    );
    text.push_str(PROGRAM_TAIL);
    text
}

fn configuration() -> String {
    let mut text = String::from(CONFIGURATION_HEAD);
    for key in KEYS {
        entry(&mut text, key);
    }
    text.push_str(CONFIGURATION_TAIL);
    text
}

/// One key: type, default, meaning, variable, and who brought it.
fn entry(text: &mut String, key: &Key) {
    let wanted = key.kind.wanted();
    let default = match key.default {
        "" => "empty".to_owned(),
        default => format!("default \\fB{}\\fR", verbatim(default).replace(',', ",\\:")),
    };
    _ = writeln!(text, ".It Ic {}", key.name);
    _ = writeln!(text, "{}.", prose(&upper(key.meaning)));
    _ = writeln!(
        text,
        ".br\n{} (\\fB{}\\fR), {default}",
        upper(&wanted),
        key.variable
    );
    let whose = match key.since {
        Since::MesosDns => "",
        Since::Fork => ", from the fork of mesos-dns",
        Since::Rollcall => ", Rollcall's own",
    };
    if text.pop().is_some() {
        _ = writeln!(text, "{whose}.");
    }
}

fn flag_words(name: &str, value: Value) -> String {
    match value {
        Value::None => name.to_owned(),
        Value::File => format!("{name} Ar FILE"),
        Value::Text(what) => format!("{name} Ar {what}"),
    }
}

/// Of a sentence, and never of a name that begins one, such as `/readyz`.
fn upper(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// Prose for roff: what stands between backticks is set in bold.
fn prose(text: &str) -> String {
    let mut set = String::with_capacity(text.len() + 16);
    for (index, part) in text.split('`').enumerate() {
        match index % 2 {
            0 => set.push_str(&escaped(part)),
            _ => _ = write!(set, "\\fB{}\\fR", verbatim(part)),
        }
    }
    // A line that begins with a dot or an apostrophe would be a request.
    if set.starts_with(['.', '\'']) {
        set.insert_str(0, "\\&");
    }
    set
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\e")
}

/// What is to be typed: dashes stay dashes, so that it can be copied from the page.
fn verbatim(text: &str) -> String {
    escaped(text).replace('-', "\\-").replace('~', "\\(ti")
}

const PROGRAM_HEAD: &str = "\
.Dd November 27, 2026
.Dt ROLLCALL 8
.Os Rollcall
.Sh NAME
.Nm rollcall
.Nd DNS server of an Apache Mesos cluster
.Sh SYNOPSIS
.Nm
.Op Fl config Ar FILE
.Op Fl v Ar LEVEL
";

const PROGRAM_DESCRIPTION: &str = "\
.Nm
.Fl version | help
.Sh DESCRIPTION
.Nm
reads the state of a Mesos master and answers DNS for the tasks that run there, over UDP and TCP,
and the HTTP API of mesos-dns, whose configuration file, flags and names it takes unchanged.
Without a command it serves until it is stopped.
It keeps answering while the master is away.
.Pp
The commands:
.Bl -tag -width Ds
";

const PROGRAM_TAIL: &str = "\
.Sh SIGNALS
.Bl -tag -width SIGTERM
.It Dv SIGHUP
Read the configuration anew.
One that is wrong changes nothing, and the log says why.
.It Dv SIGUSR1
Ask the masters at once.
.It Dv SIGTERM , SIGINT
Finish what is in flight and end within 2 seconds.
.El
.Sh ENVIRONMENT
.Bl -tag -width Ds
.It Ev ROLLCALL_*
Every key of the configuration has a variable, which wins over the file; see
.Xr rollcall.json 5 .
.It Ev MESOS_IP , RESOLVER
Where there is no configuration file: the address of a master, with port 5050 unless it has one, and
the resolver of names outside the domain.
.It Ev STATE_DIRECTORY
Set by a service manager: what
.Ic StateDirectory
is where nobody sets it.
.It Ev RUST_LOG
What is logged, as in
.Ql rollcall=debug .
.El
.Sh FILES
.Bl -tag -width Ds
.It Pa /etc/rollcall/config.json
The configuration, after a
.Pa config.json
in the working directory.
.It Pa /etc/mesos-dns/config.json
That of mesos-dns, read where neither of these is there.
.It Pa /var/lib/rollcall
The last good records, under systemd.
.El
.Sh EXIT STATUS
0 after a good end, 1 where something failed at work, and 2 where the command line or the
configuration is refused, before anything was started.
.Sh EXAMPLES
What would become of a configuration of mesos-dns:
.Pp
.Dl $ rollcall check -config=/etc/mesos-dns/config.json
.Pp
Serve without a file:
.Pp
.Dl $ ROLLCALL_MASTERS=10.0.0.1:5050 ROLLCALL_PORT=5353 rollcall
.Pp
Why a name has these answers, or none:
.Pp
.Dl $ rollcall explain web.marathon.mesos
.Sh SEE ALSO
.Xr dig 1 ,
.Xr resolv.conf 5 ,
.Xr rollcall.json 5
";

const CONFIGURATION_HEAD: &str = "\
.Dd November 27, 2026
.Dt ROLLCALL.JSON 5
.Os Rollcall
.Sh NAME
.Nm rollcall.json
.Nd configuration of rollcall
.Sh DESCRIPTION
The file
.Pa config.json
that
.Xr rollcall 8
reads is that of mesos-dns: one JSON object, its keys in any case.
An unknown key is a warning that names the nearest known one.
Each key has an environment variable, which wins over the file; an empty variable counts as not set.
In a variable, lists have commas
.Ql ( []
is the empty list), and true and false may be 1 and 0.
.Pp
.Ql rollcall check
shows the value of every key and where it came from.
.Sh KEYS
.Bl -tag -width Ds
";

const CONFIGURATION_TAIL: &str = "\
.El
.Sh EXAMPLES
Three masters, two addresses to answer at, and whom to ask for names outside the domain:
.Bd -literal -offset indent
{
  \"Masters\": [\"10.0.0.1:5050\", \"10.0.0.2:5050\", \"10.0.0.3:5050\"],
  \"Listener\": [\"10.0.0.10\", \"127.0.0.1\"],
  \"Resolvers\": [\"10.0.0.2\"]
}
.Ed
.Pp
Masters that register in ZooKeeper, and records that outlast a restart:
.Bd -literal -offset indent
{
  \"Zk\": \"zk://10.0.0.1:2181,10.0.0.2:2181/mesos\",
  \"StateDirectory\": \"/var/lib/rollcall\"
}
.Ed
.Sh SEE ALSO
.Xr rollcall 8
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_page_has_every_key_with_its_variable() {
        let text = page("5").expect("a page");
        for key in KEYS {
            assert!(text.contains(&format!("\n.It Ic {}\n", key.name)));
            assert!(text.contains(&format!("(\\fB{}\\fR)", key.variable)));
        }
    }

    #[test]
    fn program_page_has_every_command_and_flag() {
        let text = page("8").expect("a page");
        for verb in VERBS {
            assert!(text.contains(&format!("\n.It Cm {}", verb.name)), "{text}");
        }
        for flag in FLAGS {
            assert!(text.contains(&format!("\n.It Fl {}", flag.name)), "{text}");
        }
        assert_eq!(page("1"), None);
    }

    #[test]
    fn text_never_becomes_a_request() {
        assert_eq!(prose(".Nm it is"), "\\&.Nm it is");
        assert_eq!(prose("a \\ and `-v`"), "a \\e and \\fB\\-v\\fR");
        assert_eq!(upper("/readyz says"), "/readyz says");
    }
}
