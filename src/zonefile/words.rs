//! The words of a zone file: text in, entries out, each the words of one record or directive. Knows
//! comments, quotes and parentheses, and nothing of what words mean.

use super::Fault;

/// A record or directive as it stands.
#[derive(Debug)]
pub(super) struct Entry<'t> {
    pub(super) line: u32,
    /// The line begins with a blank: the owner is that of the record before.
    pub(super) begins_blank: bool,
    /// At least one.
    pub(super) words: Vec<Word<'t>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'t> {
    /// Without quotes; escapes as they are written.
    pub(super) text: &'t str,
    pub(super) is_quoted: bool,
    pub(super) line: u32,
}

pub(super) struct Words<'t> {
    text: &'t str,
    at: usize,
    line: u32,
}

impl<'t> Words<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        // Editors of another system put it there.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self {
            text,
            at: 0,
            line: 1,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next entry; `None` at the end of the text.
    pub(super) fn next_entry(&mut self) -> Result<Option<Entry<'t>>, Fault> {
        let mut words: Vec<Word<'t>> = Vec::new();
        let mut begins_blank = matches!(self.peek(), Some(b' ' | b'\t'));
        let mut opened = None;
        while let Some(octet) = self.peek() {
            match octet {
                b'\n' => {
                    self.at += 1;
                    self.line += 1;
                    if opened.is_none() {
                        if !words.is_empty() {
                            break;
                        }
                        begins_blank = matches!(self.peek(), Some(b' ' | b'\t'));
                    }
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                b';' => self.skip_comment(),
                b'(' if opened.is_some() => {
                    return Err(self.stray("(", "right would be one pair of parentheses"));
                }
                b'(' => {
                    opened = Some(self.line);
                    self.at += 1;
                }
                b')' if opened.is_none() => {
                    return Err(self.stray(")", "right would be a ( before it"));
                }
                b')' => {
                    opened = None;
                    self.at += 1;
                }
                b'"' => words.push(self.quoted()?),
                _ => words.push(self.plain()),
            }
        }
        if let Some(line) = opened {
            let problem = "the parenthesis is never closed";
            return Err(Fault::new(
                line,
                "(",
                problem,
                "right would be a ) after it",
            ));
        }
        Ok(words.first().map(|first| first.line).map(|line| Entry {
            line,
            begins_blank,
            words,
        }))
    }

    fn stray(&self, culprit: &str, cure: &str) -> Fault {
        Fault::new(self.line, culprit, "this stands alone", cure)
    }

    fn skip_comment(&mut self) {
        while self.peek().is_some_and(|octet| octet != b'\n') {
            self.at += 1;
        }
    }

    /// A word up to a blank or what ends one; an escaped octet ends nothing.
    fn plain(&mut self) -> Word<'t> {
        let begin = self.at;
        while let Some(octet) = self.peek() {
            match octet {
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')' | b'"' => break,
                b'\\' => self.at += 1,
                _ => {}
            }
            if self.peek() != Some(b'\n') {
                self.at += usize::from(self.at < self.text.len());
            }
        }
        self.word(begin, self.at, false)
    }

    fn quoted(&mut self) -> Result<Word<'t>, Fault> {
        self.at += 1;
        let begin = self.at;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.at += 1,
                None | Some(b'\n') => {
                    let problem = "the quotation mark has no other in its line";
                    let cure = "right would be a \" at the end of the string";
                    return Err(Fault::new(self.line, "\"", problem, cure));
                }
                _ => {}
            }
            if self.peek() != Some(b'\n') {
                self.at += usize::from(self.at < self.text.len());
            }
        }
        let word = self.word(begin, self.at, true);
        self.at += 1;
        Ok(word)
    }

    /// Words begin and end beside ASCII, but for an escape that cuts a longer character.
    fn word(&mut self, begin: usize, mut end: usize, is_quoted: bool) -> Word<'t> {
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        self.at = end;
        Word {
            text: self.text.get(begin..end).unwrap_or_default(),
            is_quoted,
            line: self.line,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Result<Vec<(u32, bool, Vec<String>)>, Fault> {
        let mut words = Words::new(text);
        let mut all = Vec::new();
        while let Some(entry) = words.next_entry()? {
            let words = entry.words.iter().map(|word| word.text.to_owned());
            all.push((entry.line, entry.begins_blank, words.collect()));
        }
        Ok(all)
    }

    #[test]
    fn comments_quotes_and_parentheses_make_entries() {
        let text = "; first\n\na A 1 ; c\n\tb \"x ; ( \\\" y\"\r\n  ; blank\nd ( e ; f\n  g )h\n\\;i\\ j k";
        let expected = [
            (3, false, &["a", "A", "1"][..]),
            (4, true, &["b", "x ; ( \\\" y"]),
            (6, false, &["d", "e", "g", "h"]),
            (8, false, &["\\;i\\ j", "k"]),
        ];
        let expected = expected.map(|(line, blank, words)| {
            let words = words.iter().map(|&word| word.to_owned());
            (line, blank, words.collect::<Vec<_>>())
        });
        assert_eq!(entries(text), Ok(expected.into()));
        assert_eq!(entries("\u{feff}; \n"), Ok(vec![]));
    }

    #[test]
    fn what_is_never_closed_is_told_with_its_line() {
        for (text, line, culprit) in [
            ("a (\n b\n", 1, "("),
            ("\na )", 2, ")"),
            ("a (\n(", 2, "("),
            ("\n\na \"x\n\"", 3, "\""),
            ("a \"x\\", 1, "\""),
        ] {
            let fault = entries(text).expect_err(text);
            assert_eq!((fault.line, &*fault.culprit), (line, culprit), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[a\\\\\"(); \n\té€]{0,40}") {
            let _ = entries(&text);
        }
    }
}
