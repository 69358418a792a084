//! From file and environment to a checked `Config`. In: a path and variables. Out: the effective
//! configuration, its warnings and origins, or the one error that stops the program.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::aliases;
use super::authentication::{authentication, check_certificates, credentials};
use super::error::{ConfigError, Origin, Warning};
use super::file::{self, Values};
use super::forwarding;
use super::keys::{self, KEYS};
use super::settings::{Settings, Variable};
use super::static_file::static_file;
use super::values::{self, Wrong};
use super::zk::ZkUrl;
use super::{
    Authentication, Config, Credentials, Engine, IpSource, LogFormat, Master, Sandbox, Soa, Source,
    Spelled, Unhealthy, http,
};
use crate::limits::LISTENERS_MAX;
use crate::zonefile::Around;

/// Where -config names no file the first of these is read that there is: mesos-dns's own rule, then
/// where a package puts it, then the file of the mesos-dns that was here before.
pub const DEFAULT_FILES: [&str; 3] = [
    "config.json",
    "/etc/rollcall/config.json",
    "/etc/mesos-dns/config.json",
];
/// What a service manager names the directory of a service's state with (systemd.exec(5)).
const STATE_DIRECTORY: &str = "STATE_DIRECTORY";
const STATE_DIRECTORY_KEY: &str = "StateDirectory";

/// A configuration that the program can run with.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    pub warnings: Vec<Warning>,
    /// For each key of `KEYS`, in its order, where the value came from.
    pub origins: Vec<(&'static str, Origin)>,
}

impl Config {
    /// Reads the file (that of `path`, or the first of `DEFAULT_FILES` that exists) and the variables,
    /// which win over it, and checks all of it.
    pub fn load(
        path: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Loaded, ConfigError> {
        Self::load_of(path, &DEFAULT_FILES, environment)
    }

    /// The same with other files to look for.
    fn load_of(
        path: Option<&Path>,
        default_files: &[&str],
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Loaded, ConfigError> {
        let mut warnings = Vec::new();
        let mut variables = read_variables(environment, &mut warnings);
        let mut set = variables.values.iter().chain(&variables.aliased);
        let may_be_absent = set.any(Option::is_some);
        let (file, values) = match path {
            Some(path) => read_file(absolute(path), &mut warnings)?,
            None => read_first_file(default_files, may_be_absent, &mut warnings)?,
        };
        if file.is_none() {
            let values = variables.values.iter_mut().zip(variables.aliased);
            values.for_each(|(own, alias)| *own = own.take().or(alias));
        }
        let mut settings = Settings::new(file, values, variables.values)?;
        if let Some(directory) = variables.state_directory {
            settings.set_default(STATE_DIRECTORY_KEY, directory, STATE_DIRECTORY);
        }
        let config = read_config(&settings)?;
        check_sources(&settings, &config, &mut warnings)?;
        Ok(Loaded {
            config,
            warnings,
            origins: settings.origins(),
        })
    }
}

impl Default for Config {
    /// The defaults of every key. There are no masters among them, so `load` would refuse it.
    fn default() -> Self {
        let none = KEYS.iter().map(|_| None).collect();
        let settings = Settings::new(None, none, Vec::new());
        settings
            .and_then(|settings| read_config(&settings))
            .unwrap_or_else(|error| panic!("a default is refused: {error}"))
    }
}

/// This process's variables, as `load` wants them. What is not UTF-8 is replaced: the check of the
/// value then names the variable.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().map(|(name, value)| {
        let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
        (text(name), text(value))
    })
}

/// What the environment sets.
struct Variables {
    /// One value for each key.
    values: Vec<Option<Variable>>,
    /// Likewise, of the variables of `aliases`.
    aliased: Vec<Option<Variable>>,
    /// Where the service manager has us keep what outlives us.
    state_directory: Option<String>,
}

/// An empty variable counts as not set, as compose files leave them.
fn read_variables(
    environment: impl Iterator<Item = (String, String)>,
    warnings: &mut Vec<Warning>,
) -> Variables {
    let mut values: Vec<Option<Variable>> = vec![None; KEYS.len()];
    let mut aliased = values.clone();
    let mut state_directory = None;
    for (variable, value) in environment {
        if variable == STATE_DIRECTORY {
            // With several they stand there with colons, and the first is as good as any.
            let first = value.split(':').next().unwrap_or_default();
            state_directory = Some(first.to_owned()).filter(|first| !first.is_empty());
        }
        if let Some((name, key, value)) = aliases::read(&variable, &value)
            && let Some(index) = keys::position(key)
        {
            aliased[index] = Some((name, value));
        }
        if !variable.starts_with("ROLLCALL_") {
            continue;
        }
        match KEYS.iter().position(|key| key.variable == variable) {
            Some(index) => {
                let set = Some((KEYS[index].variable, value));
                values[index] = set.filter(|(_, value)| !value.is_empty());
            }
            None => warnings.push(Warning::UnknownVariable {
                nearest: keys::nearest_variable(&variable),
                variable,
            }),
        }
    }
    Variables {
        values,
        aliased,
        state_directory,
    }
}

/// Reads the first of these files that there is; one that cannot be read is an error, and is not passed
/// over.
fn read_first_file(
    files: &[&str],
    may_be_absent: bool,
    warnings: &mut Vec<Warning>,
) -> Result<(Option<PathBuf>, Values), ConfigError> {
    let mut files = files.iter().map(|file| absolute(Path::new(file)));
    let is_there = |file: &PathBuf| file.try_exists().unwrap_or(true);
    let first = files.clone().next();
    match files.find(is_there) {
        None if may_be_absent => Ok((None, KEYS.iter().map(|_| None).collect())),
        found => read_file(found.or(first).unwrap_or_default(), warnings),
    }
}

fn read_file(
    file: PathBuf,
    warnings: &mut Vec<Warning>,
) -> Result<(Option<PathBuf>, Values), ConfigError> {
    let bytes = std::fs::read(&file).map_err(|error| ConfigError::Unreadable {
        file: file.clone(),
        reason: match error.kind() {
            ErrorKind::PermissionDenied => {
                format!("{error}; let the service's user read it (chgrp, chmod g+r)")
            }
            _ => error.to_string(),
        },
    })?;
    let (values, odd) = file::parse(&file, &bytes)?;
    warnings.extend(odd);
    Ok((Some(file), values))
}

/// As mesos-dns shows it in `File`: absolute, and `~/` at the front is the home directory.
fn absolute(path: &Path) -> PathBuf {
    let path = match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => Path::new(&home).join(rest),
        _ => path.to_owned(),
    };
    std::path::absolute(&path).unwrap_or(path)
}

fn read_config(settings: &Settings) -> Result<Config, ConfigError> {
    let seconds = |name| settings.integer(name).map(Duration::from_secs);
    let path = |name| -> Result<Option<PathBuf>, ConfigError> {
        let text = settings.text(name)?;
        Ok(Some(text)
            .filter(|text| !text.is_empty())
            .map(PathBuf::from))
    };
    let checked = |name, check: fn(&str) -> Result<String, Wrong>| {
        check(settings.text(name)?).map_err(|(problem, cure)| settings.wrong(name, problem, cure))
    };
    let address = |name| {
        values::listener(settings.text(name)?)
            .map_err(|(problem, cure)| settings.wrong(name, problem, cure))
    };
    let domain = checked("Domain", values::domain)?;
    let external_on = settings.boolean("ExternalOn")?;
    let (cache_ttl_min_seconds, cache_ttl_max_seconds) = forwarding::cache_ttl(settings)?;
    let credentials = credentials(settings)?;
    check_certificates(settings)?;
    let iam_config_file = path("IAMConfigFile")?;
    let soa = soa(settings, &domain)?;
    let around = Around {
        domain: domain.clone(),
        soa_mname: soa.mname.clone(),
        ttl_seconds: settings.integer("TTL")?,
    };
    Ok(Config {
        zk: zk(settings)?,
        zk_detection_timeout: seconds("ZkDetectionTimeout")?,
        exit_on_zk_timeout: settings.boolean("ExitOnZkTimeout")?,
        masters: masters(settings)?,
        refresh_interval: seconds("RefreshSeconds")?,
        source: word(
            settings,
            "Source",
            (&Source::ALL, Source::name),
            "unknown source",
        )?,
        check_factor: settings.integer("CheckFactor")?,
        publish_interval: settings
            .integer("PublishIntervalMs")
            .map(Duration::from_millis)?,
        hold_percent: settings.integer("HoldPercent")?,
        hold_max: seconds("HoldSeconds")?,
        ready_age_max: seconds("ReadyAgeSeconds")?,
        state_directory: path(STATE_DIRECTORY_KEY)?,
        state_timeout: seconds("StateTimeoutSeconds")?,
        state_bytes_max: settings.integer("StateBytesMax")?,
        mesos_https: settings.boolean("MesosHTTPSOn")?,
        ca_cert_file: path("CACertFile")?,
        cert_file: path("CertFile")?,
        key_file: path("KeyFile")?,
        authentication: authentication(settings, &credentials)?,
        credentials,
        ttl_seconds: around.ttl_seconds,
        static_records: static_file(settings, &around)?,
        port: settings.integer("Port")?,
        listeners: listeners(settings)?,
        dns_on: settings.boolean("DnsOn")?,
        http_on: settings.boolean("HttpOn")?,
        http_port: settings.integer("HttpPort")?,
        http_listener: address("HTTPListener")?,
        http_token: http::token(settings)?,
        cors_origins: http::cors_origins(settings)?,
        soa,
        recurse_on: settings.boolean("RecurseOn")?,
        external_on,
        resolvers: forwarding::resolvers(settings, external_on)?,
        zone_resolvers: forwarding::zone_resolvers(settings, external_on, &domain)?,
        forward_timeout: seconds("Timeout")?,
        allow_recursion: forwarding::allow_recursion(settings)?,
        reverse_zones: forwarding::blocks(settings, "ReverseZones")?,
        cache_bytes: settings.integer("CacheBytes")?,
        cache_ttl_min_seconds,
        cache_ttl_max_seconds,
        ip_sources: ip_sources(settings)?,
        skip_netinfo_for_bridge: settings.boolean("SkipNetInfoForBridge")?,
        ip_allow: forwarding::blocks(settings, "IpAllow")?,
        ip_deny: forwarding::blocks(settings, "IpDeny")?,
        srv_weight: settings.integer("SRVRecordDefaultWeight")?,
        enforce_rfc952: settings.boolean("EnforceRFC952")?,
        set_truncate_bit: settings.boolean("SetTruncateBit")?,
        enumeration_on: settings.boolean("EnumerationOn")?,
        status_page: settings.boolean("StatusPage")?,
        file: settings.file.clone(),
        reverse_dns_on: settings.boolean("ReverseDnsOn")?,
        resolv_subnet_first: settings.boolean("ResolvSubnetFirst")?,
        client_subnet_from: forwarding::blocks(settings, "ClientSubnetFrom")?,
        prefer_local: settings.boolean("PreferLocal")?,
        unhealthy: word(
            settings,
            "Unhealthy",
            (&Unhealthy::ALL, Unhealthy::name),
            "unknown rule",
        )?,
        rate_limit: settings.integer("RateLimit")?,
        rate_limit_slip: settings.integer("RateLimitSlip")?,
        rate_limit_exempt: forwarding::blocks(settings, "RateLimitExempt")?,
        cookie_secret: forwarding::cookie_secret(settings)?,
        chaos_on: settings.boolean("ChaosOn")?,
        workers: settings.integer("Workers")?,
        engine: word(
            settings,
            "Engine",
            (&Engine::ALL, Engine::name),
            "unknown engine",
        )?,
        log_format: word(
            settings,
            "LogFormat",
            (&LogFormat::ALL, LogFormat::name),
            "unknown format",
        )?,
        query_log: settings.integer("QueryLog")?,
        sandbox: word(
            settings,
            "Sandbox",
            (&Sandbox::ALL, Sandbox::name),
            "unknown sandbox",
        )?,
        spelled: spelled(settings)?,
        iam_config_file,
        domain,
    })
}

fn spelled(settings: &Settings) -> Result<Spelled, ConfigError> {
    Ok(Spelled {
        masters: settings.list("Masters")?,
        resolvers: settings.list("Resolvers")?,
        zone_resolvers: settings.zones("ZoneResolvers")?,
    })
}

fn zk(settings: &Settings) -> Result<Option<ZkUrl>, ConfigError> {
    match settings.text("Zk")? {
        "" => Ok(None),
        text => ZkUrl::parse(text)
            .map(Some)
            .map_err(|(problem, cure)| settings.wrong_part("Zk", text, problem, cure)),
    }
}

fn masters(settings: &Settings) -> Result<Vec<Master>, ConfigError> {
    let mut masters: Vec<Master> = Vec::new();
    for text in settings.list("Masters")? {
        let master = values::master(&text)
            .map_err(|(problem, cure)| settings.wrong_part("Masters", &text, problem, cure))?;
        if masters.contains(&master) {
            return Err(settings.wrong_part(
                "Masters",
                text,
                "this master is listed twice",
                "right would be each address and port once",
            ));
        }
        masters.push(master);
    }
    Ok(masters)
}

fn listeners(settings: &Settings) -> Result<Vec<IpAddr>, ConfigError> {
    const KEY: &str = "Listener";
    let mut listeners: Vec<IpAddr> = Vec::new();
    let list = settings.texts(KEY)?;
    if list.is_empty() {
        let cure = "right would be at least one IP address, or 0.0.0.0 for all";
        return Err(settings.wrong(KEY, "there is no address", cure));
    }
    if list.len() > LISTENERS_MAX {
        let problem = format!("these are {} addresses", list.len());
        let cure = format!("right would be {LISTENERS_MAX} at most, or 0.0.0.0 or :: for all");
        return Err(settings.wrong(KEY, problem, cure));
    }
    for text in list {
        let wrong = |(problem, cure)| settings.wrong_part(KEY, &text, problem, cure);
        let address = values::listener(&text).map_err(wrong)?;
        values::goes_beside(address, &listeners).map_err(wrong)?;
        listeners.push(address);
    }
    Ok(listeners)
}

fn soa(settings: &Settings, domain: &str) -> Result<Soa, ConfigError> {
    let name = |key, text: String| {
        values::soa_name(&text).map_err(|(problem, cure)| settings.wrong(key, problem, cure))
    };
    let mname = match settings.is_default("SOAMname") {
        true => format!("ns1.{domain}"),
        false => settings.text("SOAMname")?.to_owned(),
    };
    Ok(Soa {
        mname: name("SOAMname", mname)?,
        rname: name("SOARname", settings.text("SOARname")?.replace('@', "."))?,
        refresh_seconds: settings.integer("SOARefresh")?,
        retry_seconds: settings.integer("SOARetry")?,
        expire_seconds: settings.integer("SOAExpire")?,
        minimum_seconds: settings.integer("SOAMinttl")?,
    })
}

fn ip_sources(settings: &Settings) -> Result<Vec<IpSource>, ConfigError> {
    const KEY: &str = "IPSources";
    let list = settings.list(KEY)?;
    let cure = "right would be some of netinfo, mesos, docker, host, each once";
    if list.is_empty() {
        return Err(settings.wrong(KEY, "there is no source", cure));
    }
    let mut seen = HashSet::new();
    let mut sources = Vec::with_capacity(list.len());
    for text in list {
        let source = values::ip_source(&text)
            .map_err(|(problem, cure)| settings.wrong_part(KEY, &text, problem, cure))?;
        if !seen.insert(source) {
            return Err(settings.wrong_part(KEY, text, "the source is listed twice", cure));
        }
        sources.push(source);
    }
    Ok(sources)
}

/// The value that a key's text names.
fn word<T: Copy>(
    settings: &Settings,
    key: &'static str,
    (all, name): (&[T], fn(T) -> &'static str),
    problem: &str,
) -> Result<T, ConfigError> {
    let text = settings.text(key)?;
    let found = all.iter().find(|value| name(**value) == text);
    found.copied().ok_or_else(|| {
        let words: Vec<_> = all.iter().map(|value| name(*value)).collect();
        let (last, others) = words.split_last().unwrap_or((&"", &[]));
        let cure = format!("right would be {} or {last}", others.join(", "));
        settings.wrong(key, problem, cure)
    })
}

/// What no single key shows: that there is a master to ask and a service to run.
fn check_sources(
    settings: &Settings,
    config: &Config,
    warnings: &mut Vec<Warning>,
) -> Result<(), ConfigError> {
    if !config.dns_on && !config.http_on {
        return Err(settings.wrong(
            "DnsOn",
            "DnsOn and HttpOn are both off, so that nothing would be served",
            "right would be true for one of them",
        ));
    }
    if config.masters.is_empty() && config.zk.is_none() {
        return Err(settings.wrong(
            "Masters",
            "there is no master to ask",
            "right would be at least one host:port, as in [\"10.0.0.1:5050\"], or Zk",
        ));
    }
    if let Some(directory) = &config.state_directory
        && directory.exists()
        && !directory.is_dir()
    {
        return Err(settings.wrong(
            STATE_DIRECTORY_KEY,
            "this is no directory",
            "right would be a directory that this user may write to, or none yet",
        ));
    }
    warnings.extend(forwarding::zones_never_asked(config));
    if config.authentication == Authentication::None {
        let odd = |key| Warning::CredentialsNotUsed { key };
        if config.credentials != Credentials::default() {
            warnings.push(odd("MesosCredentials"));
        }
        if config.iam_config_file.is_some() {
            warnings.push(odd("IAMConfigFile"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
