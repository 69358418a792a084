//! JSON Web Tokens (RFC 7519), as much as a log-in needs. In: an account and a time, or a token. Out: a
//! signed token, or when one ends. Pure; it verifies nothing, that is for those who take a token.

use std::time::{Duration, SystemTime};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde_json::{Value, json};

use crate::config::account::ServiceAccount;
use crate::limits::LOGIN_CLAIM;

/// What the account shows to log in: `uid` and `exp`, signed with RS256.
pub fn login_token(account: &ServiceAccount, now: SystemTime) -> Result<String, String> {
    let ends = now + LOGIN_CLAIM;
    let ends = ends.duration_since(SystemTime::UNIX_EPOCH);
    let header = json!({"alg": "RS256", "typ": "JWT"});
    let claims = json!({"uid": account.uid, "exp": ends.unwrap_or_default().as_secs()});
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = account.sign(signed.as_bytes())?;
    let signature = BASE64_URL_SAFE_NO_PAD.encode(signature);
    Ok(format!("{signed}.{signature}"))
}

/// When a token ends, where it is a JWT that says so.
pub fn end_of(token: &str) -> Option<SystemTime> {
    let mut parts = token.split('.');
    let (Some(_), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    // Seconds, and they may have a fraction (RFC 7519, 2, NumericDate).
    let seconds = claims.get("exp")?.as_f64()?;
    let since = Duration::try_from_secs_f64(seconds).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn end_is_read_where_there_is_one() {
        let at = |milliseconds| Some(SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds));
        assert_eq!(
            end_of(&token(r#"{"exp":1500000000}"#)),
            at(1_500_000_000_000)
        );
        assert_eq!(end_of(&token(r#"{"exp":2.5,"uid":"a"}"#)), at(2_500));
        for claims in [
            "{}",
            r#"{"exp":"1500000000"}"#,
            r#"{"exp":-1}"#,
            r#"{"exp":1e300}"#,
            r#"{"exp":null}"#,
            "[]",
            "exp",
        ] {
            assert_eq!(end_of(&token(claims)), None, "{claims}");
        }
        for other in ["", "opaque", "a.b", "a.b.c", "a.b.c.d", "..", "e30.e30=.x"] {
            assert_eq!(end_of(other), None, "{other}");
        }
    }
}
