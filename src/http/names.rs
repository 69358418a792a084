//! `/v1/names`: a search over every name. In: a Snapshot and a part of a name. Out: the names that have
//! it, best first, no more than were asked for. It looks at `NAMES_PER_TURN` names and then lets other
//! requests have their turn: they must never wait for it.

use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::route::percent_decode;
use super::serve::{json_value, text, try_later};
use super::stream::Body;
use crate::dns::{name, rtype};
use crate::limits::{
    HTTP_STREAM_WAIT_MS, NAME_BYTES_MAX, NAMES_GIVEN_DEFAULT, NAMES_GIVEN_MAX, NAMES_PER_TURN,
};
use crate::responses::Snapshot;
use crate::responses::layout::Entry;
use crate::stats::traffic::QueryType;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// Lower case.
    part: String,
    /// The name must begin with it.
    is_prefix: bool,
    count_max: usize,
    /// PTR records of tasks are answered.
    reverse_dns_on: bool,
}

/// A name that was found, with where it stands: the best first, then by text.
type Found = (Rank, String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Its first labels are the part.
    Labels,
    Begins,
    Contains,
}

impl Search {
    /// Reads a request's query: `contains=` or `prefix=`, and `limit=`.
    pub fn from_query(query: Option<&str>, reverse_dns_on: bool) -> Result<Self, &'static str> {
        let mut search = Self {
            part: String::new(),
            is_prefix: false,
            count_max: NAMES_GIVEN_DEFAULT,
            reverse_dns_on,
        };
        for pair in query.unwrap_or_default().split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "contains" | "prefix" => {
                    let value = percent_decode(&value.replace('+', " ")).ok_or(BAD_ENCODING)?;
                    search.part = String::from_utf8_lossy(&value).to_ascii_lowercase();
                    search.is_prefix = key == "prefix";
                }
                "limit" => {
                    let count: usize = value.parse().map_err(|_| BAD_LIMIT)?;
                    search.count_max = count.min(NAMES_GIVEN_MAX);
                }
                // Others may come with a later version.
                _ => {}
            }
        }
        // No name is longer as text: an octet has up to four characters there.
        match search.part.len() <= 4 * NAME_BYTES_MAX {
            true => Ok(search),
            false => Err(TOO_LONG),
        }
    }

    /// `None`: it is not looked for.
    fn rank(&self, name: &str) -> Option<Rank> {
        match name.strip_prefix(&*self.part) {
            Some(rest) if rest.is_empty() || rest.starts_with('.') => Some(Rank::Labels),
            Some(_) => Some(Rank::Begins),
            None if self.is_prefix => None,
            None => name.contains(&self.part).then_some(Rank::Contains),
        }
    }
}

/// Searches once it is its turn.
pub async fn answer(
    turns: &Semaphore,
    snapshot: Arc<Snapshot>,
    search: Result<Search, &'static str>,
) -> Response<Body> {
    let search = match search {
        Ok(search) => search,
        Err(why) => return text(StatusCode::BAD_REQUEST, why),
    };
    let wait = Duration::from_millis(HTTP_STREAM_WAIT_MS);
    match tokio::time::timeout(wait, turns.acquire()).await {
        Ok(Ok(_turn)) => json_value(&find(&snapshot, &search).await),
        Ok(Err(_)) | Err(_) => try_later("503: too many searches are under way"),
    }
}

async fn find(snapshot: &Snapshot, search: &Search) -> Value {
    // The worst of those kept is on top.
    let mut kept: BinaryHeap<Found> = BinaryHeap::new();
    let mut matches = 0_usize;
    let mut entries = snapshot.table.entries();
    let mut text = String::with_capacity(NAME_BYTES_MAX);
    loop {
        let mut looked_at = 0;
        for entry in entries.by_ref().take(NAMES_PER_TURN) {
            looked_at += 1;
            if !has_answers(&entry, search.reverse_dns_on) {
                continue;
            }
            set_text(&mut text, &entry);
            let Some(rank) = search.rank(&text) else {
                continue;
            };
            matches += 1;
            let is_full = kept.len() >= search.count_max;
            let is_better = |(worst, name): &Found| (rank, &*text) < (*worst, &**name);
            if is_full && !kept.peek().is_some_and(is_better) {
                continue;
            }
            kept.push((rank, text.clone()));
            if is_full {
                kept.pop();
            }
        }
        if looked_at < NAMES_PER_TURN {
            break;
        }
        tokio::task::yield_now().await;
    }
    let found = kept.into_sorted_vec();
    let rows = found.iter().map(|(_, name)| {
        let wire = name::wire_from_text(name).unwrap_or_default();
        let entry = snapshot.table.find(&wire);
        json!({ "name": name, "types": entry.map(|entry| types(&entry)).unwrap_or_default() })
    });
    let rows: Vec<Value> = rows.collect();
    json!({ "serial": snapshot.serial, "matches": matches, "names": rows })
}

/// What nearly all names are made of is copied; the rest is escaped.
fn set_text(text: &mut String, entry: &Entry<'_>) {
    text.clear();
    for label in name::labels(entry.name()) {
        let is_plain = |o: &u8| (0x21..0x7f).contains(o) && *o != b'.' && *o != b'\\';
        match std::str::from_utf8(label) {
            Ok(plain) if label.iter().all(is_plain) => text.push_str(plain),
            _ => {
                text.clear();
                return text.push_str(&name::text_from_wire(entry.name()));
            }
        }
        text.push('.');
    }
}

/// A name without records is there only for those below it, and PTR records of tasks may be off.
fn has_answers(entry: &Entry<'_>, reverse_dns_on: bool) -> bool {
    let is_answered = |it| it != rtype::PTR || reverse_dns_on || entry.has_statics();
    entry.rrsets().any(|rrset| is_answered(rrset.rtype))
}

fn types(entry: &Entry<'_>) -> Vec<&'static str> {
    let types = entry.rrsets().map(|it| QueryType::of(it.rtype).label());
    let mut types: Vec<_> = types.collect();
    types.dedup();
    types
}

const BAD_ENCODING: &str = "400: a percent sign is not followed by two hexadecimal digits";
const BAD_LIMIT: &str = "400: limit is no whole number; give one, as in limit=50";
const TOO_LONG: &str = "400: no name is that long";

#[cfg(test)]
mod tests {
    use super::*;

    fn search(query: &str) -> Result<Search, &'static str> {
        Search::from_query(Some(query), false)
    }

    #[test]
    fn queries_are_decoded_and_bounded() {
        let found = search("contains=Web%2e%6D&limit=7&later=1").expect("a search");
        assert_eq!((&*found.part, found.count_max), ("web.m", 7));
        assert!(!found.is_prefix);
        assert!(search("prefix=a").expect("a search").is_prefix);
        let all = Search::from_query(None, false).expect("a search");
        assert_eq!((&*all.part, all.count_max), ("", NAMES_GIVEN_DEFAULT));
        let many = search("limit=999999999").expect("a search");
        assert_eq!(many.count_max, NAMES_GIVEN_MAX);
        for bad in ["limit=-1", "limit=x", "contains=%zz"] {
            assert!(search(bad).is_err(), "{bad}");
        }
        assert!(search(&format!("contains={}", "a".repeat(2_000))).is_err());
    }

    #[test]
    fn names_that_begin_with_the_part_come_first() {
        let contains = search("contains=web").expect("a search");
        assert_eq!(contains.rank("web.mesos."), Some(Rank::Labels));
        assert_eq!(contains.rank("web-1.mesos."), Some(Rank::Begins));
        assert_eq!(contains.rank("a-web.mesos."), Some(Rank::Contains));
        assert_eq!(contains.rank("db.mesos."), None);
        let prefix = search("prefix=web").expect("a search");
        assert_eq!(prefix.rank("a-web.mesos."), None);
    }
}
