//! `/v1/enumerate`: frameworks, their tasks, and the records that each task brought. In: what
//! `records::enumerate` says, one by one. Out: chunks of text. Nothing is collected on the way.

use super::json::{Close, Open};
use super::stream::{Output, ReaderGone};
use crate::records::World;
use crate::records::enumerate::{self, Visitor};

pub fn write_enumeration(world: &World, output: &mut Output) -> Result<(), ReaderGone> {
    output.text.begin(Open::Object);
    output.text.key("frameworks");
    output.text.begin(Open::List);
    let mut writer = Writer {
        output,
        framework: None,
        task_is_open: false,
    };
    enumerate::visit(world, &mut writer)?;
    writer.end_framework();
    output.text.end(Close::List);
    output.text.end(Close::Object);
    Ok(())
}

/// Writes what it is told; lists stay open until the next of their kind begins.
struct Writer<'a> {
    output: &'a mut Output,
    /// The name is written last, behind the tasks, as upstream has it.
    framework: Option<String>,
    task_is_open: bool,
}

impl Writer<'_> {
    fn end_task(&mut self) {
        if std::mem::take(&mut self.task_is_open) {
            self.output.text.end(Close::List);
            self.output.text.end(Close::Object);
        }
    }

    fn end_framework(&mut self) {
        self.end_task();
        if let Some(name) = self.framework.take() {
            self.output.text.end(Close::List);
            self.output.text.pair("name", &name);
            self.output.text.end(Close::Object);
        }
    }
}

impl Visitor for Writer<'_> {
    type Stop = ReaderGone;

    fn framework(&mut self, name: &str) -> Result<(), ReaderGone> {
        self.end_framework();
        self.framework = Some(name.to_owned());
        self.output.text.begin(Open::Object);
        self.output.text.key("tasks");
        self.output.text.begin(Open::List);
        self.output.checkpoint()
    }

    fn task(&mut self, name: &str, id: &str) -> Result<(), ReaderGone> {
        self.end_task();
        self.task_is_open = true;
        self.output.text.begin(Open::Object);
        self.output.text.pair("name", name);
        self.output.text.pair("id", id);
        self.output.text.key("records");
        self.output.text.begin(Open::List);
        self.output.checkpoint()
    }

    fn record(&mut self, name: &str, host: &str, rtype: &str) -> Result<(), ReaderGone> {
        self.output.text.begin(Open::Object);
        self.output.text.pair("name", name);
        self.output.text.pair("host", host);
        self.output.text.pair("rtype", rtype);
        self.output.text.end(Close::Object);
        self.output.checkpoint()
    }
}

#[cfg(test)]
mod tests {
    use super::super::stream;
    use super::*;

    #[test]
    fn shape_is_that_of_upstream_and_empty_lists_are_lists() {
        let text = stream::whole(|output| {
            output.text.begin(Open::List);
            let mut writer = Writer {
                output,
                framework: None,
                task_is_open: false,
            };
            writer.framework("marathon")?;
            writer.task("web", "web.1")?;
            writer.record("web.marathon.mesos.", "10.0.0.1", "A")?;
            writer.task("web", "web.2")?;
            writer.framework("idle")?;
            writer.end_framework();
            output.text.end(Close::List);
            Ok(())
        });
        let read: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(
            read,
            serde_json::json!([
                {"tasks": [
                    {"name": "web", "id": "web.1", "records": [
                        {"name": "web.marathon.mesos.", "host": "10.0.0.1", "rtype": "A"}]},
                    {"name": "web", "id": "web.2", "records": []}],
                 "name": "marathon"},
                {"tasks": [], "name": "idle"}])
        );
    }
}
