//! Which files the process may open from now on. In: a Config. Out: Landlock's rules, and whether another
//! configuration could be read under them. It must never hold a path open longer than the rules need it.
//!
//! Rules are of directories: a file that is replaced by a rename is another file, and its directory's
//! rule holds for it. Landlock heeds what is opened, created and removed; looking a path up is free.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, LandlockStatus, RestrictSelf, Ruleset, RulesetAttr, RulesetCreatedAttr,
    path_beneath_rules,
};

use crate::config::{Authentication, Config, ConfigError, Secret};

/// What is read without being named: resolv.conf, hosts, certificates; what the kernel says of this
/// process, of networks and cores; modules of the name service, their data, and their libraries.
const READ_ALWAYS: &[&str] = &[
    "/etc",
    "/proc",
    "/run",
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/var/lib/sss",
    "/nix/store",
    "/gnu/store",
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
];
/// Files of /etc that lead elsewhere on some hosts.
const HOST_FILES: &[&str] = &["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"];
/// Rights to files up to Landlock 5 (Linux 6.10) are all taken, and few given back. Later versions govern
/// what this program hardly does.
const ABI_KNOWN: ABI = ABI::V5;

/// What a configuration has the process read and write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Directories, or files that lie in the root.
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
}

/// A path that the configuration names and that the process cannot get at any more.
#[derive(Debug, PartialEq, Eq)]
pub struct OutOfReach {
    key: &'static str,
    path: PathBuf,
}

impl fmt::Display for OutOfReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} lies outside of the directories that this process may use since its start (Sandbox); \
             restart it, which takes the configuration of now, or keep the file in /etc/rollcall",
            self.key,
            self.path.display()
        )
    }
}

impl Reach {
    /// Of a configuration. Makes the directory of the state where it is missing: a rule needs it to be
    /// there.
    pub fn of(config: &Config) -> Self {
        let named = named(config);
        let mut read: Vec<PathBuf> = READ_ALWAYS.iter().map(PathBuf::from).collect();
        // For the lines of a backtrace.
        read.extend(std::env::current_exe().ok());
        let of_host = HOST_FILES.iter().map(PathBuf::from);
        for path in named.into_iter().map(|(_, path)| path).chain(of_host) {
            // As it is named, and where a symbolic link leads to now.
            let real = fs::canonicalize(&path).ok();
            let around = [Some(path.as_path()), real.as_deref()];
            read.extend(around.into_iter().flatten().map(around_file));
        }
        read.dedup();
        let mut write = Vec::new();
        if let Some(directory) = &config.state_directory {
            // Whoever writes there tells why it cannot be made.
            let _ = fs::create_dir_all(directory);
            write.push(directory.clone());
        }
        Self { read, write }
    }

    /// Confines the present thread, and those that it starts.
    pub fn confine(&self) -> Result<(), String> {
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let write = read
            | AccessFs::WriteFile
            | AccessFs::Truncate
            | AccessFs::MakeReg
            | AccessFs::RemoveFile;
        let enter = || {
            Ruleset::default()
                .handle_access(AccessFs::from_all(ABI_KNOWN))?
                .create()?
                .add_rules(path_beneath_rules(&self.read, read))?
                .add_rules(path_beneath_rules(&self.write, write))?
                .restrict_self()
        };
        enter()
            .map(drop)
            .map_err(|error: landlock::RulesetError| error.to_string())
    }

    /// What of another configuration cannot be got at.
    pub fn misses(&self, config: &Config) -> Option<OutOfReach> {
        let out = |key, path: &Path| OutOfReach {
            key,
            path: path.to_owned(),
        };
        let mut named = named(config).into_iter();
        if let Some((key, path)) = named.find(|(_, path)| !self.reads(path)) {
            return Some(out(key, &path));
        }
        let directory = config.state_directory.as_deref()?;
        let is_there = self.write.iter().any(|own| is_below(directory, own));
        (!is_there).then(|| out("StateDirectory", directory))
    }

    /// The file that an error is about, where it cannot be got at.
    pub fn misses_file_of(&self, error: &ConfigError) -> Option<OutOfReach> {
        let (key, path) = match error {
            ConfigError::Unreadable { file, .. } => ("the configuration", file.clone()),
            ConfigError::Value(error) if FILE_KEYS.contains(&error.key) => {
                // It is shown as the file has it, in quotation marks.
                let path = serde_json::from_str(&error.value);
                (
                    error.key,
                    path.unwrap_or_else(|_| PathBuf::from(&error.value)),
                )
            }
            _ => return None,
        };
        // A file that is missing was not kept from us.
        let is_missed = path.exists() && !self.reads(&path);
        is_missed.then_some(OutOfReach { key, path })
    }

    /// What is said of files that are there and cannot be read any more, now that root is a user like
    /// others: those that are read anew when they change would fail then.
    pub fn unreadable(config: &Config) -> Vec<String> {
        let named = named(config).into_iter();
        let refused = named.filter(|(_, path)| {
            let opened = path.is_file().then(|| fs::File::open(path));
            matches!(opened, Some(Err(error)) if error.kind() == ErrorKind::PermissionDenied)
        });
        let told = refused.map(|(key, path)| {
            format!(
                "{key} {} cannot be read any more, because the process gave up root's right to all files \
                 (Sandbox); let the user it runs as read it (chown, chmod)",
                path.display()
            )
        });
        told.collect()
    }

    fn reads(&self, path: &Path) -> bool {
        self.read
            .iter()
            .chain(&self.write)
            .any(|own| is_below(path, own))
    }
}

/// Keys whose values are paths of files.
const FILE_KEYS: &[&str] = &[
    "CACertFile",
    "CertFile",
    "KeyFile",
    "MesosCredentials.SecretFile",
    "HttpTokenFile",
    "IAMConfigFile",
    "StaticRecords",
];

/// The files of a configuration, with the keys that name them.
fn named(config: &Config) -> Vec<(&'static str, PathBuf)> {
    let mut named = Vec::new();
    let mut add = |key, path: Option<&PathBuf>| named.extend(path.map(|path| (key, path.clone())));
    let of_secret = |secret: &'_ Secret| match secret {
        Secret::File(path) => Some(path.clone()),
        Secret::Text(_) => None,
    };
    add("the configuration", config.file.as_ref());
    add("CACertFile", config.ca_cert_file.as_ref());
    add("CertFile", config.cert_file.as_ref());
    add("KeyFile", config.key_file.as_ref());
    add(
        "MesosCredentials.SecretFile",
        of_secret(&config.credentials.secret).as_ref(),
    );
    add("HttpTokenFile", of_secret(&config.http_token).as_ref());
    add("IAMConfigFile", config.iam_config_file.as_ref());
    if let Authentication::Iam { config_file } = &config.authentication {
        add("IAMConfigFile", Some(config_file));
    }
    let records = config.static_records.as_ref().map(|file| &file.path);
    add("StaticRecords", records);
    named
}

/// The directory that a file is in, but never the root: that would be all there is.
fn around_file(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match absolute.parent() {
        Some(directory) if directory.parent().is_some() => directory.to_owned(),
        _ => absolute,
    }
}

/// Whether a path leads below another one, be it there or not.
fn is_below(path: &Path, above: &Path) -> bool {
    real(path).starts_with(real(above))
}

/// Without symbolic links, as far as it is there.
fn real(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let found = absolute.ancestors().find_map(|ancestor| {
        let real = fs::canonicalize(ancestor).ok()?;
        let rest = absolute.strip_prefix(ancestor).ok()?;
        Some(real.join(rest))
    });
    found.unwrap_or(absolute)
}

/// Landlock's version on this host; an error is why there is none.
pub fn version() -> Result<u32, &'static str> {
    let asked = RestrictSelf::default().no_new_privs(false).apply();
    match asked.map(|status| status.landlock) {
        Ok(LandlockStatus::Available {
            effective_abi,
            kernel_abi,
        }) => Ok(kernel_abi.map_or(effective_abi as u32, |abi| abi as u32)),
        Ok(LandlockStatus::NotEnabled) => {
            Err("it is not enabled; add landlock to lsm= of the kernel's command line")
        }
        _ => Err(
            "the kernel has none, which Linux 5.13 and later have, or a container's filter forbids it",
        ),
    }
}

/// From here on no program gains what this one has not; for the present thread and its children.
pub fn take_no_new_privileges() -> Result<(), String> {
    let taken = RestrictSelf::default().no_new_privs(true).apply();
    taken.map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(file: &Path) -> Config {
        Config {
            file: Some(file.to_owned()),
            ..Config::default()
        }
    }

    #[test]
    fn reach_is_the_directories_of_what_is_named_and_never_all() {
        let directory = std::env::temp_dir().join(format!("rollcall-reach-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let file = directory.join("config.json");
        let reach = Reach::of(&config(&file));
        assert!(reach.reads(&directory.join("another.pem")));
        assert!(reach.reads(Path::new("/etc/ssl/certs/ca-certificates.crt")));
        assert!(!reach.reads(&std::env::temp_dir().join("elsewhere")));
        let root = Reach::of(&config(Path::new("/config.json")));
        assert!(root.read.contains(&PathBuf::from("/config.json")));
        assert!(!root.read.contains(&PathBuf::from("/")));
        fs::remove_dir_all(&directory).expect("the directory");
    }

    #[test]
    fn what_another_configuration_misses_is_named_with_its_key() {
        let reach = Reach::of(&config(Path::new("/etc/rollcall/config.json")));
        let mut other = config(Path::new("/etc/rollcall/config.json"));
        assert_eq!(reach.misses(&other), None);
        other.state_directory = Some("/var/lib/elsewhere".into());
        let missed = reach.misses(&other).expect("it may not write there");
        let text = missed.to_string();
        for part in ["StateDirectory", "/var/lib/elsewhere", "Sandbox", "restart"] {
            assert!(text.contains(part), "{text}");
        }
        other.key_file = Some("/var/tmp/key.pem".into());
        assert_eq!(
            reach.misses(&other).map(|missed| missed.key),
            Some("KeyFile")
        );
    }
}
