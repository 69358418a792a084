//! Logs in with a service account, as mesos-dns does, and keeps the token. In: IAMConfigFile. Out: the
//! `Authorization` header, good at this moment. It must never show a key or a token to anybody but
//! the endpoint and the masters.
//!
//! A token is renewed before it ends. When that is so is told by two clocks: the wall clock, since the
//! token names a date, and the monotonic one, so that a wall clock that was set back does not make
//! an old token good for ever.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use tracing::{debug, info, warn};
use ureq::http::{HeaderValue, StatusCode, header};

use super::agent::Agents;
use super::error::MasterError;
use super::jwt;
use super::tls::{Trust, distrust};
use crate::config::account::ServiceAccount;
use crate::limits::{
    LOGIN_AFTER_REFUSAL_MIN, LOGIN_ANSWER_BYTES_MAX, LOGIN_RETRY_FIRST, LOGIN_RETRY_MAX,
    LOGIN_TIMEOUT, TOKEN_LIFETIME_DEFAULT, TOKEN_LIFETIME_MAX, TOKEN_RENEWAL_MAX,
};
use crate::watched::{Fault, Watched};

/// An account and what came of its last log-in. Behind a lock, so that one logs in at a time.
pub struct Iam {
    account: Watched<ServiceAccount>,
    trust: Arc<Trust>,
    agents: Agents,
    token: Option<Token>,
    failure: Option<Failure>,
}

/// A log-in that failed, and how long the next one waits.
struct Failure {
    why: String,
    wait: Duration,
    retry_at: Instant,
}

impl Iam {
    /// Reads the file; logs in with the first request.
    pub fn new(file: &Path, trust: Arc<Trust>) -> Result<Self, MasterError> {
        let account = Watched::read(vec![file.to_owned()], |contents| {
            let account = ServiceAccount::parse(&contents.concat());
            account.map_err(|why| Fault { file: 0, why })
        })?;
        let agents = agents(account.value(), &trust);
        // What is wrong with the certificates is told now.
        agents.current()?;
        Ok(Self {
            account,
            trust,
            agents,
            token: None,
            failure: None,
        })
    }

    /// The header of the next request, with the token that is kept or with a new one.
    pub fn authorization(&mut self) -> Result<HeaderValue, MasterError> {
        self.look(false);
        let now = Now::read();
        match &self.token {
            Some(token) if token.is_fresh(now) => Ok(token.header.clone()),
            _ => self.renew(now),
        }
    }

    /// After a master refused a header: another one, or `None` where a new token would not help.
    pub fn after_refusal(
        &mut self,
        refused: &HeaderValue,
    ) -> Result<Option<HeaderValue>, MasterError> {
        self.look(true);
        let now = Now::read();
        match &self.token {
            // Somebody else's request was refused as well, and has renewed it.
            Some(token) if token.header != *refused => return Ok(Some(token.header.clone())),
            Some(token) if token.age(now) < LOGIN_AFTER_REFUSAL_MIN => return Ok(None),
            _ => {}
        }
        self.token = None;
        self.renew(now).map(Some)
    }

    /// Another account starts anew.
    fn look(&mut self, closely: bool) {
        if self.account.look(closely) {
            self.agents = agents(self.account.value(), &self.trust);
            self.token = None;
            self.failure = None;
        }
    }

    /// Logs in, unless a failure was just now. The old token serves for as long as it lasts.
    fn renew(&mut self, now: Now) -> Result<HeaderValue, MasterError> {
        let old = self.token.as_ref().filter(|token| token.is_good(now));
        let old = old.map(|token| token.header.clone());
        if let Some(failure) = &self.failure
            && now.monotonic < failure.retry_at
        {
            return old.ok_or_else(|| self.error(failure.why.clone()));
        }
        match self.log_in(now) {
            Ok(token) => {
                let header = token.header.clone();
                self.token = Some(token);
                if self.failure.take().is_some() {
                    let endpoint = &self.account.value().login_endpoint;
                    info!("{endpoint} gives tokens again");
                }
                Ok(header)
            }
            Err(why) => {
                let news = self.failed(&why);
                match old {
                    Some(header) => {
                        if news {
                            let error = self.error(why);
                            warn!("{error}; the token of before serves while it lasts");
                        }
                        Ok(header)
                    }
                    None => Err(self.error(why)),
                }
            }
        }
    }

    /// Notes a failure; true where the one before was another or none.
    fn failed(&mut self, why: &str) -> bool {
        let last = self.failure.take();
        let wait = wait_after(last.as_ref().map(|last| last.wait));
        self.failure = Some(Failure {
            why: why.to_owned(),
            wait,
            retry_at: Instant::now() + wait.mul_f64(0.5 + 0.5 * fastrand::f64()),
        });
        last.is_none_or(|last| last.why != why)
    }

    fn log_in(&self, now: Now) -> Result<Token, String> {
        let account = self.account.value();
        let shown = json!({
            "uid": account.uid,
            "token": jwt::login_token(account, now.wall)?,
        });
        let agent = self.agents.current().map_err(|error| error.to_string())?;
        let request = agent
            .post(&account.login_endpoint)
            .header(header::CONNECTION, "close")
            .header(header::CONTENT_TYPE, "application/json");
        let response = request.send(shown.to_string()).map_err(why_no_answer)?;
        let status = response.status();
        if status != StatusCode::OK {
            return Err(why_no_token(status));
        }
        let body = response.into_body();
        let answer = body
            .into_with_config()
            .limit(LOGIN_ANSWER_BYTES_MAX)
            .read_to_vec()
            .map_err(why_no_answer)?;
        let token = Token::read(&answer, Now::read())?;
        debug!(
            "{} gave {} a token for {} s",
            account.login_endpoint,
            account.uid,
            token.lifetime.as_secs()
        );
        Ok(token)
    }

    fn error(&self, why: String) -> MasterError {
        MasterError::Login {
            endpoint: self.account.value().login_endpoint.clone(),
            why,
        }
    }
}

/// Each wait is twice the one before.
fn wait_after(last: Option<Duration>) -> Duration {
    match last {
        Some(last) => (last * 2).min(LOGIN_RETRY_MAX),
        None => LOGIN_RETRY_FIRST,
    }
}

/// The client of an account's endpoint, which is trusted as masters are.
fn agents(account: &ServiceAccount, trust: &Arc<Trust>) -> Agents {
    let trust = account.is_https().then(|| Arc::clone(trust));
    Agents::new(trust, LOGIN_TIMEOUT)
}

fn why_no_answer(error: ureq::Error) -> String {
    match distrust(&error) {
        Some((why, cure)) => format!("{why}; {cure}"),
        None => error.to_string(),
    }
}

fn why_no_token(status: StatusCode) -> String {
    let cure = match status.as_u16() {
        // RFC 9110, 15.4: the log-in holds a signed token, which goes to nobody else.
        300..=399 => "; redirects are not followed, so login_endpoint must be the place itself",
        401 | 403 => {
            "; check uid and private_key in IAMConfigFile, and the clocks of this machine and that one"
        }
        404 | 405 => "; check login_endpoint in IAMConfigFile",
        _ => "",
    };
    format!("it answered with status {}{cure}", status.as_u16())
}

/// What a log-in gave.
pub struct Token {
    pub header: HeaderValue,
    came: Instant,
    /// From when it came, by the monotonic clock.
    lifetime: Duration,
    /// When it ends by the wall clock, where that can be told.
    ends: Option<SystemTime>,
    /// It is renewed when less is left.
    renewal: Duration,
}

impl Token {
    /// From `{"token": "..."}`.
    pub fn read(answer: &[u8], now: Now) -> Result<Self, String> {
        let answer: Option<Value> = serde_json::from_slice(answer).ok();
        let text = answer.as_ref().and_then(|answer| answer.get("token"));
        let text = text.and_then(Value::as_str).unwrap_or_default();
        if text.is_empty() {
            return Err(
                "its answer has no token; check login_endpoint in IAMConfigFile".to_owned(),
            );
        }
        // As mesos-dns and DC/OS write it.
        let mut header = HeaderValue::from_str(&format!("token={text}"))
            .map_err(|_| "its token cannot stand in a header".to_owned())?;
        header.set_sensitive(true);
        Ok(Self::new(header, jwt::end_of(text), now))
    }

    fn new(header: HeaderValue, ends: Option<SystemTime>, now: Now) -> Self {
        // One that ended before it came shows that our clock is ahead: it says nothing to us.
        let ends = ends.filter(|ends| *ends > now.wall);
        let lifetime = ends.map_or(TOKEN_LIFETIME_DEFAULT, |ends| {
            let left = ends.duration_since(now.wall).unwrap_or_default();
            left.min(TOKEN_LIFETIME_MAX)
        });
        let renewal = (lifetime / 5).min(TOKEN_RENEWAL_MAX);
        Self {
            header,
            came: now.monotonic,
            lifetime,
            ends,
            renewal: renewal.mul_f64(0.5 + 0.5 * fastrand::f64()),
        }
    }

    pub fn is_fresh(&self, now: Now) -> bool {
        self.left(now) > self.renewal
    }

    pub fn is_good(&self, now: Now) -> bool {
        self.left(now) > Duration::ZERO
    }

    /// By the clock that gives it less.
    pub fn left(&self, now: Now) -> Duration {
        let left = self.lifetime.saturating_sub(self.age(now));
        match self.ends {
            Some(ends) => left.min(ends.duration_since(now.wall).unwrap_or_default()),
            None => left,
        }
    }

    fn age(&self, now: Now) -> Duration {
        now.monotonic.saturating_duration_since(self.came)
    }
}

/// The two clocks at one moment.
#[derive(Clone, Copy)]
pub struct Now {
    pub wall: SystemTime,
    pub monotonic: Instant,
}

impl Now {
    fn read() -> Self {
        Self {
            wall: SystemTime::now(),
            monotonic: Instant::now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    impl Now {
        fn later(self, by: Duration) -> Self {
            Self {
                wall: self.wall + by,
                monotonic: self.monotonic + by,
            }
        }
    }

    fn token(ends: Option<SystemTime>, now: Now) -> Token {
        Token::new(HeaderValue::from_static("token=a"), ends, now)
    }

    #[test]
    fn token_is_renewed_in_its_last_fifth_and_good_to_its_end() {
        let now = Now::read();
        let token = token(Some(now.wall + HOUR / 6), now);
        assert_eq!(token.lifetime, HOUR / 6);
        assert!(token.renewal >= HOUR / 60 && token.renewal <= HOUR / 30);
        assert!(token.is_fresh(now.later(HOUR / 6 - HOUR / 29)));
        let last = now.later(HOUR / 6 - HOUR / 61);
        assert!(!token.is_fresh(last) && token.is_good(last));
        assert!(!token.is_good(now.later(HOUR / 6)));
    }

    #[test]
    fn clock_that_goes_back_makes_no_token_last_longer() {
        let now = Now::read();
        let token = token(Some(now.wall + HOUR), now);
        let mut back = now.later(HOUR);
        back.wall = now.wall - 100 * HOUR;
        assert!(!token.is_good(back));
    }

    #[test]
    fn clock_that_goes_ahead_renews_the_token_once_and_not_at_each_request() {
        let now = Now::read();
        let old = token(Some(now.wall + HOUR), now);
        let ahead = Now {
            wall: now.wall + 2 * HOUR,
            ..now
        };
        assert!(!old.is_fresh(ahead));
        // The next one ends at the same true time, which has passed by our clock.
        let new = token(Some(now.wall + HOUR), ahead);
        assert!(new.is_fresh(ahead) && new.is_fresh(ahead.later(TOKEN_LIFETIME_DEFAULT / 2)));
        assert!(!new.is_good(ahead.later(TOKEN_LIFETIME_DEFAULT)));
    }

    #[test]
    fn token_without_an_end_or_with_a_far_one_has_a_lifetime_of_ours() {
        let now = Now::read();
        assert_eq!(token(None, now).lifetime, TOKEN_LIFETIME_DEFAULT);
        let far = token(Some(now.wall + 100_000 * HOUR), now);
        assert!(!far.is_good(now.later(TOKEN_LIFETIME_MAX)));
    }

    #[test]
    fn waits_after_failed_log_ins_double_up_to_a_bound() {
        let mut wait = wait_after(None);
        assert_eq!(wait, LOGIN_RETRY_FIRST);
        assert_eq!(wait_after(Some(wait)), 2 * LOGIN_RETRY_FIRST);
        for _ in 0..100 {
            wait = wait_after(Some(wait));
        }
        assert_eq!(wait, LOGIN_RETRY_MAX);
    }

    #[test]
    fn answers_without_a_token_are_refused_and_not_quoted() {
        for answer in [
            "",
            "s3cret",
            "{}",
            "[]",
            r#"{"token":""}"#,
            r#"{"token":7}"#,
            r#"{"Token":"s3cret"}"#,
            r#"{"token":"s3cret\r\nX: y"}"#,
        ] {
            let why = Token::read(answer.as_bytes(), Now::read()).err().unwrap();
            assert!(!why.contains("s3cret"), "{answer}: {why}");
        }
        let token = Token::read(br#"{"token":"s3cret","x":1}"#, Now::read()).unwrap();
        assert_eq!(token.header, "token=s3cret");
        assert!(!format!("{:?}", token.header).contains("s3cret"));
    }
}
