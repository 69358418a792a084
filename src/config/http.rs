//! Who may do what at the HTTP interface: the token, and the origins whose pages may read it. In: the
//! settings. Out: what `load` takes of them, or the error that names the culprit. It must never show
//! the token.

use super::error::ConfigError;
use super::settings::Settings;
use super::values::{self, Wrong};
use super::{Config, CorsOrigins, Secret, authentication};
use crate::limits::HTTP_TOKEN_BYTES_MAX;

/// `HttpToken`: the token itself, or `HttpTokenFile`: the file that has it.
pub fn token(settings: &Settings) -> Result<Secret, ConfigError> {
    const TEXT: &str = "HttpToken";
    const FILE: &str = "HttpTokenFile";
    let text = settings.text(TEXT)?;
    let Some(content) = authentication::read_named(settings, FILE)? else {
        if !text.is_empty() {
            check_token(text.as_bytes()).map_err(|problem| settings.wrong(TEXT, problem, TOKEN))?;
        }
        return Ok(Secret::Text(text.to_owned()));
    };
    if !text.is_empty() {
        let problem = "HttpToken is set as well";
        return Err(settings.wrong(FILE, problem, "right would be one of the two"));
    }
    token_in(&content).map_err(|problem| {
        let cure = format!("{TOKEN}, in a file of its own");
        settings.wrong(FILE, problem, cure)
    })?;
    Ok(Secret::File(settings.text(FILE)?.into()))
}

/// The token of a file with this content.
pub fn token_in(content: &[u8]) -> Result<&[u8], &'static str> {
    let token = Secret::in_content(content)?;
    check_token(token)?;
    Ok(token)
}

/// RFC 6750, 2.1: what can stand behind `Bearer` in a header.
fn check_token(token: &[u8]) -> Result<(), &'static str> {
    let fits = |octet: &u8| octet.is_ascii_alphanumeric() || b"-._~+/=".contains(octet);
    if !token.iter().all(fits) {
        return Err("it has characters that no token may have");
    }
    if token.len() > HTTP_TOKEN_BYTES_MAX {
        return Err("it is longer than any token");
    }
    Ok(())
}

/// `CorsOrigins`.
pub fn cors_origins(settings: &Settings) -> Result<CorsOrigins, ConfigError> {
    const KEY: &str = "CorsOrigins";
    let mut origins = CorsOrigins::default();
    for text in settings.list(KEY)? {
        if text == "*" && !std::mem::replace(&mut origins.any, true) {
            continue;
        }
        let wrong = |(problem, cure): Wrong| settings.wrong_part(KEY, &text, problem, cure);
        let origin = match text.as_str() {
            "*" => "*".to_owned(),
            _ => values::web_origin(&text).map_err(wrong)?,
        };
        if text == "*" || origins.listed.contains(&origin) {
            let problem = "this origin is listed twice".to_owned();
            return Err(wrong((problem, "right would be each once".to_owned())));
        }
        origins.listed.push(origin);
    }
    Ok(origins)
}

/// What `rollcall check` says where others than this host reach the interface and nothing restricts them.
pub fn open_to_others(config: &Config) -> Option<String> {
    let is_open = config.http_on
        && !config.http_listener.to_canonical().is_loopback()
        && !config.http_token.is_set();
    is_open.then(|| {
        format!(
            "HTTP: whoever reaches port {} of {} may flush the cache and read the configuration and every \
             name; HttpToken restricts both",
            config.http_port, config.http_listener
        )
    })
}

const TOKEN: &str =
    "right would be letters, digits and any of -._~+/=, as `openssl rand -hex 32` gives";

#[cfg(test)]
mod tests {
    use super::*;

    fn load(variables: &[(&str, &str)]) -> Result<Config, String> {
        let always = [("ROLLCALL_MASTERS", "127.0.0.1:5050")];
        let all = always.iter().chain(variables);
        let all = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let loaded = Config::load(None, all).map_err(|error| error.to_string())?;
        Ok(loaded.config)
    }

    fn origins(list: &str) -> Result<CorsOrigins, String> {
        load(&[("ROLLCALL_CORS_ORIGINS", list)]).map(|config| config.cors_origins)
    }

    #[test]
    fn origins_are_kept_as_browsers_send_them() {
        let kept = origins("https://Status.Example:443,http://[2001:DB8::1]:8080,*").unwrap();
        assert!(kept.any);
        assert_eq!(
            kept.listed,
            ["https://status.example", "http://[2001:db8::1]:8080"]
        );
        assert_eq!(origins(""), Ok(CorsOrigins::default()));
    }

    #[test]
    fn what_is_no_origin_is_refused_with_what_would_be_right() {
        for (text, problem) in [
            ("https://a.example/", "more than scheme, host and port"),
            ("a.example", "no scheme"),
            ("null", "anybody's page"),
            ("https://", "neither an address nor a name"),
            ("https://*.example", "neither an address nor a name"),
            ("https://u@a.example", "neither an address nor a name"),
            ("https://a.example:0", "port"),
            ("http s://a.example", "no scheme"),
            ("https://a.example,HTTPS://A.example:443", "twice"),
            ("*,*", "twice"),
        ] {
            let error = origins(text).expect_err(text);
            assert!(error.contains("CorsOrigins"), "{error}");
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn a_token_that_no_header_can_hold_is_refused_and_not_shown() {
        let long = "x".repeat(HTTP_TOKEN_BYTES_MAX + 1);
        for token in ["two words", "dé", &long] {
            let error = load(&[("ROLLCALL_HTTP_TOKEN", token)]).expect_err(token);
            assert!(error.contains("openssl rand"), "{error}");
            assert!(!error.contains(token), "{error}");
        }
        let config = load(&[("ROLLCALL_HTTP_TOKEN", "abc-DEF_1.~+/=")]).unwrap();
        assert!(config.http_token.is_set());
        assert_eq!(token_in(b"abc\n"), Ok(&b"abc"[..]));
        assert!(token_in(b"\n").is_err() && token_in(b"a\nb\n").is_err());
    }

    #[test]
    fn an_open_interface_is_one_line_of_check() {
        let open = |variables: &[(&str, &str)]| open_to_others(&load(variables).unwrap());
        assert!(open(&[]).is_some());
        assert_eq!(open(&[("ROLLCALL_HTTP_TOKEN", "x")]), None);
        assert_eq!(open(&[("ROLLCALL_HTTP_LISTENER", "127.0.0.1")]), None);
        assert_eq!(open(&[("ROLLCALL_HTTP_ON", "false")]), None);
    }
}
