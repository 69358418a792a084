//! A secret of the configuration, or the file that has it. In: text, or a path. Out: the octets, for
//! those who need them. It must never show them by itself.

use std::fmt;
use std::path::PathBuf;

use super::shown::MASK;

/// Where a secret is.
#[derive(Clone, PartialEq)]
pub enum Secret {
    /// Here; empty where none is set.
    Text(String),
    File(PathBuf),
}

impl Secret {
    pub fn is_set(&self) -> bool {
        *self != Self::default()
    }

    /// The secret of a file with this content: all of it but its last line end, which editors add.
    pub fn in_content(content: &[u8]) -> Result<&[u8], &'static str> {
        let text = content.strip_suffix(b"\r\n");
        let text = text.or_else(|| content.strip_suffix(b"\n"));
        let text = text.unwrap_or(content);
        match text.is_empty() {
            true => Err("it is empty"),
            false => Ok(text),
        }
    }
}

impl Default for Secret {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

/// By hand, so that no log line shows it.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str(MASK),
            Self::File(path) => write!(f, "File({path:?})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_the_file_without_its_last_line_end() {
        for (content, secret) in [
            ("s3cret", Ok("s3cret")),
            ("s3cret\n", Ok("s3cret")),
            ("s3cret\r\n", Ok("s3cret")),
            (" s3cret \n\n", Ok(" s3cret \n")),
            ("s3cret\r", Ok("s3cret\r")),
            ("", Err("it is empty")),
            ("\n", Err("it is empty")),
            ("\r\n", Err("it is empty")),
        ] {
            let wanted = secret.map(str::as_bytes);
            assert_eq!(
                Secret::in_content(content.as_bytes()),
                wanted,
                "{content:?}"
            );
        }
        assert_eq!(Secret::in_content(b"\xff\n"), Ok(&b"\xff"[..]));
    }

    #[test]
    fn secret_is_not_shown() {
        let shown = format!("{:?}", Secret::Text("s3cret".to_owned()));
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
