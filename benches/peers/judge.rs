//! Whether an answer is right. In: a query, an answer and the zone. Out: nothing, or what was expected
//! and what came. The quick look is for every answer of the load; the long one decodes with somebody
//! else's code and compares each record.

use std::collections::BTreeSet;

use hickory_proto::op::{Message, MessageType};

use crate::queries::Query;
use crate::zone::{Type, Zone};

/// What kind of server answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// The query with QR set.
    Echo,
    Answers,
}

/// An answer that is not what it should be.
#[derive(Clone, Debug)]
pub struct Wrong {
    pub query: String,
    pub expected: String,
    pub got: String,
}

/// QR, the question as it was asked, the response code, the number of answers; the ID is looked at by
/// the one who knows it.
#[inline]
pub fn is_alike(query: Query<'_>, answer: &[u8], expect: Expect) -> bool {
    let bytes = query.octets.len();
    if answer.len() < bytes || answer[2] & QR == 0 || answer[12..bytes] != query.octets[12..] {
        return false;
    }
    expect == Expect::Echo
        || answer[2] & TC == 0
            && answer[3] & 15 == query.response_code
            && answer[4..6] == [0, 1]
            && answer[6..8] == query.answers.to_be_bytes()
}

/// Says what is wrong with an answer that is not alike.
pub fn describe(query: Query<'_>, answer: &[u8]) -> Wrong {
    let got = match Message::from_vec(answer) {
        Ok(message) => format!(
            "{} octets: {:?}, {} answers{}, question {}",
            answer.len(),
            message.metadata.response_code,
            message.answers.len(),
            if message.metadata.truncation {
                ", cut"
            } else {
                ""
            },
            question(answer),
        ),
        Err(error) => format!("{} octets that do not decode: {error}", answer.len()),
    };
    Wrong {
        query: question(query.octets),
        expected: format!(
            "response code {}, {} answers",
            query.response_code, query.answers
        ),
        got,
    }
}

/// Decodes it all and compares the answers with the zone.
pub fn compare(query: Query<'_>, answer: &[u8], zone: &Zone) -> Result<(), Wrong> {
    let asked = Message::from_vec(query.octets).expect("a query of ours decodes");
    let asked = &asked.queries[0];
    let name = asked.name().to_string().to_lowercase();
    let kind = match u16::from(asked.query_type()) {
        1 => Type::A,
        28 => Type::Aaaa,
        _ => Type::Srv,
    };
    let wrong = |expected: String, got: String| Wrong {
        query: question(query.octets),
        expected,
        got,
    };
    let message = match Message::from_vec(answer) {
        Ok(message) => message,
        Err(error) => return Err(wrong("a message".to_owned(), error.to_string())),
    };
    let code = message.metadata.response_code.low();
    if message.metadata.message_type != MessageType::Response || code != query.response_code {
        let expected = format!("a response with code {}", query.response_code);
        return Err(wrong(expected, format!("code {code}")));
    }
    let expected = zone.values(&name, kind);
    let records = message.answers.iter();
    let of_others = records.clone().find(|record| {
        record.name.to_string().to_lowercase() != name || record.record_type() != asked.query_type()
    });
    if let Some(record) = of_others {
        return Err(wrong(format!("records of {name}"), record.to_string()));
    }
    let found: BTreeSet<String> = records
        .map(|record| record.data.to_string().to_lowercase())
        .collect();
    if found != expected || found.len() != message.answers.len() {
        return Err(wrong(format!("{expected:?}"), format!("{found:?}")));
    }
    Ok(())
}

/// Name and type asked for, as text.
pub fn question(message: &[u8]) -> String {
    let decoded = Message::from_vec(message).ok();
    let first = decoded.and_then(|decoded| decoded.queries.first().cloned());
    first.map_or_else(
        || "none".to_owned(),
        |first| format!("{} {}", first.name(), first.query_type()),
    )
}

const QR: u8 = 0x80;
const TC: u8 = 0x02;
