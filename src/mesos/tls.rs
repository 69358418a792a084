//! What the TLS client trusts and how it shows itself. In: the certificate files of the
//! configuration. Out: a configuration of the HTTP client. It must never fall back to no checks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use super::error::MasterError;
use super::http::ClientSettings;

/// Bundles of the systems that we know, as Debian and Red Hat have them.
const SYSTEM_ROOTS: [&str; 2] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
];

pub fn tls_config(settings: &ClientSettings) -> Result<TlsConfig, MasterError> {
    let provider = CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()));
    let builder = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
    if !settings.https {
        // Never used; but without roots of its own the client looks for some that are not there.
        let none: [Certificate<'static>; 0] = [];
        return Ok(builder.root_certs(RootCerts::from(none)).build());
    }
    let system = || {
        SYSTEM_ROOTS
            .into_iter()
            .map(PathBuf::from)
            .find(|path| path.exists())
    };
    let roots_file = settings
        .ca_cert_file
        .clone()
        .or_else(system)
        .ok_or(MasterError::NoRoots)?;
    let roots = read_certificates(&roots_file)?;
    let client_cert = match (&settings.cert_file, &settings.key_file) {
        (Some(cert_file), Some(key_file)) => {
            let chain = read_certificates(cert_file)?;
            let (_, key) = read_pem(key_file)?;
            let key = key.ok_or_else(|| MasterError::File {
                path: key_file.clone(),
                why: "it holds no private key in PEM".to_owned(),
            })?;
            Some(ClientCert::new_with_certs(&chain, key))
        }
        _ => None,
    };
    Ok(builder
        .root_certs(RootCerts::from(roots))
        .client_cert(client_cert)
        .build())
}

fn read_certificates(path: &Path) -> Result<Vec<Certificate<'static>>, MasterError> {
    let (certificates, _) = read_pem(path)?;
    match certificates.is_empty() {
        false => Ok(certificates),
        true => Err(MasterError::File {
            path: path.to_owned(),
            why: "it holds no certificate in PEM".to_owned(),
        }),
    }
}

type Pem = (Vec<Certificate<'static>>, Option<PrivateKey<'static>>);

/// The certificates of a file, and its first key.
fn read_pem(path: &Path) -> Result<Pem, MasterError> {
    let file_error = |why: String| MasterError::File {
        path: path.to_owned(),
        why,
    };
    let octets = std::fs::read(path).map_err(|error| file_error(error.to_string()))?;
    let mut certificates = Vec::new();
    let mut key = None;
    for item in parse_pem(&octets) {
        match item.map_err(|error| file_error(error.to_string()))? {
            PemItem::Certificate(certificate) => certificates.push(certificate),
            PemItem::PrivateKey(found) => key = key.or(Some(found)),
            _ => {}
        }
    }
    Ok((certificates, key))
}
