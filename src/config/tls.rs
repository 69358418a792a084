//! Certificates and keys named by the configuration. In: the text of PEM files. Out: that they can
//! be used, or why not. It must never put a key's text into a message.

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// Authorities: at least one certificate that can be used.
pub fn check_authorities(pem: &[u8]) -> Result<(), String> {
    let certificates = read_certificates(pem)?;
    // The bundle of a system may well hold some that no program can use.
    let (usable, _) = RootCertStore::empty().add_parsable_certificates(certificates);
    match usable {
        0 => Err("no certificate in it can be read".to_owned()),
        _ => Ok(()),
    }
}

/// A client certificate and its key: readable, and made for each other.
pub fn check_pair(certificate_pem: &[u8], key_pem: &[u8]) -> Result<(), PairError> {
    let chain = read_certificates(certificate_pem).map_err(PairError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key_pem)
        .map_err(|_| PairError::Key("there is no private key in PEM form in it".to_owned()))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    match CertifiedKey::from_der(chain, key, &provider) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => Err(PairError::Key(
            "the key is not that of the certificate".to_owned(),
        )),
        Err(rustls::Error::InvalidCertificate(error)) => Err(PairError::Certificate(format!(
            "the certificate cannot be read ({error:?})"
        ))),
        Err(error) => Err(PairError::Key(error.to_string())),
    }
}

/// Which of the two files is at fault, and why.
#[derive(Debug, PartialEq, Eq)]
pub enum PairError {
    Certificate(String),
    Key(String),
}

fn read_certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    // The parser's own words may quote the file, which may hold a key as well.
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| "its PEM form is broken or cut short".to_owned())?;
    match certificates.is_empty() {
        true => Err("there is no certificate in PEM form in it".to_owned()),
        false => Ok(certificates),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_no_pem_is_refused() {
        assert!(check_authorities(b"").is_err());
        assert!(check_authorities(b"hello").is_err());
        let rubbish = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(check_authorities(rubbish).is_err());
        assert!(matches!(
            check_pair(b"x", b"y"),
            Err(PairError::Certificate(_))
        ));
        assert!(matches!(check_pair(rubbish, b"y"), Err(PairError::Key(_))));
    }

    #[test]
    fn file_that_is_cut_short_is_refused() {
        let cut = b"-----BEGIN CERTIFICATE-----\nAAAA\n";
        let error = check_authorities(cut).unwrap_err();
        assert!(error.contains("cut short"), "{error}");
    }
}
