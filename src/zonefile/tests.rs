//! Rules of the file of static records.

use super::*;
use crate::dns::name::text_from_wire;
use crate::limits::{STATIC_RECORDS_MAX, STATIC_TEXT_BYTES_MAX};

fn around() -> Around {
    Around {
        domain: "mesos".into(),
        soa_mname: "NS1.mesos.".into(),
        ttl_seconds: 60,
    }
}

fn read(text: &str) -> Result<StaticRecords, Fault> {
    parse("static.zone", text.as_bytes(), &around())
}

/// `LINE OWNER TTL DATA` of each record.
fn lines(text: &str) -> Vec<String> {
    let name = |wire: &[u8]| text_from_wire(wire);
    let records = read(text).unwrap_or_else(|fault| panic!("{fault}"));
    let line = |record: &StaticRecord| {
        let data = match &record.data {
            Data::A(address) => format!("A {address}"),
            Data::Aaaa(address) => format!("AAAA {address}"),
            Data::Cname(target) => format!("CNAME {}", name(target)),
            Data::Ptr(target) => format!("PTR {}", name(target)),
            Data::Srv {
                priority,
                weight,
                port,
                target,
            } => format!("SRV {priority} {weight} {port} {}", name(target)),
            Data::Txt(octets) => format!("TXT {}", octets.escape_ascii()),
        };
        let StaticRecord {
            owner,
            ttl_seconds,
            line,
            ..
        } = record;
        format!("{line} {} {ttl_seconds} {data}", name(owner))
    };
    records.records.iter().map(line).collect()
}

#[test]
fn every_type_is_read() {
    let text = r#"
; databases outside of the cluster
$TTL 1h
DB          A     10.1.0.1
            AAAA  fd00::1      ; the owner of the line above
@     5 IN  TXT   "v=1; a" plain "\"q\" \065\\"
_pg._tcp    SRV   10 20 5432 db
www IN 2m   CNAME Web.marathon
$ORIGIN lab.example.
$TTL 30
* A (
  10.2.0.1 )
host.       A     10.3.0.1
1.0.0.10.in-addr.arpa. PTR host
$ORIGIN sub
a\.b 0 A 10.4.0.1
"#;
    assert_eq!(
        lines(text),
        [
            "4 db.mesos. 3600 A 10.1.0.1",
            "5 db.mesos. 3600 AAAA fd00::1",
            r#"6 mesos. 5 TXT \x06v=1; a\x05plain\x06\"q\" A\\"#,
            "7 _pg._tcp.mesos. 3600 SRV 10 20 5432 db.mesos.",
            "8 www.mesos. 120 CNAME web.marathon.mesos.",
            "11 *.lab.example. 30 A 10.2.0.1",
            "13 host. 30 A 10.3.0.1",
            "14 1.0.0.10.in-addr.arpa. 30 PTR host.lab.example.",
            r"16 a\.b.sub.lab.example. 0 A 10.4.0.1",
        ]
    );
    assert_eq!(lines(""), Vec::<String>::new());
}

#[test]
fn records_of_one_rrset_have_the_least_ttl() {
    let text = "a 7 A 10.0.0.1\na A 10.0.0.2\na AAAA ::1\nb 9 A 10.0.0.1";
    assert_eq!(
        lines(text),
        [
            "1 a.mesos. 7 A 10.0.0.1",
            "2 a.mesos. 7 A 10.0.0.2",
            "3 a.mesos. 60 AAAA ::1",
            "4 b.mesos. 9 A 10.0.0.1",
        ]
    );
}

#[test]
fn what_is_wrong_is_told_with_line_culprit_and_cure() {
    let long = "x".repeat(64);
    let long_text = "y".repeat(256);
    for (text, line, culprit, cure) in [
        ("\n\na A 10.0.0", 3, "10.0.0", "192.0.2.1"),
        ("a AAAA 10.0.0.1", 1, "10.0.0.1", "2001:db8::1"),
        ("a A", 1, "end of the record", "IPv4"),
        ("a A 10.0.0.1 10.0.0.2", 1, "10.0.0.2", "end of the line"),
        ("a", 1, "end of the record", "a type"),
        ("a MX 10 b", 1, "MX", "CNAME"),
        ("@ NS b", 1, "NS", "SOAMname"),
        ("@ SOA a b 1 1 1 1 1", 1, "SOA", "SOAMname"),
        ("a CH A 10.0.0.1", 1, "CH", "class IN"),
        ("$INCLUDE other.zone", 1, "$INCLUDE", "this one file"),
        ("$GENERATE 1-9 a A 10.0.0.$", 1, "$GENERATE", "$ORIGIN"),
        ("$TTL x", 1, "x", "seconds"),
        ("a 2147483648 A 10.0.0.1", 1, "2147483648", "2147483647"),
        ("  A 10.0.0.1", 1, "A", "owner"),
        ("a..b A 10.0.0.1", 1, "a..b", "labels"),
        (&format!("{long} A 10.0.0.1"), 1, &long, "labels"),
        (". A 10.0.0.1", 1, ".", "below"),
        ("*. A 10.0.0.1", 1, "*.", "below"),
        ("a.*.b A 10.0.0.1", 1, "a.*.b", "first label"),
        ("*.*.b A 10.0.0.1", 1, "*.*.b", "first label"),
        ("a SRV 0 0 65536 b", 1, "65536", "priority"),
        (&format!("a TXT {long_text}"), 1, &long_text[..24], "255"),
        ("a TXT \\300", 1, "\\300", "\\\\"),
        ("a TXT", 1, "end of the record", "a string"),
        ("a A 10.0.0.1\na A 10.0.0.1", 2, "a.mesos.", "once"),
        ("a SRV 0 0 1 b\na SRV 1 0 1 b", 2, "a.mesos.", "once"),
        ("a CNAME b\na A 10.0.0.1", 2, "a.mesos.", "alone"),
        ("a A 10.0.0.1\na CNAME b", 2, "a.mesos.", "alone"),
        ("a CNAME b\na CNAME c", 2, "a.mesos.", "alone"),
        ("a CNAME b\nb CNAME a", 1, "a.mesos.", "where that ends"),
        ("@ CNAME b", 1, "mesos.", "another name"),
        ("Leader A 10.0.0.1", 1, "leader.mesos.", "another name"),
        ("master12 CNAME x.", 1, "master12.mesos.", "another name"),
        ("slave AAAA ::1", 1, "slave.mesos.", "another name"),
        ("ns1 A 10.0.0.1", 1, "ns1.mesos.", "another name"),
        (
            "_leader._udp SRV 0 0 1 a",
            1,
            "_leader._udp.mesos.",
            "another",
        ),
    ] {
        let fault = read(text).expect_err(text);
        assert_eq!((fault.line, &*fault.culprit), (line, culprit), "{text}");
        assert!(fault.cure.contains(cure), "{text}: {}", fault.cure);
    }
    let fault = parse("f", b"a A 10.0.0.1\n\xff", &around()).expect_err("no UTF-8");
    assert_eq!(fault.line, 2);
}

#[test]
fn names_of_rollcall_take_other_types_and_names_alike_take_all() {
    let text = "leader TXT x\nslave TXT x\nns1 SRV 0 0 1 a\n@ A 10.0.0.1\n@ TXT x\n_leader._tcp TXT x
masterx A 10.0.0.1\nmaster.web A 10.0.0.1\nleader.example. A 10.0.0.1\nx.leader A 10.0.0.1\n* A 10.0.0.1";
    assert_eq!(lines(text).len(), 11);
}

#[test]
fn text_and_records_are_bounded() {
    let string = format!(" {}", "y".repeat(255));
    let strings = STATIC_TEXT_BYTES_MAX / 256;
    let text = |count| format!("a TXT{}", string.repeat(count));
    assert!(read(&text(strings)).is_ok());
    assert!(read(&text(strings + 1)).is_err());
    let mut text = String::new();
    for number in 0..STATIC_RECORDS_MAX {
        text.push_str(&format!("a{number} A 10.0.0.1\n"));
    }
    assert!(read(&text).is_ok());
    text.push_str("b A 10.0.0.1\n");
    let fault = read(&text).expect_err("one too many");
    assert_eq!(fault.line as usize, STATIC_RECORDS_MAX + 1);
}

#[test]
fn fingerprint_is_that_of_what_is_answered() {
    let print = |text| read(text).map(|it| it.fingerprint);
    assert_eq!(
        print("a A 10.0.0.1"),
        print("; c\n\nA.mesos. 60 IN A 10.0.0.1")
    );
    for other in ["a A 10.0.0.2", "a 61 A 10.0.0.1", "b A 10.0.0.1", ""] {
        assert_ne!(print("a A 10.0.0.1"), print(other), "{other}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics(words in proptest::collection::vec(
        proptest::sample::select(vec![
            "a", "*", "@", " ", "\n", "A", "TXT", "SRV", "CNAME", "10.0.0.1", "0", "$ORIGIN", "$TTL",
            "(", ")", "\"", ";", "\\", "\\300", ".", "é", "IN", "leader",
        ]),
        0..12,
    )) {
        let _ = read(&words.concat());
        let _ = read(&words.join(" "));
    }
}
