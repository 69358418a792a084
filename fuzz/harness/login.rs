//! What the endpoint of a log-in answers: a body, or a token whose claims are the octets. The header shows
//! nobody the token, an error does not quote it, and no token lasts longer than its claims and our limit say,
//! wherever the clocks go.

use std::time::{Duration, Instant, SystemTime};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use rollcall::limits::{TOKEN_LIFETIME_DEFAULT, TOKEN_LIFETIME_MAX};
use rollcall::mesos::iam::{Now, Token};
use serde_json::{Value, json};

use super::octets::Octets;

pub fn run(octets: &[u8]) {
    let mut octets = Octets(octets);
    let is_built = octets.flag();
    // Minutes to either side: clocks are set, and one is set back.
    let (walks, goes_back) = (octets.u16(), octets.flag());
    let answer = match is_built {
        true => {
            let claims = BASE64_URL_SAFE_NO_PAD.encode(octets.0);
            json!({"token": format!("e30.{claims}.c2ln")})
                .to_string()
                .into_bytes()
        }
        false => octets.0.to_vec(),
    };
    let now = Now {
        wall: SystemTime::UNIX_EPOCH + Duration::from_secs(NOW),
        monotonic: Instant::now(),
    };
    let token = match Token::read(&answer, now) {
        Ok(token) => token,
        Err(why) => {
            assert!(WHYS.contains(&why.as_str()), "{why}");
            assert!(!is_built);
            return;
        }
    };
    let body: Value = serde_json::from_slice(&answer).expect("what was read is JSON");
    let text = body["token"].as_str().expect("what was taken is text");
    assert_eq!(token.header.as_bytes(), format!("token={text}").as_bytes());
    assert_eq!(format!("{:?}", token.header), "Sensitive");
    let left = token.left(now);
    assert!(left > Duration::ZERO && left <= TOKEN_LIFETIME_MAX);
    if let Some(claimed) = is_built.then(|| claimed(octets.0)).flatten() {
        assert!(
            (left.as_secs_f64() - claimed).abs() < 1e-3,
            "{left:?} {claimed}"
        );
    }
    let walk = Duration::from_secs(60 * u64::from(walks));
    let later = Now {
        wall: match goes_back {
            true => now.wall - walk,
            false => now.wall + walk,
        },
        monotonic: now.monotonic + walk,
    };
    // Whichever way the wall clock went, time has passed.
    assert!(token.left(later) <= left.saturating_sub(walk));
    assert!(!token.is_fresh(later) || token.is_good(later));
}

/// For how many seconds a token with such claims is good; `None` where it ends in an age that no clock shows.
fn claimed(claims: &[u8]) -> Option<f64> {
    let claims: Option<Value> = serde_json::from_slice(claims).ok();
    let left = match claims.and_then(|claims| claims.get("exp")?.as_f64()) {
        Some(ends) if ends > 1e18 => return None,
        Some(ends) => ends - NOW as f64,
        None => 0.0,
    };
    Some(match left > 0.0 {
        true => left.min(TOKEN_LIFETIME_MAX.as_secs_f64()),
        // No end, or one that shows that our clock is ahead.
        false => TOKEN_LIFETIME_DEFAULT.as_secs_f64(),
    })
}

/// A time between two others, in seconds since 1970.
const NOW: u64 = 1_800_000_000;
/// All that may be told of an answer.
const WHYS: [&str; 2] = [
    "its answer has no token; check login_endpoint in IAMConfigFile",
    "its token cannot stand in a header",
];
