//! Reads the repository's text for the rules in `tidy`. In: files. Out: numbered lines of code,
//! without comments, strings and tests. It is a scanner, no parser: it must never need to be exact
//! where rustfmt already made the text regular.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the repository.
pub struct Source {
    /// Relative to the repository.
    pub name: String,
    pub text: String,
}

impl Source {
    /// `src/dns/name.rs` and `src/dns.rs` are both `dns`.
    pub fn module(&self) -> String {
        let below = self.name.strip_prefix("src/").unwrap_or(&self.name);
        let first = below.split('/').next().unwrap_or_default();
        first.trim_end_matches(".rs").to_owned()
    }

    pub fn breach(&self, number: usize, rule: &str) -> String {
        format!("{}:{number}: {rule}", self.name)
    }

    /// Numbered lines without comments and without what strings hold.
    pub fn code(&self) -> Vec<(usize, String)> {
        let code = stripped(&self.text);
        numbered(&code)
            .map(|(number, line)| (number, line.to_owned()))
            .collect()
    }

    /// The same without `#[cfg(test)]` items; `tests.rs` in a module's folder, and what is in a
    /// folder `tests` below `src`, is one as a whole.
    pub fn code_without_tests(&self) -> Vec<(usize, String)> {
        let mut kept = Vec::new();
        let in_folder = self.name.starts_with("src/") && self.name.contains("/tests/");
        if in_folder || self.name.ends_with("/tests.rs") {
            return kept;
        }
        let mut lines = self.code().into_iter();
        while let Some((number, line)) = lines.next() {
            if !line.contains("#[cfg(test)]") {
                kept.push((number, line));
                continue;
            }
            // The item ends with its closing brace, or with `;` where it has none.
            let mut depth = 0;
            for (_, line) in lines.by_ref() {
                let opened = line.matches('{').count();
                depth += opened;
                depth -= line.matches('}').count().min(depth);
                if depth == 0
                    && (opened > 0 || line.contains('}') || line.trim_end().ends_with(';'))
                {
                    break;
                }
            }
        }
        kept
    }

    /// The comment lines right above a line hold SAFETY.
    pub fn has_safety_above(&self, number: usize) -> bool {
        let above: Vec<&str> = self.text.lines().take(number - 1).collect();
        let mut near = above.iter().rev().take_while(|line| {
            let line = line.trim_start();
            // A statement may begin on lines above its `unsafe {`.
            line.starts_with("//") || line.starts_with("#[") || line.ends_with(['=', '(', ','])
        });
        near.any(|line| line.contains("SAFETY:"))
    }
}

/// Modules that a line names behind `crate::`, groups included.
pub fn crate_paths(line: &str) -> Vec<String> {
    let mut named = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => {
                for part in group.split('}').next().unwrap_or_default().split(',') {
                    named.extend(words(part).next().map(str::to_owned));
                }
            }
            None => named.extend(words(rest).next().map(str::to_owned)),
        }
    }
    named
}

pub fn words(text: &str) -> impl Iterator<Item = &str> {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    text.split(move |c| !inside(c))
        .filter(|word| !word.is_empty())
}

/// The text with comments, strings and character literals blanked out, line by line.
fn stripped(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        let rest = &characters[at..];
        let end = match rest {
            ['/', '/', ..] => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => comment_end(rest),
            ['r', '"' | '#', ..] if !follows_word(&characters, at) => raw_string_end(rest),
            ['b', 'r', '"' | '#', ..] if !follows_word(&characters, at) => {
                1 + raw_string_end(&rest[1..])
            }
            ['"', ..] => string_end(rest),
            ['\'', '\\', ..] => {
                2 + rest[2..]
                    .iter()
                    .skip(1)
                    .position(|c| *c == '\'')
                    .map_or(1, |p| p + 2)
            }
            ['\'', _, '\'', ..] => 3,
            _ => 0,
        };
        match end {
            0 => {
                code.push(rest[0]);
                at += 1;
            }
            _ => {
                let end = end.min(rest.len());
                code.extend(rest[..end].iter().filter(|c| **c == '\n'));
                at += end;
            }
        }
    }
    code
}

fn follows_word(characters: &[char], at: usize) -> bool {
    at > 0 && (characters[at - 1].is_alphanumeric() || characters[at - 1] == '_')
}

fn comment_end(rest: &[char]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn string_end(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != '"' {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// 0 where `r#` begins a raw identifier.
fn raw_string_end(rest: &[char]) -> usize {
    let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return 0;
    }
    let mut at = 2 + hashes;
    while at < rest.len() {
        let closing = rest[at + 1..].iter().take(hashes).all(|c| *c == '#');
        at += 1;
        if rest[at - 1] == '"' && closing {
            break;
        }
    }
    at + hashes
}

pub fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
}

pub fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(path).expect(name)
}

pub fn all_sources() -> Vec<Source> {
    [
        "src",
        "tests",
        "benches",
        "fuzz/fuzz_targets",
        "fuzz/harness",
    ]
    .into_iter()
    .flat_map(sources)
    .collect()
}

pub fn sources(folder: &str) -> Vec<Source> {
    texts(folder, &["rs"])
}

/// Sources, and what people read beside them. The corpus and recorded data are others' words.
pub fn all_texts() -> Vec<Source> {
    let mut texts_found = all_sources();
    texts_found.extend(texts(
        "packaging",
        &["md", "json", "service", "sh", "toml", "yaml"],
    ));
    texts_found.extend(texts(".ci", &[]));
    for name in [
        "README.md",
        "Cargo.toml",
        "tests/run",
        "fuzz/run",
        "fuzz/Cargo.toml",
    ] {
        let text = read(name);
        let name = name.to_owned();
        texts_found.push(Source { name, text });
    }
    texts_found
}

pub fn texts(folder: &str, endings: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = files_below(&root.join(folder), endings).into_iter();
    let source = |path: PathBuf| {
        let name = path
            .strip_prefix(root)
            .unwrap_or(&path)
            .display()
            .to_string();
        let text = fs::read_to_string(&path).expect(&name);
        Source { name, text }
    };
    files.map(source).collect()
}

/// Files with one of the endings, or all where none is given, in a fixed order.
pub fn files_below(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else {
        return found;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let ending = path
            .extension()
            .and_then(|ending| ending.to_str())
            .unwrap_or_default();
        if path.is_dir() {
            found.extend(files_below(&path, endings));
        } else if endings.is_empty() || endings.contains(&ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A `[` after a name, a call or another index. Types, patterns, attributes, macros and array
/// literals have something else before it.
pub fn indexes(line: &str) -> bool {
    let bytes = line.as_bytes();
    bytes.iter().enumerate().any(|(at, octet)| {
        let before = at.checked_sub(1).map(|before| bytes[before]);
        let after_value = before.is_some_and(|b| b.is_ascii_alphanumeric() || b"_)]?".contains(&b));
        *octet == b'[' && after_value
    })
}

#[test]
fn scanner_sees_code_and_nothing_else() {
    let text = "let a = \"x[0] // no\"; // unwrap()\nlet b = 'x'; /* [1] */ b[2];\nlet c: &'a str = r#\"unsafe \"q\" \"#;\nlet d = '\\'';\n";
    let code = stripped(text);
    assert_eq!(
        code,
        "let a = ; \nlet b = ;  b[2];\nlet c: &'a str = ;\nlet d = ;\n"
    );
    assert!(indexes("b[2]") && indexes("f()[1]") && indexes("a[0][1]"));
    assert!(!indexes(
        "let x: [u8; 4] = [0; 4]; &[u8] vec![1] #[inline] |[a, b]|"
    ));
    assert_eq!(
        crate_paths("use crate::{dns::name, limits};"),
        ["dns", "limits"]
    );
    assert_eq!(crate_paths("x: crate::mesos::Task"), ["mesos"]);
}

#[test]
fn scanner_leaves_test_modules_out() {
    let file = Source {
        name: "src/dns/x.rs".to_owned(),
        text: "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {\n    }\n}\nfn c() {}\n"
            .to_owned(),
    };
    let kept: Vec<usize> = file
        .code_without_tests()
        .iter()
        .map(|(number, _)| *number)
        .collect();
    assert_eq!(kept, [1, 7]);
}
