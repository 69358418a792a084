//! The service account of IAMConfigFile. In: the file's JSON. Out: an account that can sign, or which
//! field is at fault. It must never quote the file, which holds a private key.

use std::fmt;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::SigningKey;
use serde_json::{Map, Value};
use ureq::http::Uri;

use super::keys::fold;

/// Who logs in, where, and with what key.
#[derive(Clone)]
pub struct ServiceAccount {
    pub uid: String,
    /// An absolute URL, http or https, without user and password.
    pub login_endpoint: String,
    key: Arc<dyn SigningKey>,
}

impl ServiceAccount {
    /// Other fields than ours are passed over, as mesos-dns does: the files of DC/OS have a `scheme`.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let fields = read_object(json)?;
        let uid = text(&fields, "uid")?.to_owned();
        let login_endpoint = text(&fields, "login_endpoint")?.to_owned();
        check_endpoint(&login_endpoint)
            .map_err(|why| format!("its field login_endpoint is no place to log in: {why}"))?;
        let pem = text(&fields, "private_key")?;
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
            .ok()
            .and_then(|der| any_supported_type(&der).ok())
            .filter(|key| key.choose_scheme(&[RS256]).is_some())
            .ok_or("its field private_key is no RSA key of 2048 to 8192 bits in PEM form")?;
        Ok(Self {
            uid,
            login_endpoint,
            key,
        })
    }

    pub fn is_https(&self) -> bool {
        let scheme = self.login_endpoint.get(..6);
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
    }

    /// The signature of RS256 (RFC 7518, 3.3), which TLS has as well.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let signer = self.key.choose_scheme(&[RS256]);
        let signer = signer.ok_or("the key does not sign with RS256")?;
        signer.sign(message).map_err(|error| error.to_string())
    }
}

const RS256: SignatureScheme = SignatureScheme::RSA_PKCS1_SHA256;

/// By hand: nothing of the key.
impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (uid, endpoint) = (&self.uid, &self.login_endpoint);
        write!(
            f,
            "ServiceAccount {{ uid: {uid:?}, login_endpoint: {endpoint:?}, key: ****** }}"
        )
    }
}

/// The fields of the file's object. The parser's own message is not used: it may quote the file.
pub fn read_object(json: &[u8]) -> Result<Map<String, Value>, String> {
    serde_json::from_slice(json).map_err(|error| {
        format!(
            "it is no JSON object: line {}, column {}",
            error.line(),
            error.column()
        )
    })
}

/// Fields match in any case, and of equal ones the last counts: Go's rule.
fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a str, String> {
    let mut named = fields.iter().filter(|(field, _)| fold(field) == name);
    match named.next_back() {
        Some((_, Value::String(text))) if !text.is_empty() => Ok(text),
        Some((_, Value::String(_) | Value::Null)) => Err(format!("its field {name} is empty")),
        Some(_) => Err(format!("its field {name} is no string")),
        None => Err(format!("its field {name} is missing")),
    }
}

fn check_endpoint(text: &str) -> Result<(), &'static str> {
    let uri: Uri = text.parse().map_err(|_| "it is no URL")?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("it does not begin with https:// or http://");
    }
    match uri.authority() {
        Some(authority) if authority.as_str().contains('@') => {
            Err("it must not hold a user and a password")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_absolute_and_without_password() {
        let error = |endpoint: &str| {
            let json = serde_json::json!({"uid": "dns", "login_endpoint": endpoint});
            ServiceAccount::parse(json.to_string().as_bytes()).unwrap_err()
        };
        for good in [
            "http://a:80",
            "HTTPS://[::1]/login",
            "https://10.0.0.1/acs?x=y",
        ] {
            assert!(error(good).contains("private_key"), "{good}");
        }
        for bad in [
            "a/login",
            "/login",
            "ftp://a/",
            "https://",
            "https://u:p@a/",
            "a b",
            "https:a",
        ] {
            let error = error(bad);
            assert!(
                error.contains("login_endpoint") && !error.contains("u:p"),
                "{bad}: {error}"
            );
        }
    }

    #[test]
    fn field_at_fault_is_named_and_not_quoted() {
        for (json, fault) in [
            ("", "line 1"),
            ("[]", "no JSON object"),
            (r#"{"uid": "s3cret"#, "no JSON object"),
            ("{}", "uid is missing"),
            (r#"{"uid":""}"#, "uid is empty"),
            (r#"{"uid":"a","Uid":null}"#, "uid is empty"),
            (r#"{"uid":["s3cret"]}"#, "uid is no string"),
            (r#"{"uid":"a"}"#, "login_endpoint is missing"),
            (
                r#"{"uid":"a","login_endpoint":"http://a/"}"#,
                "private_key is missing",
            ),
            (
                r#"{"uid":"a","login_endpoint":"http://a/","private_key":"s3cret"}"#,
                "private_key is no RSA key",
            ),
        ] {
            let error = ServiceAccount::parse(json.as_bytes()).unwrap_err();
            assert!(
                error.contains(fault) && !error.contains("s3cret"),
                "{json}: {error}"
            );
        }
    }
}
