//! Labels: names as Mesos has them in, labels as host names want them out, to the letter of
//! mesos-dns. It must never give a label that is longer than its rule, nor look at the cluster.

use sha1::{Digest, Sha1};

use crate::limits::{LABEL_BYTES_MAX, LABEL_RFC952_BYTES_MAX};

/// Octets of the hash in an instance name.
pub const INSTANCE_HASH_BYTES: usize = 5;

/// The rule that a label follows: `EnforceRFC952` chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelRule {
    /// At most 63 octets, digits may come first (RFC 1123, 2.1).
    Rfc1123,
    /// At most 24 octets, a letter comes first (RFC 952).
    Rfc952,
}

impl LabelRule {
    pub fn from_flag(rfc952: bool) -> Self {
        if rfc952 { Self::Rfc952 } else { Self::Rfc1123 }
    }

    fn bytes_max(self) -> usize {
        match self {
            Self::Rfc1123 => LABEL_BYTES_MAX,
            Self::Rfc952 => LABEL_RFC952_BYTES_MAX,
        }
    }

    fn may_begin_with(self, octet: u8) -> bool {
        match self {
            Self::Rfc1123 => octet != b'-',
            Self::Rfc952 => octet != b'-' && !octet.is_ascii_digit(),
        }
    }

    /// Appends the label that a name becomes; appends nothing where nothing of it is left.
    pub fn append_label(self, name: &str, out: &mut Vec<u8>) {
        let start = out.len();
        let kept = name.bytes().filter_map(map_octet);
        out.extend(kept.skip_while(|&octet| !self.may_begin_with(octet)));
        let bytes_max = self.bytes_max();
        let size = (out.len() - start).min(bytes_max);
        let cut = start + size;
        let head = start + trimmed_end(&out[start..cut]);
        if head == cut || out.len() == cut {
            out.truncate(head);
            return;
        }
        // Dashes at the cut are made up for by what stands behind the cut, which is then not looked
        // at again: the label may end in a dash (mesos-dns's rule, kept to the letter).
        let dashes = out[cut..]
            .iter()
            .take_while(|&&octet| octet == b'-')
            .count();
        let tail = cut + dashes;
        let filled = (out.len() - tail).min(cut - head);
        out.copy_within(tail..tail + filled, head);
        out.truncate(head + filled);
    }

    /// The label that a name becomes, as text.
    pub fn label(self, name: &str) -> String {
        let mut out = Vec::with_capacity(name.len());
        self.append_label(name, &mut out);
        text(&out)
    }

    /// Labels of a name with dots (a framework's); parts of which nothing is left are dropped.
    pub fn domain_fragment(self, name: &str) -> String {
        let mut out = Vec::with_capacity(name.len());
        for part in name.split('.') {
            let before = out.len();
            if before > 0 {
                out.push(b'.');
            }
            let start = out.len();
            self.append_label(part, &mut out);
            if out.len() == start {
                out.truncate(before);
            }
        }
        text(&out)
    }
}

/// Five characters of the z-base-32 form of a task id's SHA-1, which tell instances apart.
pub fn instance_hash(task_id: &str) -> [u8; INSTANCE_HASH_BYTES] {
    let digest = Sha1::digest(task_id.as_bytes());
    let mut bits = 0u64;
    for &octet in digest.iter().take(4) {
        bits = bits << 8 | u64::from(octet);
    }
    // 25 of the 32 bits, the upper ones first.
    std::array::from_fn(|index| Z_BASE_32[(bits >> (27 - 5 * index)) as usize & 31])
}

/// What stands behind the last dash of an agent's id, in lower case: `s0`.
pub fn agent_tail(agent_id: &str) -> String {
    let tail = agent_id.rsplit('-').next().unwrap_or_default();
    tail.to_lowercase()
}

/// Whether every octet can stand in a host name that somebody asks for; the rest could only be
/// asked with escapes and never is.
pub fn is_askable(name: &[u8]) -> bool {
    name.iter()
        .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.'))
}

fn map_octet(octet: u8) -> Option<u8> {
    match octet {
        b'A'..=b'Z' => Some(octet.to_ascii_lowercase()),
        b'a'..=b'z' | b'0'..=b'9' => Some(octet),
        b'-' | b'.' | b'_' => Some(b'-'),
        _ => None,
    }
}

fn trimmed_end(label: &[u8]) -> usize {
    label
        .iter()
        .rposition(|&octet| octet != b'-')
        .map_or(0, |last| last + 1)
}

fn text(octets: &[u8]) -> String {
    octets.iter().copied().map(char::from).collect()
}

const Z_BASE_32: &[u8; 32] = b"ybndrfg8ejkmcpqxot1uwisza345h769";

#[cfg(test)]
mod tests {
    use super::LabelRule::{Rfc952, Rfc1123};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn octets_are_mapped_dropped_and_lowered() {
        for (name, label) in [
            ("web", "web"),
            ("Web.App_1", "web-app-1"),
            ("--a--", "a"),
            ("é(x) y", "xy"),
            ("...", ""),
            ("", ""),
            ("9lives", "9lives"),
        ] {
            assert_eq!(Rfc1123.label(name), label, "{name:?}");
        }
    }

    #[test]
    fn rfc952_labels_begin_with_a_letter_and_have_24_octets() {
        assert_eq!(Rfc952.label("9-1lives"), "lives");
        assert_eq!(Rfc952.label("123"), "");
        assert_eq!(
            Rfc952.label("abcdefghijklmnopqrstuvwxyz"),
            "abcdefghijklmnopqrstuvwx"
        );
    }

    #[test]
    fn dashes_lost_at_the_cut_are_filled_from_behind_it() {
        let a21 = "a".repeat(21);
        assert_eq!(Rfc952.label(&format!("{a21}---bcdef")), format!("{a21}bcd"));
        assert_eq!(
            Rfc952.label(&format!("{a21}-----b-def")),
            format!("{a21}b-d")
        );
        assert_eq!(
            Rfc952.label(&format!("{a21}---bc-def")),
            format!("{a21}bc-")
        );
        assert_eq!(Rfc952.label(&format!("{a21}------")), a21);
    }

    #[test]
    fn empty_parts_of_a_framework_name_are_dropped() {
        assert_eq!(Rfc1123.domain_fragment("cassandra.prod"), "cassandra.prod");
        assert_eq!(Rfc1123.domain_fragment(".a..(b.)_.C."), "a.b.c");
        assert_eq!(Rfc1123.domain_fragment("..."), "");
    }

    #[test]
    fn instance_hashes_are_those_of_mesos_dns() {
        assert_eq!(&instance_hash("web.1"), b"e844k");
        assert_eq!(&instance_hash("w1"), b"fru5e");
    }

    #[test]
    fn agent_tail_is_behind_the_last_dash_in_lower_case() {
        assert_eq!(agent_tail("20140827-000744-3041283216-5050-2116-S1"), "s1");
        assert_eq!(agent_tail("S.A"), "s.a");
        assert_eq!(agent_tail("x-"), "");
    }

    proptest! {
        #[test]
        fn labels_are_valid_or_empty(name in ".{0,90}|[-a1._]{0,90}") {
            for rule in [Rfc1123, Rfc952] {
                let label = rule.label(&name);
                prop_assert!(label.len() <= rule.bytes_max());
                prop_assert!(label.bytes().all(|octet| octet.is_ascii_lowercase()
                    || octet.is_ascii_digit() || octet == b'-'));
                prop_assert!(label.bytes().next().is_none_or(|octet| rule.may_begin_with(octet)));
                if name.len() <= rule.bytes_max() {
                    prop_assert!(!label.ends_with('-'));
                }
            }
        }
    }
}
