//! DNS cookies (RFC 7873), the server's as all servers can make them alike (RFC 9018). In: the option of
//! a query, the client's address, the time, our secret. Out: whether the client has shown that it gets
//! what is sent to its address, and the option of the answer. Pure; it must never show the secret.

use std::fmt;
use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip::SipHasher24;

use super::message::OPTION_HEAD_BYTES;
use crate::limits::{COOKIE_AGE_SECONDS_MAX, COOKIE_AHEAD_SECONDS_MAX, COOKIE_RENEWED_SECONDS};

/// Code of the option.
pub const COOKIE_OPTION: u16 = 10;
/// Octets of the option in an answer: both cookies, with the head.
pub const COOKIE_OPTION_BYTES: usize = OPTION_HEAD_BYTES + CLIENT_BYTES + SERVER_BYTES;

const CLIENT_BYTES: usize = 8;
/// Of version 1: version and reserved, time, hash (RFC 9018, 4).
const SERVER_BYTES: usize = 16;
/// Server cookies have 8 to 32 octets (RFC 7873, 4); others than ours may have any of these lengths.
const DATA_BYTES: std::ops::RangeInclusive<usize> = 16..=40;
const VERSION: u8 = 1;

/// What server cookies are made with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret([u8; 16]);

impl Secret {
    pub fn new(octets: [u8; 16]) -> Self {
        Self(octets)
    }

    /// 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut octets = [0; 16];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != octets.len() || !rest.is_empty() {
            return None;
        }
        for (octet, pair) in octets.iter_mut().zip(pairs) {
            let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
            *octet = (high? << 4 | low?) as u8;
        }
        Some(Self(octets))
    }
}

/// By hand, so that no log line shows it.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The option of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie {
    client: [u8; CLIENT_BYTES],
    /// What the client got from a server, where it is as long as ours are.
    server: Option<[u8; SERVER_BYTES]>,
}

/// What a cookie is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The client has a server cookie that we gave to this address: it is who it says.
    pub is_good: bool,
    /// The option of the answer, with its head.
    pub option: [u8; COOKIE_OPTION_BYTES],
}

impl Cookie {
    /// Of the option's data; `None`: of a length that it must not have (RFC 7873, 5.2.2).
    pub fn from_option(data: &[u8]) -> Option<Self> {
        let (client, server) = data.split_first_chunk::<CLIENT_BYTES>()?;
        (server.is_empty() || DATA_BYTES.contains(&data.len())).then(|| Self {
            client: *client,
            server: server.try_into().ok(),
        })
    }

    /// A server cookie is good that we gave to this address within the last hour. The answer has a fresh
    /// one, or for half an hour the same again. `now` is in seconds since 1970.
    pub fn judge(&self, address: IpAddr, secret: &Secret, now: u32) -> Judged {
        let kept = self.server.and_then(|server| {
            let [version, r0, r1, r2, t0, t1, t2, t3, hash @ ..] = server;
            let head = [version, r0, r1, r2, t0, t1, t2, t3];
            let made_at = u32::from_be_bytes([t0, t1, t2, t3]);
            // Serial number arithmetic (RFC 1982), for 32 bits of seconds come to their end.
            let age = now.wrapping_sub(made_at) as i32;
            let is_good = version == VERSION
                && (-COOKIE_AHEAD_SECONDS_MAX..=COOKIE_AGE_SECONDS_MAX).contains(&age)
                && self.hash(head, address, secret) == hash;
            is_good.then_some((age, head))
        });
        let head = match kept {
            Some((age, head)) if age <= COOKIE_RENEWED_SECONDS => head,
            _ => {
                let [t0, t1, t2, t3] = now.to_be_bytes();
                [VERSION, 0, 0, 0, t0, t1, t2, t3]
            }
        };
        let mut option = [0; COOKIE_OPTION_BYTES];
        let [c0, c1] = COOKIE_OPTION.to_be_bytes();
        let first = [c0, c1, 0, (CLIENT_BYTES + SERVER_BYTES) as u8];
        let hash = self.hash(head, address, secret);
        let octets = [first.as_slice(), &self.client, &head, &hash];
        for (place, octet) in option.iter_mut().zip(octets.into_iter().flatten()) {
            *place = *octet;
        }
        Judged {
            is_good: kept.is_some(),
            option,
        }
    }

    /// RFC 9018, 4.4.
    fn hash(&self, head: [u8; 8], address: IpAddr, secret: &Secret) -> [u8; 8] {
        let mut hasher = SipHasher24::new_with_key(&secret.0);
        hasher.write(&self.client);
        hasher.write(&head);
        match address {
            IpAddr::V4(v4) => hasher.write(&v4.octets()),
            IpAddr::V6(v6) => hasher.write(&v6.octets()),
        }
        hasher.finish().to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(hex: &str) -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
        (0..hex.len()).step_by(2).map(digit).collect()
    }

    /// What is answered to a cookie, in hexadecimal, and whether it was good.
    fn judged(cookie: &str, address: &str, secret: &str, now: u32) -> (bool, String) {
        let cookie = Cookie::from_option(&octets(cookie)).expect(cookie);
        let secret = Secret::parse(secret).expect(secret);
        let judged = cookie.judge(address.parse().expect(address), &secret, now);
        let option = judged.option;
        assert_eq!(option[..4], [0, 10, 0, 24]);
        let hex = option[4..].iter().map(|octet| format!("{octet:02x}"));
        (judged.is_good, hex.collect())
    }

    const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";

    /// RFC 9018, appendix A.
    #[test]
    fn cookies_are_those_of_the_standard() {
        let learned = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
        for (cookie, address, secret, now, expected) in [
            // A.1: a new one.
            (
                "2464c4abcf10c957",
                "198.51.100.100",
                SECRET,
                1_559_731_985,
                (false, learned),
            ),
            // A.2: learned before, renewed.
            (
                learned,
                "198.51.100.100",
                SECRET,
                1_559_734_385,
                (true, "2464c4abcf10c957010000005cf7a871d4a564a1442aca77"),
            ),
            // A.3: the reserved octets are not ours.
            (
                "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5",
                "203.0.113.203",
                SECRET,
                1_559_727_985,
                (true, "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5"),
            ),
            // A.4: made with the secret of before.
            (
                "22681ab97d52c298010000005cf7c57926556bd0934c72f8",
                "2001:db8:220:1:59de:d0f4:8769:82b8",
                "445536bcd2513298075a5d379663c962",
                1_559_741_961,
                (false, "22681ab97d52c298010000005cf7c609a6bb79d16625507a"),
            ),
            (
                "22681ab97d52c298010000005cf7c57926556bd0934c72f8",
                "2001:db8:220:1:59de:d0f4:8769:82b8",
                "dd3bdf9344b678b185a6f5cb60fca715",
                1_559_741_817,
                (true, "22681ab97d52c298010000005cf7c57926556bd0934c72f8"),
            ),
        ] {
            let (is_good, hex) = judged(cookie, address, secret, now);
            assert_eq!((is_good, &*hex), expected);
        }
    }

    #[test]
    fn cookies_are_good_for_an_hour_at_their_own_address() {
        let now = 1_000_000_000;
        let (_, given) = judged("0102030405060708", "192.0.2.1", SECRET, now);
        for (address, at, is_good) in [
            ("192.0.2.1", now, true),
            ("192.0.2.1", now + 3_600, true),
            ("192.0.2.1", now + 3_601, false),
            ("192.0.2.1", now - 300, true),
            ("192.0.2.1", now - 301, false),
            ("192.0.2.2", now, false),
            ("2001:db8::1", now, false),
        ] {
            let (found, answer) = judged(&given, address, SECRET, at);
            assert_eq!(found, is_good, "{address} {at}");
            let is_same = answer == given;
            assert_eq!(is_same, is_good && at <= now + 1_800, "{address} {at}");
        }
        let mut other = given.clone();
        other.replace_range(..2, "ff");
        assert!(!judged(&other, "192.0.2.1", SECRET, now).0);
        // The clock of 32 bits went round.
        let (_, given) = judged("0102030405060708", "192.0.2.1", SECRET, u32::MAX);
        assert!(judged(&given, "192.0.2.1", SECRET, 100).0);
    }

    #[test]
    fn options_of_other_lengths_are_malformed() {
        for length in 0..50 {
            let is_read = Cookie::from_option(&vec![7; length]).is_some();
            assert_eq!(is_read, length == 8 || (16..=40).contains(&length));
        }
        // As long as another server's: it is none of ours.
        assert!(!judged(&"00".repeat(24), "192.0.2.1", SECRET, 0).0);
        assert!(!judged(&"00".repeat(20), "192.0.2.1", SECRET, 0).0);
    }

    #[test]
    fn secrets_are_32_digits_and_are_not_shown() {
        let secret = Secret::parse("000102030405060708090A0b0c0d0e0f");
        assert_eq!(
            secret,
            Some(Secret::new(std::array::from_fn(|at| at as u8)))
        );
        assert_eq!(format!("{secret:?}"), "Some(Secret)");
        for wrong in [
            "",
            "00",
            "+0".repeat(16).as_str(),
            &"0".repeat(34),
            &"é".repeat(16),
        ] {
            assert_eq!(Secret::parse(wrong), None, "{wrong}");
        }
    }
}
