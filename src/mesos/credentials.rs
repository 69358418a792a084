//! How we show who we are to a master: the value of the `Authorization` header. In: the
//! configuration's authentication. Out: a header value for each request. It must never put a secret
//! into an error or a log line.

use super::error::MasterError;
use crate::config::Authentication;

/// Makes the `Authorization` header of each request.
#[derive(Clone)]
pub struct Credentials {
    basic: Option<String>,
}

impl Credentials {
    pub fn new(authentication: &Authentication) -> Result<Self, MasterError> {
        let basic = match authentication {
            Authentication::None => None,
            Authentication::Basic { principal, secret } => {
                let pair = format!("{principal}:{secret}");
                Some(format!("Basic {}", base64(pair.as_bytes())))
            }
            Authentication::Iam { .. } => return Err(MasterError::IamMissing),
        };
        Ok(Self { basic })
    }

    /// The header's value; `None`: the request goes without.
    pub fn authorization(&self) -> Result<Option<String>, MasterError> {
        Ok(self.basic.clone())
    }
}

/// RFC 4648, 4.
fn base64(octets: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(octets.len().div_ceil(3) * 4);
    for group in octets.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, index| {
            bits << 8 | usize::from(group.get(index).copied().unwrap_or(0))
        });
        for index in 0..4 {
            match index <= group.len() {
                true => text.push(LETTERS[bits >> (18 - 6 * index) & 63].into()),
                false => text.push('='),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        for (octets, wanted) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("dns:s3cret", "ZG5zOnMzY3JldA=="),
        ] {
            assert_eq!(base64(octets.as_bytes()), wanted);
        }
    }
}
