//! A ZooKeeper session: the nodes at a path, read once and kept up by watches. In: members to connect
//! to. Out: what is registered, and when to look again. It must never ask for what it knows.
//!
//! The session outlives its connections. The next member is told which watches stood and what we have
//! seen, and says first what changed meanwhile.

use std::collections::HashMap;
use std::ops::Range;

use tokio::time::Instant;

use super::MasterInfo;
use super::connection::Connection;
use super::fault::Fault;
use super::protocol::{self, EventKind, Request, Said, SessionKey};
use super::registered::{self, Names, Unreadable};
use crate::config::ZkUrl;
use crate::config::zk::ZkMember;
use crate::limits::ZK_ANSWER;

/// A session and what it has read.
pub struct Session {
    url: ZkUrl,
    key: SessionKey,
    connection: Option<Connection>,
    /// The last change that we saw.
    seen_zxid: i64,
    /// Of the last request.
    number: i32,
    /// What was listed last.
    names: Names,
    path_exists: bool,
    /// Whether a watch stands for what `names` holds.
    listed: bool,
    /// Of `names`, those that were read.
    nodes: HashMap<Box<str>, Node>,
}

/// A master's node.
struct Node {
    /// The change that it had last (mzxid), to tell of a fault once.
    changed: i64,
    master: Result<MasterInfo, Unreadable>,
}

/// What is registered at the path.
pub struct Found {
    pub path_exists: bool,
    /// The leader first.
    pub masters: Vec<MasterInfo>,
    /// Nodes that give no master: name, change, why.
    pub unreadable: Vec<(Box<str>, i64, Unreadable)>,
    /// Nodes of the old binary form.
    pub binary_count: usize,
    /// Nodes beyond the bound.
    pub left_out_count: usize,
}

impl Found {
    /// No master can be read, and one of them for want of permission.
    pub fn is_denied(&self) -> bool {
        let mut unreadable = self.unreadable.iter();
        self.masters.is_empty() && unreadable.any(|(_, _, why)| *why == Unreadable::Denied)
    }
}

/// The answer to one request: its body, or the error's code.
type Answer = Result<Vec<u8>, i32>;

impl Session {
    pub fn new(url: ZkUrl) -> Self {
        Self {
            url,
            key: SessionKey::default(),
            connection: None,
            seen_zxid: 0,
            number: 0,
            names: Names::default(),
            path_exists: false,
            listed: false,
            nodes: HashMap::new(),
        }
    }

    /// Connects to a member and sets the watches again that stood before.
    pub async fn connect(&mut self, member: &ZkMember) -> Result<(), Fault> {
        self.connection = None;
        let connection = Connection::open(member, &mut self.key, self.seen_zxid).await?;
        let connection = self.connection.insert(connection);
        if let Some(credentials) = &self.url.credentials {
            let frame = protocol::authenticate(&credentials.user, &credentials.password);
            connection.send(&frame).await?;
        }
        if self.listed || !self.nodes.is_empty() {
            self.set_watches().await?;
        }
        Ok(())
    }

    pub fn disconnect(&mut self) {
        self.connection = None;
    }

    /// The session is no more, and with it its watches.
    pub fn forget(&mut self) {
        self.disconnect();
        self.key = SessionKey::default();
        // A new session is a change of its own, which its member has seen before it answers.
        self.seen_zxid = 0;
        self.listed = false;
        self.nodes.clear();
    }

    /// Reads what is not known yet.
    pub async fn read(&mut self) -> Result<Found, Fault> {
        loop {
            if !self.listed {
                self.list().await?;
            }
            self.read_nodes().await?;
            // An event between the answers leaves something to read, and nobody would say it again.
            if self.listed && self.unread().next().is_none() {
                return Ok(self.found());
            }
        }
    }

    /// Waits until something must be read anew, or for the deadline.
    pub async fn next(&mut self, deadline: Option<Instant>) -> Result<(), Fault> {
        loop {
            let connection = self.connection.as_mut().ok_or(Fault::HungUp)?;
            let Some(frame) = connection.receive(deadline).await? else {
                return Ok(());
            };
            match protocol::read_said(&frame)? {
                Said::Event { kind, path } => {
                    if self.note(kind, path) {
                        return Ok(());
                    }
                }
                said => self.note_aside(&said)?,
            }
        }
    }

    /// Nodes that could not be read for want of permission are asked for again.
    pub fn forget_denied(&mut self) {
        self.nodes
            .retain(|_, node| node.master != Err(Unreadable::Denied));
    }

    /// Ends it, where there is a connection to do so.
    pub async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.close().await;
        }
    }

    async fn list(&mut self) -> Result<(), Fault> {
        let path = self.url.path.clone();
        loop {
            match self.ask_one(Request::Children(&path)).await? {
                Ok(body) => {
                    self.names = registered::sorted(protocol::read_children(&body)?);
                    let names = &self.names.json;
                    let is_listed = |name: &str| names.iter().any(|(_, listed)| **listed == *name);
                    self.nodes.retain(|name, _| is_listed(name));
                    self.path_exists = true;
                    break;
                }
                Err(protocol::NO_NODE) => match self.ask_one(Request::Exists(&path)).await? {
                    // It came between the two questions.
                    Ok(_) => {}
                    Err(protocol::NO_NODE) => {
                        self.names = Names::default();
                        self.nodes.clear();
                        self.path_exists = false;
                        break;
                    }
                    Err(code) => return Err(Fault::of_code(code)),
                },
                Err(code) => return Err(Fault::of_code(code)),
            }
        }
        // Events that came before the answer were those of an earlier watch.
        self.listed = true;
        Ok(())
    }

    /// Names listed of which it is not known what they hold.
    fn unread(&self) -> impl Iterator<Item = &str> {
        let names = self.names.json.iter().map(|(_, name)| &**name);
        names.filter(|name| !self.nodes.contains_key(*name))
    }

    /// Reads the nodes that are not known. Each is known from its answer on: an event behind it makes
    /// that one old, while others are still waited for.
    async fn read_nodes(&mut self) -> Result<(), Fault> {
        let unread: Vec<Box<str>> = self.unread().map(Box::from).collect();
        let paths: Vec<String> = unread.iter().map(|name| self.path_of(name)).collect();
        let requests: Vec<_> = paths.iter().map(|path| Request::Data(path)).collect();
        let (numbers, deadline) = self.ask(&requests).await?;
        for (name, number) in unread.into_iter().zip(numbers) {
            let node = match self.answer(number, deadline).await? {
                Ok(body) => {
                    let (data, changed) = protocol::read_data(&body)?;
                    let master = registered::read_master(data);
                    Node { changed, master }
                }
                Err(protocol::NO_NODE) => {
                    // It went between the listing and the reading.
                    self.listed = false;
                    continue;
                }
                Err(protocol::NO_AUTH) => Node {
                    changed: 0,
                    master: Err(Unreadable::Denied),
                },
                Err(code) => return Err(Fault::of_code(code)),
            };
            self.nodes.insert(name, node);
        }
        Ok(())
    }

    /// What the watches missed is told before the answer.
    async fn set_watches(&mut self) -> Result<(), Fault> {
        let is_watched = |node: &&Node| node.master != Err(Unreadable::Denied);
        let nodes = self.nodes.iter().filter(|(_, node)| is_watched(node));
        let data: Vec<String> = nodes.map(|(name, _)| self.path_of(name)).collect();
        let path = [self.url.path.clone()];
        let (exist, children): (&[String], &[String]) = match (self.listed, self.path_exists) {
            (false, _) => (&[], &[]),
            (true, false) => (&path, &[]),
            (true, true) => (&[], &path),
        };
        let request = Request::SetWatches {
            since_zxid: self.seen_zxid,
            data: &data,
            exist,
            children,
        };
        match self.ask_one(request).await? {
            Ok(_) => Ok(()),
            Err(code) => Err(Fault::of_code(code)),
        }
    }

    async fn ask_one(&mut self, request: Request<'_>) -> Result<Answer, Fault> {
        let (numbers, deadline) = self.ask(&[request]).await?;
        self.answer(numbers.start, deadline).await
    }

    /// Asks for all before the first answer is waited for, since the server answers in order; gives
    /// their numbers, and until when they are to be answered.
    async fn ask(
        &mut self,
        requests: &[Request<'_>],
    ) -> Result<(Range<i32>, Option<Instant>), Fault> {
        let connection = self.connection.as_mut().ok_or(Fault::HungUp)?;
        let count = i32::try_from(requests.len()).unwrap_or(i32::MAX);
        let first = self.number.checked_add(1).unwrap_or(1);
        // At the end of the numbers they begin anew.
        let first = first.checked_add(count).map_or(1, |_| first);
        let numbers = first..first.saturating_add(count);
        let mut frames = Vec::new();
        for (request, number) in requests.iter().zip(numbers.clone()) {
            frames.extend(protocol::request(number, *request));
            self.number = number;
        }
        connection.send(&frames).await?;
        Ok((numbers, Some(Instant::now() + ZK_ANSWER)))
    }

    async fn answer(&mut self, expected: i32, deadline: Option<Instant>) -> Result<Answer, Fault> {
        loop {
            let connection = self.connection.as_mut().ok_or(Fault::HungUp)?;
            let frame = connection.receive(deadline).await?.ok_or(Fault::Silent)?;
            match protocol::read_said(&frame)? {
                Said::Answer {
                    number,
                    zxid,
                    error,
                    body,
                } if number == expected => {
                    // Some answers know of no change.
                    self.seen_zxid = self.seen_zxid.max(zxid);
                    return match error {
                        protocol::OK => Ok(Ok(body.to_vec())),
                        code => Ok(Err(code)),
                    };
                }
                // The answer that is waited for comes after it, and is newer.
                Said::Event { kind, path } => _ = self.note(kind, path),
                said => self.note_aside(&said)?,
            }
        }
    }

    /// What is neither an event nor the answer that is waited for.
    fn note_aside(&mut self, said: &Said<'_>) -> Result<(), Fault> {
        match said {
            Said::Auth { error } if *error != protocol::OK => Err(Fault::Refused),
            Said::Answer { error, .. } if *error != protocol::OK => Err(Fault::of_code(*error)),
            Said::Answer { .. } => Err(Fault::Nonsense("an answer that nobody asked for")),
            _ => Ok(()),
        }
    }

    /// Forgets what an event says is old; true where something must be read anew.
    fn note(&mut self, kind: EventKind, path: &str) -> bool {
        if path == self.url.path {
            self.listed &= kind == EventKind::Other;
            return !self.listed;
        }
        let name = path.strip_prefix(&self.url.path);
        let Some(name) = name.and_then(|rest| rest.strip_prefix('/')) else {
            return false;
        };
        // The watch on the path says it of a node that ended too, a moment later.
        self.listed &= kind != EventKind::Deleted;
        self.nodes.remove(name).is_some() || !self.listed
    }

    fn path_of(&self, name: &str) -> String {
        format!("{}/{name}", self.url.path)
    }

    fn found(&self) -> Found {
        let mut found = Found {
            path_exists: self.path_exists,
            masters: Vec::new(),
            unreadable: Vec::new(),
            binary_count: self.names.binary_count,
            left_out_count: self.names.left_out_count,
        };
        for (_, name) in &self.names.json {
            let Some(node) = self.nodes.get(name) else {
                continue;
            };
            match &node.master {
                Ok(master) => found.masters.push(master.clone()),
                Err(why) => {
                    found
                        .unreadable
                        .push((name.clone(), node.changed, why.clone()));
                }
            }
        }
        found
    }
}
