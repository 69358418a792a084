//! TLS of the simulated master, and a connection that may have it. In: PEM files. Out: a `Wire` that
//! reads and writes. It must never fall back to plain text.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::options::SimulateError;

/// The files of a master that speaks https.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
    /// Authorities of the clients: without a certificate of theirs nobody is let in.
    pub client_ca: Option<PathBuf>,
}

/// A connection, plain or not.
pub enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl TlsFiles {
    pub fn load(&self) -> Result<Arc<ServerConfig>, SimulateError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let broken = |file: &Path, why: String| SimulateError::Tls {
            file: file.to_owned(),
            why,
        };
        let chain = certificates(&self.cert)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| broken(&self.key, error.to_string()))?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| broken(&self.cert, error.to_string()))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(file)? {
                    roots
                        .add(authority)
                        .map_err(|error| broken(file, error.to_string()))?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .build()
                        .map_err(|error| broken(file, error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let config = builder
            .with_single_cert(chain, key)
            .map_err(|error| broken(&self.cert, error.to_string()))?;
        Ok(Arc::new(config))
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, SimulateError> {
    let broken = |why: String| SimulateError::Tls {
        file: file.to_owned(),
        why,
    };
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file)
        .map_err(|error| broken(error.to_string()))?
        .collect();
    let found = found.map_err(|error| broken(error.to_string()))?;
    if found.is_empty() {
        return Err(broken("it holds no certificate in PEM".to_owned()));
    }
    Ok(found)
}

impl Wire {
    /// `None` for `config` is plain text. The handshake is part of the first read.
    pub fn new(stream: TcpStream, config: Option<&Arc<ServerConfig>>) -> io::Result<Self> {
        let Some(config) = config else {
            return Ok(Self::Plain(stream));
        };
        let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        Ok(Self::Tls(Box::new(StreamOwned::new(connection, stream))))
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(octets),
            Self::Tls(stream) => stream.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
