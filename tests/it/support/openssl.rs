//! Certificates and keys from the openssl program: another library than ours makes them, and checks
//! what ours signed.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::files::Folder;

/// Runs openssl, which must succeed, and gives what it printed.
pub fn openssl<A: AsRef<OsStr>>(arguments: &[A]) -> Vec<u8> {
    let output = Command::new("openssl")
        .args(arguments)
        .output()
        .expect("openssl is installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    output.stdout
}

/// An authority that signs certificates.
pub struct Authority {
    folder: Folder,
}

/// What a certificate says of its server, and when.
pub enum Says {
    /// 127.0.0.1, at present.
    Loopback,
    /// The same, in 2020.
    Expired,
    /// Nothing but a common name, at present.
    NoAddress,
}

/// A certificate and its key, in PEM.
pub struct Pair {
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let folder = Folder::new();
        folder.write("index.txt", "");
        folder.write("index.txt.attr", "unique_subject = no\n");
        let path = |name: &str| folder.join(name).display().to_string();
        let (key, certificate, subject) = (path("key"), path("pem"), format!("/CN={name}"));
        let mut arguments = vec!["req", "-x509", "-days", "30", "-subj", &subject];
        arguments.extend(NEW_KEY);
        arguments.extend(["-keyout", &key, "-out", &certificate]);
        openssl(&arguments);
        Self { folder }
    }

    /// Its own certificate, in PEM.
    pub fn certificate(&self) -> Vec<u8> {
        fs::read(self.folder.join("pem")).expect("the authority's certificate")
    }

    pub fn issue(&self, says: Says) -> Pair {
        let path = |name: &str| self.folder.join(name).display().to_string();
        let (key, request, certificate) = (path("leaf.key"), path("request"), path("leaf"));
        let mut arguments = vec!["req", "-new", "-subj", "/CN=127.0.0.1"];
        arguments.extend(NEW_KEY);
        arguments.extend(["-keyout", &key, "-out", &request]);
        openssl(&arguments);
        let extension = match says {
            Says::NoAddress => "basicConstraints = CA:FALSE",
            Says::Loopback | Says::Expired => "subjectAltName = IP:127.0.0.1",
        };
        let (from, to) = match says {
            Says::Expired => ("20200101000000Z", "20201231000000Z"),
            Says::Loopback | Says::NoAddress => ("20200101000000Z", "20991231000000Z"),
        };
        let settings = self
            .folder
            .write("settings", settings(&self.folder, extension));
        let settings = settings.display().to_string();
        openssl(&[
            "ca",
            "-batch",
            "-notext",
            "-config",
            &settings,
            "-startdate",
            from,
            "-enddate",
            to,
            "-in",
            &request,
            "-out",
            &certificate,
        ]);
        let read = |path: &str| fs::read(path).expect("what openssl wrote");
        Pair {
            certificate: read(&certificate),
            key: read(&key),
        }
    }
}

const NEW_KEY: [&str; 5] = [
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
];

fn settings(folder: &Path, extension: &str) -> String {
    let folder = folder.display();
    format!(
        "[ca]\ndefault_ca = this\n[this]\ndatabase = {folder}/index.txt\nnew_certs_dir = {folder}\n\
         rand_serial = yes\ndefault_md = sha256\ncertificate = {folder}/pem\nprivate_key = {folder}/key\n\
         policy = any\nx509_extensions = extensions\n[any]\ncommonName = supplied\n\
         [extensions]\n{extension}\n"
    )
}

impl Pair {
    /// Writes both; gives the paths of certificate and key.
    pub fn write(&self, folder: &Folder, name: &str) -> (PathBuf, PathBuf) {
        (
            folder.write(&format!("{name}.pem"), &self.certificate),
            folder.write(&format!("{name}.key"), &self.key),
        )
    }
}
