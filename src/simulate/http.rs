//! HTTP/1.1 as the simulated master speaks it. In: octets of a client. Out: the head and body of one
//! request, and answers in a real master's form. It must never read without a bound.

use std::io::{self, BufRead, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::limits::{SIMULATE_BODY_BYTES_MAX, SIMULATE_GZIP_BYTES_MIN, SIMULATE_HEAD_BYTES_MAX};

/// What of a request decides its answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: String,
    pub takes_gzip: bool,
    pub keep_alive: bool,
    pub content_type: Option<String>,
    pub accept: Option<String>,
    pub authorization: Option<String>,
    pub body: Vec<u8>,
}

/// An answer without its body.
pub struct Head<'a> {
    pub status: u16,
    /// Each with its line end.
    pub fields: &'a str,
}

impl Request {
    /// `None`: the client is done.
    pub fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let Some((mut request, body_bytes)) = read_head(reader)? else {
            return Ok(None);
        };
        if body_bytes > SIMULATE_BODY_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let read = reader.take(body_bytes).read_to_end(&mut request.body)?;
        if (read as u64) < body_bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(request))
    }

    /// The value of a parameter of the query; percent-encoding and `+` are undone.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self.query.split('&');
        let mut found = pairs.filter_map(|pair| pair.split_once('='));
        let (_, value) = found.find(|(key, _)| *key == name)?;
        Some(unescaped(value))
    }

    /// Whether a media type is accepted. No field, `*/*` and `application/*` accept JSON.
    pub fn accepts_json(&self) -> bool {
        let Some(accept) = &self.accept else {
            return true;
        };
        accept.split(',').any(|item| {
            let mut parts = item.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let refused = parts.any(|part| matches!(part, "q=0" | "q=0.0"));
            let fits = matches!(kind, "application/json" | "application/*" | "*/*");
            fits && !refused
        })
    }
}

fn read_head(reader: &mut impl BufRead) -> io::Result<Option<(Request, u64)>> {
    let mut lines = reader.take(SIMULATE_HEAD_BYTES_MAX);
    let mut line = String::new();
    if lines.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_ascii_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        keep_alive: words.next() == Some("HTTP/1.1"),
        ..Request::default()
    };
    let mut body_bytes = 0;
    loop {
        line.clear();
        // The end of the input before the end of the head: cut off, or over the limit.
        if lines.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let field = line.trim_end();
        if field.is_empty() {
            return Ok(Some((request, body_bytes)));
        }
        let (name, value) = field.split_once(':').unwrap_or((field, ""));
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => {
                let invalid = |_| io::Error::from(io::ErrorKind::InvalidData);
                body_bytes = value.parse().map_err(invalid)?;
            }
            "accept-encoding" => {
                request.takes_gzip = value.to_ascii_lowercase().contains("gzip");
            }
            "connection" if value.eq_ignore_ascii_case("close") => request.keep_alive = false,
            "content-type" => request.content_type = Some(value.to_owned()),
            "accept" => request.accept = Some(value.to_owned()),
            "authorization" => request.authorization = Some(value.to_owned()),
            _ => {}
        }
    }
}

fn unescaped(text: &str) -> String {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        let pair = after
            .get(..2)
            .and_then(|pair| std::str::from_utf8(pair).ok());
        let escaped = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (octet, escaped) {
            (b'%', Some(escaped)) => {
                octets.push(escaped);
                rest = &after[2..];
            }
            (b'+', _) => octets.push(b' '),
            _ => octets.push(octet),
        }
    }
    String::from_utf8_lossy(&octets).into_owned()
}

/// Sends an answer whose body is as it goes over the wire.
pub fn send(
    writer: &mut impl Write,
    request: &Request,
    head: &Head<'_>,
    body: &[u8],
) -> io::Result<()> {
    writer.write_all(head_text(request, head, body.len()).as_bytes())?;
    if request.method != "HEAD" {
        writer.write_all(body)?;
    }
    writer.flush()
}

/// The head of an answer with a body of so many octets.
pub fn head_text(request: &Request, head: &Head<'_>, body_bytes: usize) -> String {
    let end = if request.keep_alive {
        ""
    } else {
        "Connection: close\r\n"
    };
    format!(
        "HTTP/1.1 {} {}\r\n{}{end}Content-Length: {body_bytes}\r\n\r\n",
        head.status,
        reason(head.status),
        head.fields
    )
}

/// Sends 200 with JSON, packed where the client takes it and it is long enough, as libprocess does.
pub fn send_json(writer: &mut impl Write, request: &Request, json: &[u8]) -> io::Result<()> {
    if !request.takes_gzip || json.len() < SIMULATE_GZIP_BYTES_MIN {
        let head = Head {
            status: 200,
            fields: JSON,
        };
        return send(writer, request, &head, json);
    }
    let head = Head {
        status: 200,
        fields: JSON_GZIP,
    };
    send(writer, request, &head, &gzip(json)?)
}

/// Sends a status with one line of text.
pub fn send_text(
    writer: &mut impl Write,
    request: &Request,
    status: u16,
    text: &str,
) -> io::Result<()> {
    let head = Head {
        status,
        fields: TEXT,
    };
    send(writer, request, &head, text.as_bytes())
}

pub fn gzip(octets: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(octets)?;
    encoder.finish()
}

pub fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        409 => "Conflict",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}

pub const JSON: &str = "Content-Type: application/json\r\n";
pub const JSON_GZIP: &str = "Content-Encoding: gzip\r\nContent-Type: application/json\r\n";
pub const TEXT: &str = "Content-Type: text/plain; charset=utf-8\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_to_its_end() {
        let text = b"POST /state?x=y HTTP/1.1\r\nHost: a\r\nAccept-Encoding: br, gzip\r\nContent-Length: 3\r\n\r\nabcGET";
        let mut reader = &text[..];
        let request = Request::read(&mut reader).expect("a head").expect("one");
        let expected = Request {
            method: "POST".into(),
            path: "/state".into(),
            query: "x=y".into(),
            takes_gzip: true,
            keep_alive: true,
            body: b"abc".to_vec(),
            ..Request::default()
        };
        assert_eq!(request, expected);
        assert_eq!(reader, b"GET");
    }

    #[test]
    fn endless_heads_and_bodies_are_refused() {
        let text = [b'a'; 100_000];
        assert!(Request::read(&mut &text[..]).is_err());
        let text = b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n";
        assert!(Request::read(&mut &text[..]).is_err());
        let text = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab";
        assert!(Request::read(&mut &text[..]).is_err());
    }

    #[test]
    fn parameters_are_unescaped() {
        let request = Request {
            query: "name=a%20b%2Fc+d&count=3&broken=%4".into(),
            ..Request::default()
        };
        assert_eq!(request.parameter("name").as_deref(), Some("a b/c d"));
        assert_eq!(request.parameter("count").as_deref(), Some("3"));
        assert_eq!(request.parameter("broken").as_deref(), Some("%4"));
        assert_eq!(request.parameter("none"), None);
    }

    #[test]
    fn only_json_can_be_accepted() {
        for (accept, expected) in [
            ("application/json", true),
            ("*/*", true),
            ("text/html, application/*;q=0.5", true),
            ("text/plain", false),
            ("application/recordio", false),
            ("application/json;q=0", false),
        ] {
            let request = Request {
                accept: Some(accept.into()),
                ..Request::default()
            };
            assert_eq!(request.accepts_json(), expected, "{accept}");
        }
        assert!(Request::default().accepts_json());
    }
}
