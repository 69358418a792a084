//! How we show who we are to a master: the value of the `Authorization` header. In: the
//! configuration's authentication. Out: a header value for each request. It must never put a secret
//! into an error or a log line.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::prelude::{BASE64_STANDARD, Engine};
use ureq::http::HeaderValue;

use super::error::MasterError;
use super::iam::Iam;
use super::tls::Trust;
use crate::config::{Authentication, Secret};
use crate::watched::{Fault, Watched};

/// Makes the `Authorization` header of each request; shared by all who ask.
pub enum Credentials {
    None,
    Basic(Mutex<Basic>),
    Iam(Box<Mutex<Iam>>),
}

impl Credentials {
    /// `trust` is for the place where one logs in.
    pub fn new(authentication: &Authentication, trust: Arc<Trust>) -> Result<Self, MasterError> {
        match authentication {
            Authentication::None => Ok(Self::None),
            Authentication::Basic { principal, secret } => {
                let basic = Basic::new(principal, secret)?;
                Ok(Self::Basic(Mutex::new(basic)))
            }
            Authentication::Iam { config_file } => {
                let iam = Iam::new(config_file, trust)?;
                Ok(Self::Iam(Box::new(Mutex::new(iam))))
            }
        }
    }

    /// The header's value; `None`: the request goes without.
    pub fn authorization(&self) -> Result<Option<HeaderValue>, MasterError> {
        match self {
            Self::None => Ok(None),
            Self::Basic(basic) => Ok(Some(lock(basic).authorization(false))),
            Self::Iam(iam) => lock(iam).authorization().map(Some),
        }
    }

    /// After a master answered 401 to `refused`: another value to try once, where there is one.
    pub fn after_refusal(&self, refused: &HeaderValue) -> Result<Option<HeaderValue>, MasterError> {
        match self {
            Self::None => Ok(None),
            Self::Basic(basic) => {
                let again = lock(basic).authorization(true);
                Ok(Some(again).filter(|again| again != refused))
            }
            Self::Iam(iam) => lock(iam).after_refusal(refused),
        }
    }
}

/// RFC 7617.
pub struct Basic {
    principal: String,
    secret: Source,
}

enum Source {
    Text(String),
    File(Watched<Vec<u8>>),
}

impl Basic {
    fn new(principal: &str, secret: &Secret) -> Result<Self, MasterError> {
        let secret = match secret {
            Secret::Text(text) => Source::Text(text.clone()),
            Secret::File(path) => Source::File(Watched::read(vec![path.clone()], |contents| {
                let secret = Secret::in_content(&contents.concat()).map(<[u8]>::to_vec);
                secret.map_err(|why| Fault {
                    file: 0,
                    why: why.to_owned(),
                })
            })?),
        };
        Ok(Self {
            principal: principal.to_owned(),
            secret,
        })
    }

    /// `closely`: the file is read even if it looks as it did.
    fn authorization(&mut self, closely: bool) -> HeaderValue {
        let secret = match &mut self.secret {
            Source::Text(text) => text.as_bytes(),
            Source::File(file) => {
                file.look(closely);
                file.value()
            }
        };
        let pair = [self.principal.as_bytes(), b":", secret].concat();
        let text = format!("Basic {}", BASE64_STANDARD.encode(pair));
        let mut value = HeaderValue::from_str(&text).expect("base64 fits into a header");
        value.set_sensitive(true);
        value
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_password_is_tried_again_only_where_it_changed() {
        let name = format!("rollcall-refused-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, "old\n").unwrap();
        let credentials = Credentials::Basic(Mutex::new(
            Basic::new("dns", &Secret::File(path.clone())).unwrap(),
        ));
        let old = credentials.authorization().unwrap().unwrap();
        assert_eq!(old, "Basic ZG5zOm9sZA==");
        assert!(!format!("{old:?}").contains("ZG5z"));
        assert_eq!(credentials.after_refusal(&old).unwrap(), None);
        std::fs::write(&path, "new\n").unwrap();
        let new = credentials.after_refusal(&old).unwrap().unwrap();
        assert_eq!(new, "Basic ZG5zOm5ldw==");
        assert_eq!(credentials.after_refusal(&new).unwrap(), None);
        std::fs::remove_file(&path).unwrap();
    }
}
