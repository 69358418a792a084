//! Names of strangers as labels, and names as text and as octets. What tasks call themselves must never
//! give a label that DNS cannot hold, nor text a name that reads otherwise than it was written.

use rollcall::dns::name::{labels, text_from_wire, wire_from_text};
use rollcall::records::labels::{LabelRule, agent_tail, instance_hash, is_askable};

pub fn run(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    for rule in [LabelRule::Rfc1123, LabelRule::Rfc952] {
        let label = rule.label(&text);
        assert_eq!(label, meant(rule, &text), "{text:?}");
        assert!(is_askable(label.as_bytes()));
        let fragment = rule.domain_fragment(&text);
        let parts = text.split('.').map(|part| meant(rule, part));
        let parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
        assert_eq!(fragment, parts.join("."), "{text:?}");
    }
    assert!(is_askable(&instance_hash(&text)));
    assert!(!agent_tail(&text).contains('-'));
    names(&text, octets);
}

/// The rule of mesos-dns as it is told: what may not stand in a label is dropped or becomes a dash;
/// none stands at the front; dashes before the cut are made up for from behind it.
fn meant(rule: LabelRule, name: &str) -> String {
    let (bytes_max, may_begin_with_digit) = match rule {
        LabelRule::Rfc1123 => (63, true),
        LabelRule::Rfc952 => (24, false),
    };
    let kept = name.chars().filter_map(|letter| match letter {
        'A'..='Z' | 'a'..='z' | '0'..='9' => Some(letter.to_ascii_lowercase()),
        '-' | '.' | '_' => Some('-'),
        _ => None,
    });
    let kept: String = kept.collect();
    let kept = kept
        .trim_start_matches(|it: char| it == '-' || !may_begin_with_digit && it.is_ascii_digit());
    let (head, behind) = kept.split_at(kept.len().min(bytes_max));
    let trimmed = head.trim_end_matches('-');
    let lost = head.len() - trimmed.len();
    let filled: String = behind.trim_start_matches('-').chars().take(lost).collect();
    format!("{trimmed}{filled}")
}

fn names(text: &str, octets: &[u8]) {
    if let Ok(wire) = wire_from_text(text) {
        assert!(wire.len() <= 255 && wire.last() == Some(&0));
        assert!(labels(&wire).all(|label| (1..=63).contains(&label.len())));
        let bytes: usize = labels(&wire).map(|label| 1 + label.len()).sum();
        assert_eq!(bytes + 1, wire.len());
        let again = text_from_wire(&wire);
        assert!(again.is_ascii());
        assert_eq!(
            wire_from_text(&again).as_ref(),
            Ok(&wire),
            "{text:?} {again:?}"
        );
    }
    // Any octets give some text, and such as are a name that name's.
    let shown = text_from_wire(octets);
    let bytes: usize = labels(octets).map(|label| 1 + label.len()).sum();
    if bytes < 255 && octets.get(bytes) == Some(&0) {
        assert_eq!(
            wire_from_text(&shown).as_deref(),
            Ok(&octets[..=bytes]),
            "{shown}"
        );
    }
}
