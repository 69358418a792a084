//! What the process has given up. In: what the daemon did at its start. Out: what the log, `/v1/status`
//! and `rollcall check` say of it, in one line or in fields.

use std::fmt;
use std::sync::Arc;

/// As it is in force, or would be. The default is a process that may do all that its user may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sandbox {
    /// As `Sandbox` spells it; empty where nothing was asked for.
    pub mode: &'static str,
    pub no_new_privileges: bool,
    pub calls: Calls,
    /// Landlock's version; `None`: files are not confined by it.
    pub landlock_abi: Option<u32>,
    /// Those that are left; `None`: they are what the process was started with.
    pub capabilities: Option<Vec<String>>,
    /// What the kernel does not offer here, and why.
    pub lacking: Vec<String>,
}

/// What becomes of system calls that are not in the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Calls {
    /// There is no list.
    #[default]
    Free,
    Logged,
    Refused,
}

/// Of the process that runs.
pub type SharedSandbox = Arc<Sandbox>;

impl Calls {
    pub fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Logged => "logged",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if matches!(self.mode, "" | "off") {
            return f.write_str("off: the process may do all that its user may");
        }
        write!(f, "{}: ", self.mode)?;
        if self.no_new_privileges {
            f.write_str("no new privileges; ")?;
        }
        match &self.capabilities {
            None => f.write_str("capabilities as they were")?,
            Some(left) if left.is_empty() => f.write_str("no capability")?,
            Some(left) => write!(f, "no capability but {}", left.join(", "))?,
        }
        match self.calls {
            Calls::Free => f.write_str("; all system calls")?,
            Calls::Logged => f.write_str("; system calls beyond the list are logged")?,
            Calls::Refused => f.write_str("; system calls beyond the list are refused")?,
        }
        match self.landlock_abi {
            None => f.write_str("; all files of its user"),
            Some(abi) => write!(f, "; files by Landlock {abi}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_says_what_is_in_force_and_what_is_not() {
        assert!(Sandbox::default().to_string().starts_with("off"));
        let full = Sandbox {
            mode: "on",
            no_new_privileges: true,
            calls: Calls::Refused,
            landlock_abi: Some(7),
            capabilities: Some(vec!["CAP_NET_BIND_SERVICE".to_owned()]),
            lacking: Vec::new(),
        };
        assert_eq!(
            full.to_string(),
            "on: no new privileges; no capability but CAP_NET_BIND_SERVICE; system calls beyond the \
             list are refused; files by Landlock 7"
        );
        let none = Sandbox {
            mode: "log",
            ..Sandbox::default()
        };
        assert_eq!(
            none.to_string(),
            "log: capabilities as they were; all system calls; all files of its user"
        );
    }
}
