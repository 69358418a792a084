//! `rollcall completions`: the table of words in, a script for bash, zsh or fish out. It must never
//! offer a word that the program does not take.

use std::fmt::Write;

use super::words::{FLAGS, Flag, VERBS, Value, simulate_flags};

/// The script of a shell; `None` where there is none for it.
pub fn script(shell: &str) -> Option<String> {
    match shell {
        "bash" => Some(bash()),
        "zsh" => Some(zsh()),
        "fish" => Some(fish()),
        _ => None,
    }
}

/// Needs nothing of the bash-completion package. `=` parts words in bash, so that `-config=FILE`
/// arrives as three.
fn bash() -> String {
    let mut text = String::from(BASH_HEAD);
    for verb in VERBS {
        let words = [flags_of(verb.name), choices(verb.subject)].concat();
        _ = writeln!(
            text,
            "        {}) words=\"{}\" ;;",
            verb.name,
            words.join(" ")
        );
    }
    let mut first = flags_of("");
    first.extend(VERBS.iter().map(|verb| verb.name.to_owned()));
    _ = writeln!(text, "        *) words=\"{}\" ;;", first.join(" "));
    text.push_str(BASH_TAIL);
    text
}

const BASH_HEAD: &str = r#"# Completions of rollcall for bash.
_rollcall() {
    local current="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" verb="" word words
    if [ "$current" = "=" ]; then current=""
    elif [ "$before" = "=" ]; then before="${COMP_WORDS[COMP_CWORD-2]}"; fi
    case "$before" in
        -config | --config) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    esac
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case "$word" in [a-z]*) verb="$word"; break ;; esac
    done
    case "$verb" in
"#;

const BASH_TAIL: &str = r#"    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -o default -F _rollcall rollcall
"#;

fn zsh() -> String {
    let mut text =
        String::from("#compdef rollcall\n# Completions of rollcall for zsh.\n\n_rollcall() {\n");
    text.push_str("  local -a verbs\n  verbs=(\n");
    for verb in VERBS {
        _ = writeln!(
            text,
            "    {}",
            quoted(&format!("{}:{}", verb.name, verb.short))
        );
    }
    text.push_str("  )\n  local -a before=(${words[2,CURRENT-1]})\n");
    text.push_str("  case ${before[(r)[a-z]*]} in\n");
    for verb in VERBS {
        let mut specs = zsh_flags(verb.name);
        let choices = choices(verb.subject);
        specs.push(match choices.is_empty() {
            true if verb.subject.is_empty() => quoted("1: :"),
            true => quoted(&format!("1: : :{}: ", verb.subject)),
            false => quoted(&format!("1: :({})", verb.name)),
        });
        if !choices.is_empty() {
            specs.push(quoted(&format!("2:{}:({})", verb.name, choices.join(" "))));
        }
        _ = writeln!(text, "    {}) _arguments {} ;;", verb.name, specs.join(" "));
    }
    let specs = zsh_flags("").join(" ");
    _ = writeln!(
        text,
        "    *) _arguments {specs} '1: :{{_describe command verbs}}' ;;"
    );
    text.push_str("  esac\n}\n\n_rollcall \"$@\"\n");
    text
}

fn zsh_flags(verb: &str) -> Vec<String> {
    let known = FLAGS.iter().filter(|flag| flag.is_for(verb)).map(|flag| {
        let (dash, name, meaning) = (dashes(flag), flag.name, flag.meaning);
        quoted(&match flag.value {
            Value::None => format!("{dash}{name}[{meaning}]"),
            Value::File => format!("{dash}{name}=[{meaning}]:file:_files"),
            Value::Text(what) => {
                let what = what.replace(':', "\\:");
                format!("{dash}{name}=[{meaning}]:{what}: ")
            }
        })
    });
    let mut specs: Vec<String> = known.collect();
    if verb == "simulate" {
        let own = simulate_flags().into_iter();
        specs.extend(own.map(|name| quoted(&format!("--{name}[see simulate --help]"))));
    }
    specs
}

fn fish() -> String {
    let mut text = String::from("# Completions of rollcall for fish.\ncomplete -c rollcall -f\n");
    let verbs: Vec<&str> = VERBS.iter().map(|verb| verb.name).collect();
    let none_yet = format!("not __fish_seen_subcommand_from {}", verbs.join(" "));
    for verb in VERBS {
        let (name, short) = (verb.name, quoted(verb.short));
        _ = writeln!(
            text,
            "complete -c rollcall -n '{none_yet}' -a {name} -d {short}"
        );
        let choices = choices(verb.subject);
        if !choices.is_empty() {
            let choices = choices.join(" ");
            _ = writeln!(
                text,
                "complete -c rollcall -n '__fish_seen_subcommand_from {name}' -a '{choices}'"
            );
        }
    }
    for flag in FLAGS {
        let old = if dashes(flag) == "-" { "-o" } else { "-l" };
        let value = match flag.value {
            Value::None => "",
            Value::File => " -r -F",
            Value::Text(_) => " -x",
        };
        let (name, meaning) = (flag.name, quoted(flag.meaning));
        let mut when: Vec<String> = Vec::new();
        if flag.verbs.contains(&"") {
            when.push(none_yet.clone());
        }
        let of: Vec<&str> = flag
            .verbs
            .iter()
            .copied()
            .filter(|verb| !verb.is_empty())
            .collect();
        if !of.is_empty() {
            when.push(format!("__fish_seen_subcommand_from {}", of.join(" ")));
        }
        let when = match when.is_empty() {
            true => String::new(),
            false => format!(" -n '{}'", when.join("; or ")),
        };
        _ = writeln!(
            text,
            "complete -c rollcall{when} {old} {name}{value} -d {meaning}"
        );
    }
    for name in simulate_flags() {
        _ = writeln!(
            text,
            "complete -c rollcall -n '__fish_seen_subcommand_from simulate' -l {name}"
        );
    }
    text
}

/// Flags of mesos-dns have one dash, as they always had; the others two.
fn dashes(flag: &Flag) -> &'static str {
    match flag.name {
        "config" | "v" | "version" => "-",
        _ => "--",
    }
}

fn flags_of(verb: &str) -> Vec<String> {
    let known = FLAGS.iter().filter(|flag| flag.is_for(verb));
    let mut words: Vec<String> = known
        .map(|flag| format!("{}{}", dashes(flag), flag.name))
        .collect();
    if verb == "simulate" {
        let own = simulate_flags().into_iter();
        words.extend(own.map(|name| format!("--{name}")));
    }
    words
}

/// The words of `8|5`; none of `NAME`, which is anything.
fn choices(subject: &str) -> Vec<String> {
    match subject.contains('|') {
        true => subject.split('|').map(str::to_owned).collect(),
        false => Vec::new(),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::super::words::SHELLS;
    use super::*;

    #[test]
    fn every_shell_has_every_command_and_flag() {
        for shell in SHELLS {
            let script = script(shell).expect(shell);
            for verb in VERBS {
                assert!(script.contains(verb.name), "{shell}: {}", verb.name);
            }
            let own = simulate_flags();
            for flag in FLAGS.iter().map(|flag| flag.name).chain(own) {
                assert!(script.contains(flag), "{shell}: {flag}");
            }
        }
        assert_eq!(script("csh"), None);
    }
}
