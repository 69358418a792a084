//! What `explain` finds out, as JSON and as text for a terminal. Data only.

use std::fmt;

use serde::Serialize;

use crate::mesos::cluster::Skipped;

/// What is known of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Lower case, with its final dot.
    pub name: String,
    /// It has records, or names below it have.
    pub exists: bool,
    pub records: Vec<ExplainedRecord>,
    /// How many records it has; `records` shows so many at most.
    pub record_count: usize,
    /// Records that it would have, but that are left out because others are better.
    pub omitted: Vec<ExplainedRecord>,
    /// What is to be said of the name itself.
    pub notes: Vec<String>,
    /// Tasks that one could expect to have the name, and why they do not.
    pub candidates: Vec<Candidate>,
    /// Objects of the state document without any record that look like the name.
    pub skipped: Vec<SkippedObject>,
    /// Names that exist and differ little.
    pub nearest: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedRecord {
    pub rtype: &'static str,
    pub data: String,
    /// One sentence for each source of the record.
    pub sources: Vec<String>,
    /// How many sources give it; `sources` shows so many at most.
    pub source_count: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    pub framework: String,
    pub task_id: String,
    pub task_name: String,
    pub discovery_name: Option<String>,
    pub why: Vec<String>,
    /// Some of the names that it has.
    pub names: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SkippedObject {
    pub kind: String,
    pub id: String,
    pub name: String,
    pub why: String,
}

impl From<Skipped> for SkippedObject {
    fn from(skipped: Skipped) -> Self {
        Self {
            kind: skipped.kind.to_string(),
            id: skipped.id.into(),
            name: skipped.name.into(),
            why: skipped.why.into(),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (self.record_count, self.exists) {
            (0, false) => "does not exist".to_owned(),
            (0, true) => "has no records; names below it have".to_owned(),
            (1, _) => "has 1 record".to_owned(),
            (count, _) => format!("has {count} records"),
        };
        writeln!(f, "{} {state}", self.name)?;
        for note in &self.notes {
            writeln!(f, "  {note}")?;
        }
        for record in &self.records {
            writeln!(f, "  {} {}", record.rtype, record.data)?;
            for source in &record.sources {
                writeln!(f, "    {source}")?;
            }
            more(f, "    ", record.source_count, record.sources.len())?;
        }
        more(f, "  ", self.record_count, self.records.len())?;
        for record in &self.omitted {
            writeln!(f, "  left out: {} {}", record.rtype, record.data)?;
            for source in &record.sources {
                writeln!(f, "    {source}")?;
            }
            more(f, "    ", record.source_count, record.sources.len())?;
        }
        for candidate in &self.candidates {
            let Candidate {
                task_id,
                task_name,
                framework,
                ..
            } = candidate;
            writeln!(
                f,
                "  not of task {task_id:?} ({task_name:?} of framework {framework:?}):"
            )?;
            for why in &candidate.why {
                writeln!(f, "    {why}")?;
            }
            if !candidate.names.is_empty() {
                writeln!(f, "    it has {}", candidate.names.join(" "))?;
            }
        }
        for skipped in &self.skipped {
            let SkippedObject {
                kind,
                id,
                name,
                why,
            } = skipped;
            writeln!(f, "  {kind} {id:?} ({name:?}) has no records: {why}")?;
        }
        for name in &self.nearest {
            writeln!(f, "  near: {name}")?;
        }
        Ok(())
    }
}

fn more(f: &mut fmt::Formatter<'_>, indent: &str, count: usize, shown: usize) -> fmt::Result {
    match count.saturating_sub(shown) {
        0 => Ok(()),
        rest => writeln!(f, "{indent}and {rest} more"),
    }
}
