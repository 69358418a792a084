//! Who we are to the masters, and whom we trust: the settings in, what `load` takes of them out. It
//! must never quote a file that may hold a secret.

use super::account::{ServiceAccount, read_object};
use super::error::ConfigError;
use super::settings::Settings;
use super::tls::{self, PairError};
use super::{Authentication, Credentials, Secret};

/// The certificate files, where they are named.
pub fn check_certificates(settings: &Settings) -> Result<(), ConfigError> {
    const PEM: &str = "right would be a PEM file";
    for (key, other) in [("CertFile", "KeyFile"), ("KeyFile", "CertFile")] {
        if !settings.text(key)?.is_empty() && settings.text(other)?.is_empty() {
            let problem = format!("{other} is missing");
            return Err(settings.wrong(
                key,
                problem,
                "right would be both CertFile and KeyFile, or neither",
            ));
        }
    }
    if let Some(pem) = read_named(settings, "CACertFile")? {
        tls::check_authorities(&pem)
            .map_err(|problem| settings.wrong("CACertFile", problem, PEM))?;
    }
    let pair = (
        read_named(settings, "CertFile")?,
        read_named(settings, "KeyFile")?,
    );
    let (Some(certificate), Some(key)) = pair else {
        return Ok(());
    };
    tls::check_pair(&certificate, &key).map_err(|error| match error {
        PairError::Certificate(problem) => settings.wrong("CertFile", problem, PEM),
        PairError::Key(problem) => settings.wrong("KeyFile", problem, PEM),
    })
}

/// `MesosCredentials`: the secret itself or the file that has it.
pub fn credentials(settings: &Settings) -> Result<Credentials, ConfigError> {
    const FILE: &str = "MesosCredentials.SecretFile";
    let principal = settings.text("MesosCredentials.Principal")?.to_owned();
    let text = settings.text("MesosCredentials.Secret")?.to_owned();
    let Some(content) = read_named(settings, FILE)? else {
        let secret = Secret::Text(text);
        return Ok(Credentials { principal, secret });
    };
    if !text.is_empty() {
        return Err(settings.wrong(
            FILE,
            "MesosCredentials.Secret is set as well",
            "right would be one of the two",
        ));
    }
    Secret::in_content(&content).map_err(|problem| {
        settings.wrong(FILE, problem, "right would be a file with the secret")
    })?;
    let secret = Secret::File(settings.text(FILE)?.into());
    Ok(Credentials { principal, secret })
}

/// `MesosAuthentication`, with what it needs.
pub fn authentication(
    settings: &Settings,
    credentials: &Credentials,
) -> Result<Authentication, ConfigError> {
    const KEY: &str = "MesosAuthentication";
    let account = read_named(settings, IAM)?;
    if let Some(json) = &account {
        read_object(json).map_err(|problem| settings.wrong(IAM, problem, ACCOUNT))?;
    }
    match settings.text(KEY)? {
        "" => Ok(Authentication::None),
        "basic" if *credentials == Credentials::default() => Err(settings.wrong(
            KEY,
            "MesosCredentials is missing",
            "right would be MesosCredentials with Principal, and Secret or SecretFile",
        )),
        "basic" => Ok(Authentication::Basic {
            principal: credentials.principal.clone(),
            secret: credentials.secret.clone(),
        }),
        "iam" => {
            let Some(json) = account else {
                return Err(settings.wrong(KEY, "IAMConfigFile is missing", ACCOUNT));
            };
            ServiceAccount::parse(&json)
                .map_err(|problem| settings.wrong(IAM, problem, ACCOUNT))?;
            let config_file = settings.text(IAM)?.into();
            Ok(Authentication::Iam { config_file })
        }
        _ => Err(settings.wrong(
            KEY,
            "unknown way of authentication",
            "right would be \"\", \"basic\" or \"iam\"",
        )),
    }
}

const IAM: &str = "IAMConfigFile";
const ACCOUNT: &str =
    "right would be a service account's JSON file with uid, private_key and login_endpoint";

/// The file that a key names; `None`: it names none.
pub fn read_named(settings: &Settings, key: &'static str) -> Result<Option<Vec<u8>>, ConfigError> {
    let path = settings.text(key)?;
    if path.is_empty() {
        return Ok(None);
    }
    std::fs::read(path).map(Some).map_err(|error| {
        let problem = format!("the file cannot be read: {error}");
        settings.wrong(
            key,
            problem,
            "right would be the path of a file that this user may read",
        )
    })
}
