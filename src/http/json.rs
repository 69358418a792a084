//! JSON text as mesos-dns lays it out (indented by one space, every line after the first by one
//! more, as scripts that `grep` it expect). In: values in order. Out: bytes. It must never build a
//! tree of an answer whose length the cluster decides.

/// A growing JSON text. The caller opens and closes; commas and line ends come by themselves.
#[derive(Default)]
pub struct JsonText {
    bytes: Vec<u8>,
    depth: usize,
    /// Something stands before, on this level: the next item needs a comma.
    has_item: bool,
    /// A key was just written: its value follows on the same line.
    after_key: bool,
}

impl JsonText {
    pub fn begin(&mut self, bracket: Open) {
        self.item();
        self.bytes.push(bracket as u8);
        self.depth += 1;
        self.has_item = false;
    }

    pub fn end(&mut self, bracket: Close) {
        self.depth = self.depth.saturating_sub(1);
        // An empty list or object stays on its line: `[]`, `{}`.
        if self.has_item {
            self.new_line();
        }
        self.bytes.push(bracket as u8);
        self.has_item = true;
    }

    pub fn key(&mut self, key: &str) {
        self.item();
        append_string(&mut self.bytes, key);
        self.bytes.extend_from_slice(b": ");
        self.after_key = true;
    }

    pub fn string(&mut self, value: &str) {
        self.item();
        append_string(&mut self.bytes, value);
    }

    pub fn number(&mut self, value: i64) {
        self.item();
        self.bytes.extend_from_slice(value.to_string().as_bytes());
    }

    pub fn pair(&mut self, key: &str, value: &str) {
        self.key(key);
        self.string(value);
    }

    /// Finished text of another writer.
    pub fn raw(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What was written since the last call; the place in the text is kept.
    pub fn take(&mut self) -> Vec<u8> {
        let capacity = self.bytes.capacity();
        std::mem::replace(&mut self.bytes, Vec::with_capacity(capacity))
    }

    fn item(&mut self) {
        if std::mem::take(&mut self.after_key) {
            self.has_item = true;
            return;
        }
        if self.has_item {
            self.bytes.push(b',');
        }
        if self.depth > 0 {
            self.new_line();
        }
        self.has_item = true;
    }

    fn new_line(&mut self) {
        self.bytes.extend_from_slice(b"\n ");
        self.bytes.resize(self.bytes.len() + self.depth, b' ');
    }
}

#[derive(Clone, Copy)]
#[repr(u8)]
pub enum Open {
    Object = b'{',
    List = b'[',
}

#[derive(Clone, Copy)]
#[repr(u8)]
pub enum Close {
    Object = b'}',
    List = b']',
}

/// The layout of `JsonText` for a value that has a fixed, small size.
pub fn text_of(value: &impl serde::Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut plain = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b" ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut plain, formatter);
    value.serialize(&mut serializer)?;
    // Inside strings a line end is escaped, so each one found here is layout.
    let mut text = Vec::with_capacity(plain.len() + plain.len() / 8);
    for octet in plain {
        text.push(octet);
        if octet == b'\n' {
            text.push(b' ');
        }
    }
    Ok(text)
}

fn append_string(bytes: &mut Vec<u8>, value: &str) {
    bytes.push(b'"');
    // Looks at every octet instead of stopping at the first: that way it is done 16 at a time.
    let needs_escape = |octet: u8| (octet < 0x20) | (octet == b'"') | (octet == b'\\');
    if !value
        .bytes()
        .fold(false, |found, o| found | needs_escape(o))
    {
        bytes.extend_from_slice(value.as_bytes());
    } else {
        for octet in value.bytes() {
            match octet {
                b'"' | b'\\' => bytes.extend_from_slice(&[b'\\', octet]),
                0..0x20 => bytes.extend_from_slice(format!("\\u{octet:04x}").as_bytes()),
                _ => bytes.push(octet),
            }
        }
    }
    bytes.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_that_of_serde_pretty_with_one_space_more() {
        let value = serde_json::json!({"a": [], "b": {}, "c": ["x\"\\\u{1}é", 1], "d": {"e": "f"}});
        let mut text = JsonText::default();
        text.begin(Open::Object);
        text.key("a");
        text.begin(Open::List);
        text.end(Close::List);
        text.key("b");
        text.begin(Open::Object);
        text.end(Close::Object);
        text.key("c");
        text.begin(Open::List);
        text.string("x\"\\\u{1}é");
        text.number(1);
        text.end(Close::List);
        text.key("d");
        text.begin(Open::Object);
        text.pair("e", "f");
        text.end(Close::Object);
        text.end(Close::Object);
        assert_eq!(
            String::from_utf8(text.take()).expect("text"),
            String::from_utf8(text_of(&value).expect("json")).expect("text"),
        );
    }
}
