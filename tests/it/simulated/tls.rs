//! https: with a certificate of the test's own authority, and with one demanded of clients.

use std::path::{Path, PathBuf};

use rustls::crypto::aws_lc_rs;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use super::*;
use crate::support::files::Folder;
use crate::support::openssl::{Authority, Says};
use rollcall::simulate::{SimulateOptions, TlsFiles};

/// An authority's certificate in a folder, and pairs of certificate and key that it signed.
struct Files {
    authority: Authority,
    folder: Folder,
    root: PathBuf,
}

impl Files {
    fn new(name: &str) -> Self {
        let (authority, folder) = (Authority::new(name), Folder::new());
        let root = folder.write("ca.pem", authority.certificate());
        Self {
            authority,
            folder,
            root,
        }
    }

    fn sign(&self, name: &str) -> (PathBuf, PathBuf) {
        self.authority
            .issue(Says::Loopback)
            .write(&self.folder, name)
    }
}

fn pem(path: &Path) -> (Vec<Certificate<'static>>, Option<PrivateKey<'static>>) {
    let octets = std::fs::read(path).expect("a file");
    let (mut certificates, mut key) = (Vec::new(), None);
    for item in parse_pem(&octets) {
        match item.expect("PEM") {
            PemItem::Certificate(one) => certificates.push(one),
            PemItem::PrivateKey(one) => key = Some(one),
            _ => {}
        }
    }
    (certificates, key)
}

fn client(authority: &Path, own: Option<&(PathBuf, PathBuf)>) -> ureq::Agent {
    let own = own.map(|(cert, key)| {
        let key = pem(key).1.expect("a key");
        ClientCert::new_with_certs(&pem(cert).0, key)
    });
    let provider = std::sync::Arc::new(aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(provider)
        .root_certs(RootCerts::from(pem(authority).0))
        .client_cert(own)
        .build();
    ureq::Agent::config_builder().tls_config(tls).build().into()
}

#[test]
fn https_is_spoken_with_documents_and_streams() {
    let authority = Files::new("plain");
    let (cert, key) = authority.sign("server");
    let simulator = start(SimulateOptions {
        tls: Some(TlsFiles {
            cert,
            key,
            client_ca: None,
        }),
        heartbeat: Duration::from_millis(100),
        tasks: 2_000,
        ..SimulateOptions::default()
    });
    let agent = client(&authority.root, None);
    let url = format!("https://{}", simulator.address());
    let read = |response: ureq::http::Response<ureq::Body>| {
        response.into_body().read_to_vec().expect("a body")
    };
    let document = read(agent.get(format!("{url}/state")).call().expect("200"));
    let known = Known::from_state(&serde_json::from_slice(&document).expect("JSON"));
    assert!(known.tasks.len() > 2_000);
    let response = agent
        .post(format!("{url}/api/v1"))
        .header("Content-Type", "application/json")
        .send(r#"{"type":"SUBSCRIBE"}"#)
        .expect("200");
    let mut reader = BufReader::new(response.into_body().into_reader());
    let mut record = || {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a length");
        let mut json = vec![0; line.trim_end().parse().expect("a number")];
        reader.read_exact(&mut json).expect("a record");
        serde_json::from_slice::<Value>(&json).expect("JSON")
    };
    let first = record();
    let mut followed = Known::from_get_state(&first["subscribed"]["get_state"]);
    assert_eq!(followed, known);
    assert_eq!(record()["type"], "HEARTBEAT");
    for _ in 0..50 {
        simulator.step().expect("a step");
    }
    let mut left = 200;
    while left > 0 {
        let event = record();
        if event["type"] != "HEARTBEAT" {
            followed.apply(&event);
            left -= 1;
        }
    }
    assert_eq!(simulator.counts().streams_open, 1);
    drop(reader);
    wait_until("end of the stream", || simulator.counts().streams_open == 0);
    // Plain text is not answered.
    let mut stream = TcpStream::connect(simulator.address()).expect("connect");
    stream
        .write_all(b"GET /state HTTP/1.1\r\n\r\n")
        .expect("write");
    let mut octets = Vec::new();
    let _ = stream.read_to_end(&mut octets);
    assert!(!octets.starts_with(b"HTTP"));
}

#[test]
fn a_certificate_can_be_demanded_of_clients() {
    let (ours, theirs) = (Files::new("ours"), Files::new("theirs"));
    let (cert, key) = ours.sign("server");
    let simulator = start(SimulateOptions {
        tls: Some(TlsFiles {
            cert,
            key,
            client_ca: Some(ours.root.clone()),
        }),
        ..SimulateOptions::default()
    });
    let url = format!("https://{}/health", simulator.address());
    let (good, bad) = (ours.sign("client"), theirs.sign("client"));
    let get = |own| client(&ours.root, own).get(&url).call().map(|_| ());
    assert!(get(Some(&good)).is_ok());
    assert!(get(None).is_err());
    assert!(get(Some(&bad)).is_err());
}

#[test]
fn files_that_are_no_certificates_are_named() {
    let authority = Files::new("broken");
    let (cert, key) = authority.sign("server");
    let none = authority.folder.join("none.pem");
    let empty = authority.folder.write("empty.pem", "");
    for (cert, key, client_ca, culprit) in [
        (&none, &key, None, &none),
        (&empty, &key, None, &empty),
        (&cert, &none, None, &none),
        (&cert, &key, Some(empty.clone()), &empty),
    ] {
        let options = SimulateOptions {
            tls: Some(TlsFiles {
                cert: cert.clone(),
                key: key.clone(),
                client_ca,
            }),
            ..SimulateOptions::default()
        };
        let error = Simulator::start(&options).err().expect("an error");
        let error = error.to_string();
        assert!(error.contains(&culprit.display().to_string()), "{error}");
    }
}
