//! What the TLS client trusts and how it shows itself. In: the certificate files of the
//! configuration. Out: a configuration of the HTTP client. It must never fall back to no checks.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{AlertDescription, CertificateError, Error};
use ureq::tls::{Certificate, ClientCert, PemItem, RootCerts, TlsConfig, parse_pem};

use super::error::MasterError;
use super::http::ClientSettings;
use crate::config::tls::{PairError, check_authorities, check_pair};
use crate::watched::{Fault, Watched};

/// Bundles of the systems that we know, as Debian and Red Hat have them.
const SYSTEM_ROOTS: [&str; 2] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
];

/// The certificates that are trusted and shown, as the files have them now.
pub struct Trust {
    ca_cert_file: Option<PathBuf>,
    /// Certificate and key.
    pair: Option<(PathBuf, PathBuf)>,
    /// `None` until somebody speaks TLS.
    files: Mutex<Option<Watched<TlsConfig>>>,
}

impl Trust {
    /// Reads nothing yet: who never speaks TLS needs no certificates.
    pub fn new(settings: &ClientSettings) -> Self {
        let pair = settings.cert_file.clone().zip(settings.key_file.clone());
        Self {
            ca_cert_file: settings.ca_cert_file.clone(),
            pair,
            files: Mutex::new(None),
        }
    }

    /// The configuration of now, and a number that differs where it does.
    pub fn tls_config(&self) -> Result<(TlsConfig, u64), MasterError> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let files = match &mut *files {
            Some(files) => {
                files.look(false);
                files
            }
            none => none.insert(Watched::read(self.paths()?, make)?),
        };
        Ok((files.value().clone(), files.generation()))
    }

    /// As `make` wants them.
    fn paths(&self) -> Result<Vec<PathBuf>, MasterError> {
        let system = || {
            SYSTEM_ROOTS
                .into_iter()
                .map(PathBuf::from)
                .find(|path| path.exists())
        };
        let roots = self
            .ca_cert_file
            .clone()
            .or_else(system)
            .ok_or(MasterError::NoRoots)?;
        let mut paths = vec![roots];
        if let Some((certificate, key)) = self.pair.clone() {
            paths.extend([certificate, key]);
        }
        Ok(paths)
    }
}

/// For a client that never speaks TLS: without roots of its own it looks for some that are not there.
pub fn no_trust() -> TlsConfig {
    let none: [Certificate<'static>; 0] = [];
    builder().root_certs(RootCerts::from(none)).build()
}

/// Authorities, and where there are two more files a certificate and its key.
fn make(files: &[Vec<u8>]) -> Result<TlsConfig, Fault> {
    let fault = |file| move |why| Fault { file, why };
    let roots = files.first().map_or(&[][..], Vec::as_slice);
    check_authorities(roots).map_err(fault(0))?;
    let client_cert = match files {
        [_, certificate, key] => {
            // The client library panics where the two do not fit.
            check_pair(certificate, key).map_err(|error| match error {
                PairError::Certificate(why) => fault(1)(why),
                PairError::Key(why) => fault(2)(why),
            })?;
            let key = parse_pem(key).flatten().find_map(|item| match item {
                PemItem::PrivateKey(key) => Some(key),
                _ => None,
            });
            let chain: Vec<_> = certificates(certificate).collect();
            key.map(|key| ClientCert::new_with_certs(&chain, key))
        }
        _ => None,
    };
    Ok(builder()
        .root_certs(RootCerts::from(certificates(roots)))
        .client_cert(client_cert)
        .build())
}

fn certificates(pem: &[u8]) -> impl Iterator<Item = Certificate<'static>> {
    parse_pem(pem).flatten().filter_map(|item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    })
}

fn builder() -> ureq::tls::TlsConfigBuilder {
    let provider = CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()));
    TlsConfig::builder().unversioned_rustls_crypto_provider(provider)
}

/// The fault of TLS in an error of the HTTP client, where it is one, and the cure.
pub fn distrust(error: &ureq::Error) -> Option<(String, &'static str)> {
    let error = match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref().and_then(|inner| inner.downcast_ref()),
        _ => None,
    };
    error.map(why_no_trust)
}

/// Why two sides do not trust each other, and the cure. The same at each attempt, as long as the
/// cause is the same: the library's own words count the seconds since a certificate expired.
fn why_no_trust(error: &Error) -> (String, &'static str) {
    use CertificateError as Bad;
    let Error::InvalidCertificate(bad) = error else {
        return (error.to_string(), cure_of_refusal(error));
    };
    match bad {
        Bad::UnknownIssuer => (
            "its certificate comes from an authority that we do not trust".to_owned(),
            "add that authority's certificate to CACertFile",
        ),
        Bad::Expired | Bad::ExpiredContext { .. } => (
            "its certificate has expired".to_owned(),
            "renew it, or set this machine's clock",
        ),
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => (
            "its certificate is not valid yet".to_owned(),
            "set this machine's clock, or renew the certificate",
        ),
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => (
            bad.to_string(),
            "the certificate must name the address that is asked as a subjectAltName; its common name does not count",
        ),
        _ => (error.to_string(), GENERAL_CURE),
    }
}

const GENERAL_CURE: &str = "CACertFile must hold the authority of the certificate, and that must name the address that is asked as a \
     subjectAltName";

fn cure_of_refusal(error: &Error) -> &'static str {
    use AlertDescription as Alert;
    match error {
        Error::InvalidMessage(_) => {
            "is it TLS that is spoken there? check the port, and MesosHTTPSOn"
        }
        Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::HandshakeFailure
            | Alert::NoCertificate
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied,
        ) => {
            "it wants another certificate of us, or one at all: check CertFile and KeyFile, and that it trusts their authority"
        }
        _ => GENERAL_CURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_of_distrust_have_their_cures_and_the_same_words_each_time() {
        let why = |error| {
            let (why, cure) = why_no_trust(&error);
            format!("{why}; {cure}")
        };
        let expired = |seconds| {
            let time = rustls::pki_types::UnixTime::since_unix_epoch;
            Error::InvalidCertificate(CertificateError::ExpiredContext {
                time: time(std::time::Duration::from_secs(seconds)),
                not_after: time(std::time::Duration::ZERO),
            })
        };
        assert_eq!(why(expired(1)), why(expired(2)));
        assert!(why(expired(1)).contains("clock"));
        for (error, cure) in [
            (
                Error::AlertReceived(AlertDescription::CertificateRequired),
                "CertFile",
            ),
            (Error::AlertReceived(AlertDescription::UnknownCA), "KeyFile"),
            (
                Error::InvalidCertificate(CertificateError::UnknownIssuer),
                "CACertFile",
            ),
            (
                Error::InvalidCertificate(CertificateError::NotValidForName),
                "subjectAltName",
            ),
            (
                Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType),
                "MesosHTTPSOn",
            ),
            (Error::DecryptError, "CACertFile"),
        ] {
            assert!(why(error.clone()).contains(cure), "{error}");
        }
    }
}
