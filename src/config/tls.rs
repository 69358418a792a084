//! Certificates and keys named by the configuration. In: the text of PEM files. Out: that they can
//! be used, or why not. It must never put a key's text into a message.

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Authorities: at least one certificate that can be read.
pub fn check_authorities(pem: &[u8]) -> Result<(), String> {
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).flatten());
    match added {
        0 => Err("there is no certificate in PEM form in it".to_owned()),
        _ => Ok(()),
    }
}

/// A client certificate and its key: readable, and made for each other.
pub fn check_pair(certificate_pem: &[u8], key_pem: &[u8]) -> Result<(), PairError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate_pem)
        .collect::<Result<_, _>>()
        .map_err(|error| PairError::Certificate(error.to_string()))?;
    if chain.is_empty() {
        return Err(PairError::Certificate(
            "there is no certificate in PEM form in it".to_owned(),
        ));
    }
    let key = PrivateKeyDer::from_pem_slice(key_pem)
        .map_err(|_| PairError::Key("there is no private key in PEM form in it".to_owned()))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    match rustls::sign::CertifiedKey::from_der(chain, key, &provider) {
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
}
