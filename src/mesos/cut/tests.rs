//! Tests of `cut`.

use proptest::prelude::*;

use super::*;

/// Gives what it has in pieces of the given lengths, then of one octet.
struct Pieces<'a> {
    rest: &'a [u8],
    lengths: Vec<usize>,
}

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let wanted = self.lengths.pop().unwrap_or(1);
        let count = wanted.min(self.rest.len()).min(into.len());
        into[..count].copy_from_slice(&self.rest[..count]);
        self.rest = &self.rest[count..];
        Ok(count)
    }
}

/// Walks lists and objects down to `depth` and takes what lies deeper.
fn rebuild<R: Read>(cutter: &mut Cutter<R>, depth: u32) -> Result<serde_json::Value, CutError> {
    use serde_json::Value;
    let kind = cutter.kind()?;
    match kind {
        Kind::Object if depth > 0 => {
            let mut map = serde_json::Map::new();
            let mut key = String::new();
            cutter.enter()?;
            while cutter.next_key(&mut key)? {
                let value = rebuild(cutter, depth - 1)?;
                map.insert(key.clone(), value);
            }
            Ok(Value::Object(map))
        }
        Kind::List if depth > 0 => {
            let mut list = Vec::new();
            cutter.enter()?;
            while cutter.next_item()? {
                list.push(rebuild(cutter, depth - 1)?);
            }
            Ok(Value::Array(list))
        }
        _ => {
            let raw = cutter.take_value()?.expect("short");
            let value = serde_json::from_slice(raw);
            Ok(value.unwrap_or_else(|_| format!("{raw:?}").into()))
        }
    }
}

fn read_all(bytes: &[u8], lengths: Vec<usize>, depth: u32) -> Result<serde_json::Value, CutError> {
    let source = Pieces {
        rest: bytes,
        lengths,
    };
    let mut cutter = Cutter::new(source, u64::MAX);
    let value = rebuild(&mut cutter, depth)?;
    cutter.finish()?;
    Ok(value)
}

const DOCUMENT: &str = r#" { "a" : [ 1, -2.5e3 ,true,null, "x\"]}\\" , {"b\\\"":{"c":[[],{}]}} ],
    "\u0074asks":"\\", "long":{"text":"0123456789 0123456789 0123456789 \\\\\" 0123456789 0123456789"},
    "e":{} , "f":[] , "g":[[[[{"h":"]"}]]]] } "#;

#[test]
fn document_is_read_the_same_wherever_it_is_split() {
    let wanted: serde_json::Value = serde_json::from_str(DOCUMENT).unwrap();
    for depth in 0..5 {
        for first in 1..DOCUMENT.len() {
            let got = read_all(DOCUMENT.as_bytes(), vec![usize::MAX, first], depth).unwrap();
            assert_eq!(got, wanted, "split at {first}, depth {depth}");
        }
        let got = read_all(DOCUMENT.as_bytes(), Vec::new(), depth).unwrap();
        assert_eq!(got, wanted, "octet by octet");
    }
}

#[test]
fn every_cut_document_is_an_error() {
    let document = DOCUMENT.trim_end().as_bytes();
    for length in 0..document.len() {
        for depth in [0, 1, 4] {
            let result = read_all(&document[..length], vec![usize::MAX], depth);
            assert!(
                matches!(result, Err(CutError::CutShort { .. })),
                "{length} {result:?}"
            );
        }
    }
}

#[test]
fn only_white_space_may_follow_the_document() {
    assert!(read_all(b"{} \r\n\t", vec![], 1).is_ok());
    for bad in ["{} x", "{}{}", "{},", "{}]", "\u{feff}{}"] {
        assert!(
            matches!(
                read_all(bad.as_bytes(), vec![], 1),
                Err(CutError::Syntax { .. })
            ),
            "{bad}"
        );
    }
}

#[test]
fn walked_containers_are_checked() {
    for bad in [
        r#"{"a":1,}"#,
        r#"{"a" 1}"#,
        r#"{a:1}"#,
        r#"{"a":01}"#,
        r#"{"a":+1}"#,
        r#"{"a":NaN}"#,
        r#"{,}"#,
        r#"{"a":1 "b":2}"#,
        r#"{"a":[1,]}"#,
        r#"{"a":[1 2]}"#,
        r#"{"a":}"#,
        r#"{"a":[}"#,
        r#"{"a":nul}"#,
    ] {
        let result = read_all(bad.as_bytes(), vec![], 3);
        assert!(
            matches!(result, Err(CutError::Syntax { .. })),
            "{bad} {result:?}"
        );
    }
}

#[test]
fn root_must_be_an_object() {
    for bad in ["[]", "null", "7", "\"x\"", "", "  ", "/* x */{}"] {
        assert!(Cutter::new(bad.as_bytes(), 99).root().is_err(), "{bad}");
    }
}

#[test]
fn long_document_names_the_key_that_allows_it() {
    let mut cutter = Cutter::new(&b"{\"a\":[1,2,3]}"[..], 8);
    let error = cutter.root().unwrap_err().to_string();
    assert!(
        error.contains("8 octets") && error.contains("StateBytesMax"),
        "{error}"
    );
}

#[test]
fn deep_nesting_is_refused_and_shallower_is_not() {
    let nest = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    for (depth, good) in [
        (2_000, true),
        (JSON_DEPTH_MAX as usize, true),
        (12_000, false),
    ] {
        let text = nest(depth);
        let mut cutter = Cutter::new(text.as_bytes(), u64::MAX);
        let mut key = String::new();
        cutter.root().unwrap();
        assert!(cutter.next_key(&mut key).unwrap());
        assert_eq!(cutter.skip_value().is_ok(), good, "{depth}");
    }
}

#[test]
fn value_longer_than_an_object_may_be_is_dropped_and_the_next_is_read() {
    let long = "x".repeat(STATE_OBJECT_BYTES_MAX + 10);
    let text = format!(r#"{{"a":{{"k":"{long}"}},"b":"{long}","c":[1]}}"#);
    let mut cutter = Cutter::new(text.as_bytes(), u64::MAX);
    let mut key = String::new();
    cutter.root().unwrap();
    for _ in 0..2 {
        assert!(cutter.next_key(&mut key).unwrap());
        assert!(cutter.take_value().unwrap().is_none());
    }
    assert!(cutter.next_key(&mut key).unwrap());
    assert_eq!(cutter.take_value().unwrap(), Some(&b"[1]"[..]));
    assert!(!cutter.next_key(&mut key).unwrap());
    cutter.finish().unwrap();
    assert!(cutter.buffer.len() <= 4 * STATE_OBJECT_BYTES_MAX);
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z\"\\\\\\[\\]{}\u{e9}\n ,:]{0,80}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map("[a-z\"\\\\{}]{0,9}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_document_is_read_as_serde_json_reads_it(
        value in any_json(),
        lengths in prop::collection::vec(1_usize..200, 0..40),
        depth in 0_u32..4,
    ) {
        // A root that is a number ends nowhere, so all of them stand in a list.
        let value = serde_json::json!([value]);
        let text = serde_json::to_string(&value).unwrap();
        prop_assert_eq!(read_all(text.as_bytes(), lengths, depth).unwrap(), value);
    }

    #[test]
    fn no_octets_make_it_panic(octets in prop::collection::vec(prop_oneof![
        Just(b'{'), Just(b'}'), Just(b'['), Just(b']'), Just(b'"'), Just(b'\\'), Just(b','),
        Just(b':'), Just(b'1'), Just(b' '), any::<u8>()], 0..200)) {
        let _ = read_all(&octets, vec![7, 64, 1], 2);
    }
}
