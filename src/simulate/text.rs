//! How ids, names and states of the made-up cluster are spelled, the same in all of a master's
//! documents. In: parts of a Cluster. Out: `Display`. PURE.

use std::fmt::{self, Display, Formatter};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::cluster::{App, Task, TaskState};
use super::plan::{Docker, IdStyle};

/// 128 bits as a UUID of version 4 is written.
pub struct Uuid(pub u128);

impl Display for Uuid {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let bits = self.0 & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
        let mut text = [b'-'; 36];
        let mut shift = 128;
        for (index, octet) in text.iter_mut().enumerate() {
            if ![8, 13, 18, 23].contains(&index) {
                shift -= 4;
                *octet = DIGITS[(bits >> shift) as usize & 15];
            }
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// 128 bits as protobuf's JSON writes octets.
pub struct Base64(pub u128);

impl Display for Base64 {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // 16 octets are 24 characters.
        let mut text = [0; 24];
        let written = STANDARD.encode_slice(self.0.to_be_bytes(), &mut text);
        let text = text.get(..written.unwrap_or(0)).unwrap_or_default();
        f.write_str(std::str::from_utf8(text).unwrap_or_default())
    }
}

/// Text between the quotes of a JSON string: names may come from a request.
pub struct Json<'a>(pub &'a str);

impl Display for Json<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let needs_escape = |octet: u8| octet < b' ' || octet == b'"' || octet == b'\\';
        if !self.0.bytes().any(needs_escape) {
            return f.write_str(self.0);
        }
        for letter in self.0.chars() {
            match letter {
                '"' | '\\' => write!(f, "\\{letter}")?,
                '\0'..'\x20' => write!(f, "\\u{:04x}", letter as u32)?,
                _ => write!(f, "{letter}")?,
            }
        }
        Ok(())
    }
}

/// The id of a task, in its framework's style.
pub struct TaskId<'a>(pub &'a App, pub &'a Task);

impl Display for TaskId<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(app, task) = self;
        let (name, instance) = (&app.plan.name, task.instance);
        match app.plan.style {
            IdStyle::Marathon => {
                // Marathon turns the path of the application's id around for the task's name.
                for (index, part) in name.rsplit('.').enumerate() {
                    let separator = if index > 0 { "_" } else { "" };
                    write!(f, "{separator}")?;
                    for (index, piece) in part.split('/').enumerate() {
                        let separator = if index > 0 { "_" } else { "" };
                        write!(f, "{separator}{}", Json(piece))?;
                    }
                }
                write!(f, ".instance-{}._app.1", Uuid(instance))
            }
            IdStyle::Pod => write!(f, "shop_cart.instance-{}.{}", Uuid(instance), Json(name)),
            IdStyle::Chronos => write!(
                f,
                "ct:{}{:03}:0:{}:",
                task.started,
                instance as u32 % 1_000,
                Json(name)
            ),
            IdStyle::Plain => write!(f, "{}", instance as u32),
        }
    }
}

/// The id of a task's executor, where it has one of its own: pods share one.
pub struct ExecutorId<'a>(pub &'a Task);

impl Display for ExecutorId<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "instance-shop_cart.{}", Uuid(self.0.instance))
    }
}

/// The id of the container that runs a task.
pub fn container_id(task: &Task) -> Uuid {
    Uuid(task.instance.rotate_left(64))
}

/// The member `container`, with a comma before it; empty where a task has none.
pub fn container(app: &App) -> &'static str {
    match app.plan.docker {
        Docker::None => "",
        Docker::Host => {
            r#","container":{"type":"DOCKER","docker":{"image":"example/app:1","network":"HOST","privileged":false}}"#
        }
        Docker::Bridge => {
            r#","container":{"type":"DOCKER","docker":{"image":"example/app:1","network":"BRIDGE","privileged":false}}"#
        }
        Docker::User => {
            r#","container":{"type":"DOCKER","docker":{"image":"example/app:1","network":"USER","privileged":false}}"#
        }
    }
}

pub fn state_name(state: TaskState) -> &'static str {
    match state {
        TaskState::Staging => "TASK_STAGING",
        TaskState::Running => "TASK_RUNNING",
        TaskState::Unreachable => "TASK_UNREACHABLE",
        TaskState::Killed => "TASK_KILLED",
        TaskState::Lost => "TASK_LOST",
    }
}

/// The member `discovery`, with a comma before it: the same in `/state` and in the v1 API.
pub fn write_discovery(out: &mut impl fmt::Write, app: &App, task: &Task) -> fmt::Result {
    write!(
        out,
        r#","discovery":{{"visibility":"FRAMEWORK","name":"{}","ports":{{"ports":["#,
        Json(&app.plan.name)
    )?;
    for index in 0..app.plan.ports {
        let comma = if index > 0 { "," } else { "" };
        let number = task.port + u16::from(index);
        let name = app.plan.port_names.get(usize::from(index)).unwrap_or(&"");
        let protocol = if name == &"metrics" { "udp,tcp" } else { "tcp" };
        write!(out, r#"{comma}{{"number":{number}"#)?;
        if !name.is_empty() {
            write!(out, r#","name":"{name}""#)?;
        }
        write!(out, r#","protocol":"{protocol}"}}"#)?;
    }
    out.write_str("]}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_as_uuids() {
        let text = Uuid(u128::MAX).to_string();
        assert_eq!(text, "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

    #[test]
    fn octets_are_written_as_protobuf_does() {
        assert_eq!(Base64(0).to_string(), "AAAAAAAAAAAAAAAAAAAAAA==");
    }

    #[test]
    fn names_of_strangers_stay_inside_their_string() {
        let name = "a\"b\\c\n\u{1}é";
        let text = format!("\"{}\"", Json(name));
        let read: String = serde_json::from_str(&text).expect("a JSON string");
        assert_eq!(read, name);
    }
}
