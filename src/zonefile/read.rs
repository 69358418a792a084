//! Entries of a zone file read as records: words in, records with names made whole out.

use super::words::{Entry, Word, Words};
use super::{Around, Data, Fault, StaticRecord, StaticRecords, is_wildcard, rules};
use crate::dns::name::{self, wire_from_text};
use crate::limits::{NAME_BYTES_MAX, STATIC_RECORDS_MAX, STATIC_TEXT_BYTES_MAX, TEXT_BYTES_MAX};

/// Reads the text of a file of this name.
pub fn parse(file: &str, text: &[u8], around: &Around) -> Result<StaticRecords, Fault> {
    let text = std::str::from_utf8(text).map_err(|error| {
        let before = text.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + before.iter().filter(|&&octet| octet == b'\n').count();
        let octet = text.get(error.valid_up_to()).copied().unwrap_or_default();
        let cure = "right would be UTF-8, or \\DDD for a single octet";
        Fault::new(
            line as u32,
            format!("octet {octet:#04x}"),
            "this is no UTF-8",
            cure,
        )
    })?;
    let mut reader = Reader {
        origin: wire(&around.domain).map_err(|problem| {
            Fault::new(1, &*around.domain, problem, "right would be another Domain")
        })?,
        ttl_seconds: around.ttl_seconds,
        owner: None,
        records: Vec::new(),
    };
    let mut words = Words::new(text);
    while let Some(entry) = words.next_entry()? {
        reader.entry(&entry)?;
    }
    let mut records = reader.records;
    rules::check(&mut records, around)?;
    let mut shown = String::new();
    for record in &records {
        let StaticRecord {
            owner,
            ttl_seconds,
            data,
            ..
        } = record;
        shown.push_str(&format!("{owner:?} {ttl_seconds} {data:?}\n"));
    }
    Ok(StaticRecords {
        file: file.into(),
        fingerprint: crc32fast::hash(shown.as_bytes()),
        records: records.into(),
    })
}

struct Reader {
    origin: Vec<u8>,
    ttl_seconds: u32,
    /// That of the record before.
    owner: Option<Box<[u8]>>,
    records: Vec<StaticRecord>,
}

impl Reader {
    fn entry(&mut self, entry: &Entry<'_>) -> Result<(), Fault> {
        let mut words = Rest {
            words: &entry.words,
            line: entry.line,
        };
        if !entry.begins_blank
            && let Some(directive) = entry.words.first().filter(|word| is_directive(word))
        {
            _ = words.next();
            self.directive(*directive, &mut words)?;
            return words.end();
        }
        let owner = self.owner(entry, &mut words)?;
        let (ttl_seconds, rtype) = self.ttl_and_type(&mut words)?;
        let data = self.data(rtype, &mut words)?;
        words.end()?;
        if self.records.len() >= STATIC_RECORDS_MAX {
            let problem = format!("these are over {STATIC_RECORDS_MAX} records");
            return Err(Fault::new(
                entry.line,
                rtype.text,
                problem,
                "right would be a name server for them, in ZoneResolvers",
            ));
        }
        self.owner = Some(owner.clone());
        self.records.push(StaticRecord {
            owner,
            ttl_seconds,
            data,
            line: entry.line,
        });
        Ok(())
    }

    fn directive(&mut self, word: Word<'_>, words: &mut Rest<'_, '_>) -> Result<(), Fault> {
        match word.text.to_ascii_uppercase().as_str() {
            "$ORIGIN" => self.origin = self.name(words.take("a name")?)?.into(),
            "$TTL" => {
                let word = words.take("seconds")?;
                self.ttl_seconds = ttl(word.text).ok_or_else(|| wrong_ttl(word))?;
            }
            "$INCLUDE" => {
                let problem = "other files are not read";
                let cure = "right would be their records in this one file";
                return Err(Fault::new(word.line, word.text, problem, cure));
            }
            _ => {
                let cure = "right would be $ORIGIN or $TTL";
                return Err(Fault::new(word.line, word.text, "unknown directive", cure));
            }
        }
        Ok(())
    }

    fn owner(&self, entry: &Entry<'_>, words: &mut Rest<'_, '_>) -> Result<Box<[u8]>, Fault> {
        if entry.begins_blank {
            return self.owner.clone().ok_or_else(|| {
                let culprit = entry.words.first().map_or("", |word| word.text);
                let problem = "the line begins with a blank, but no record before it has a name";
                let cure = "right would be the owner's name at the front";
                Fault::new(entry.line, culprit, problem, cure)
            });
        }
        let word = words.take("a name")?;
        let owner = self.name(word)?;
        let fault = |problem, cure| Err(Fault::new(word.line, word.text, problem, cure));
        let inner = if is_wildcard(&owner) {
            owner.get(2..).unwrap_or_default()
        } else {
            &owner
        };
        if inner == [0] {
            return fault(
                "this would be the root, or all names there are",
                "right would be a name below it",
            );
        }
        if name::labels(inner).any(|label| label == b"*") {
            return fault(
                "a wildcard that is not at the front covers nothing (RFC 4592, 2.1.2)",
                "right would be * as the first label alone",
            );
        }
        Ok(owner)
    }

    /// TTL and class, in any order and both at will, before the type (RFC 1035, 5.1).
    fn ttl_and_type<'t>(&self, words: &mut Rest<'_, 't>) -> Result<(u32, Word<'t>), Fault> {
        let mut ttl_seconds = None;
        let mut has_class = false;
        loop {
            let word = words.take("a type")?;
            match word.text.to_ascii_uppercase().as_str() {
                "IN" if !has_class => has_class = true,
                "CH" | "CS" | "HS" => {
                    let cure = "right would be class IN, or none";
                    return Err(Fault::new(word.line, word.text, "unknown class", cure));
                }
                text if text.starts_with(|first: char| first.is_ascii_digit())
                    && ttl_seconds.is_none() =>
                {
                    ttl_seconds = Some(ttl(text).ok_or_else(|| wrong_ttl(word))?);
                }
                _ => return Ok((ttl_seconds.unwrap_or(self.ttl_seconds), word)),
            }
        }
    }

    fn data(&self, rtype: Word<'_>, words: &mut Rest<'_, '_>) -> Result<Data, Fault> {
        match rtype.text.to_ascii_uppercase().as_str() {
            "A" => {
                let word = words.take("an IPv4 address")?;
                let problem = "this is no IPv4 address";
                parsed(
                    word,
                    problem,
                    "right would be four numbers, as in 192.0.2.1",
                )
                .map(Data::A)
            }
            "AAAA" => {
                let word = words.take("an IPv6 address")?;
                let problem = "this is no IPv6 address";
                parsed(word, problem, "right would be one such as 2001:db8::1").map(Data::Aaaa)
            }
            "CNAME" => self.name(words.take("a name")?).map(Data::Cname),
            "PTR" => self.name(words.take("a name")?).map(Data::Ptr),
            "SRV" => Ok(Data::Srv {
                priority: number(words.take("a priority")?)?,
                weight: number(words.take("a weight")?)?,
                port: number(words.take("a port")?)?,
                target: self.name(words.take("a target")?)?,
            }),
            "TXT" => text(words).map(Data::Txt),
            of_the_zone @ ("SOA" | "NS") => {
                let problem = format!("{of_the_zone} of the domain is the configuration's");
                let cure = "right would be SOAMname and the other keys of the SOA";
                Err(Fault::new(rtype.line, rtype.text, problem, cure))
            }
            _ => Err(Fault::new(
                rtype.line,
                rtype.text,
                "static records have no such type",
                "right would be A, AAAA, CNAME, PTR, SRV or TXT",
            )),
        }
    }

    /// A name made whole, in wire format and lower case.
    fn name(&self, word: Word<'_>) -> Result<Box<[u8]>, Fault> {
        let fault = |problem: String| {
            let cure = "right would be labels of 1 to 63 octets, 255 in all, with dots between";
            Fault::new(word.line, word.text, problem, cure)
        };
        if word.text == "@" && !word.is_quoted {
            return Ok(self.origin.clone().into());
        }
        let mut whole = wire(word.text).map_err(fault)?;
        if !is_absolute(word.text) {
            whole.pop();
            whole.extend_from_slice(&self.origin);
        }
        if whole.len() > NAME_BYTES_MAX {
            return Err(fault("with $ORIGIN the name is over 255 octets".to_owned()));
        }
        Ok(whole.into())
    }
}

/// The words that are left of an entry.
struct Rest<'e, 't> {
    words: &'e [Word<'t>],
    /// Of the word before.
    line: u32,
}

impl<'t> Rest<'_, 't> {
    fn next(&mut self) -> Option<Word<'t>> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        self.line = first.line;
        Some(*first)
    }

    fn take(&mut self, wanted: &str) -> Result<Word<'t>, Fault> {
        self.next().ok_or_else(|| {
            let cure = format!("right would be {wanted} there");
            Fault::new(self.line, "end of the record", "something is missing", cure)
        })
    }

    fn end(&mut self) -> Result<(), Fault> {
        match self.next() {
            None => Ok(()),
            Some(word) => {
                let problem = "this is too much";
                let cure = "right would be the end of the line, or ; before it";
                Err(Fault::new(word.line, word.text, problem, cure))
            }
        }
    }
}

fn is_directive(word: &Word<'_>) -> bool {
    word.text.starts_with('$') && !word.is_quoted
}

fn wire(text: &str) -> Result<Vec<u8>, String> {
    let mut wire = wire_from_text(text).map_err(|error| error.to_string())?;
    wire.make_ascii_lowercase();
    Ok(wire)
}

/// Whether the text ends in a dot that is not escaped.
fn is_absolute(text: &str) -> bool {
    let Some(rest) = text.strip_suffix('.') else {
        return false;
    };
    let escapes = rest.bytes().rev().take_while(|&octet| octet == b'\\');
    escapes.count() % 2 == 0
}

fn parsed<T: std::str::FromStr>(word: Word<'_>, problem: &str, cure: &str) -> Result<T, Fault> {
    let value = word.text.parse();
    value.map_err(|_| Fault::new(word.line, word.text, problem, cure))
}

fn number(word: Word<'_>) -> Result<u16, Fault> {
    parsed(
        word,
        "this is no number from 0 to 65535",
        "right would be priority, weight, port and target, as in 0 5 443 web.example.",
    )
}

fn wrong_ttl(word: Word<'_>) -> Fault {
    Fault::new(
        word.line,
        word.text,
        "this is no TTL",
        "right would be seconds up to 2147483647, or a number with s, m, h, d or w",
    )
}

/// Seconds, or `1h30m`; at most 31 bits (RFC 2181, 8).
fn ttl(text: &str) -> Option<u32> {
    let mut seconds: u64 = 0;
    let mut number = String::new();
    for letter in text.chars() {
        if letter.is_ascii_digit() {
            number.push(letter);
            continue;
        }
        let unit = match letter.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        seconds = number
            .parse::<u64>()
            .ok()?
            .checked_mul(unit)?
            .checked_add(seconds)?;
        number.clear();
    }
    if !number.is_empty() {
        seconds = number.parse::<u64>().ok()?.checked_add(seconds)?;
    }
    u32::try_from(seconds)
        .ok()
        .filter(|&it| it <= i32::MAX as u32)
}

/// The strings of a TXT record.
fn text(words: &mut Rest<'_, '_>) -> Result<Box<[u8]>, Fault> {
    let mut octets = Vec::new();
    let mut next = Some(words.take("a string")?);
    while let Some(word) = next {
        let string = unescaped(word)?;
        let fault = |problem: String, cure: String| {
            let shown: String = word.text.chars().take(24).collect();
            Err(Fault::new(word.line, shown, problem, cure))
        };
        if string.len() > TEXT_BYTES_MAX {
            let problem = format!("the string has {} octets", string.len());
            let cure = format!("right would be strings of {TEXT_BYTES_MAX} at most, side by side");
            return fault(problem, cure);
        }
        octets.push(string.len() as u8);
        octets.extend(string);
        if octets.len() > STATIC_TEXT_BYTES_MAX {
            let problem = format!("the record has over {STATIC_TEXT_BYTES_MAX} octets");
            return fault(problem, "right would be a shorter one".to_owned());
        }
        next = words.next();
    }
    Ok(octets.into())
}

fn unescaped(word: Word<'_>) -> Result<Vec<u8>, Fault> {
    let mut octets = word.text.bytes();
    let mut string = Vec::with_capacity(word.text.len());
    while let Some(octet) = octets.next() {
        let octet = match octet {
            b'\\' => name::unescape(&mut octets).map_err(|error| {
                let cure = "right would be \\\\ for a backslash";
                Fault::new(word.line, word.text, error.to_string(), cure)
            })?,
            octet => octet,
        };
        string.push(octet);
    }
    Ok(string)
}
