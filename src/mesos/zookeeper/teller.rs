//! Tells and logs, each thing once. In: what was found, and what is wrong. Out: calls of `tell` and
//! lines in the log. It must never say the same twice in a row, nor a password.

use std::collections::HashSet;

use tokio::time::Instant;
use tracing::{info, warn};

use super::session::Found;
use super::{MasterInfo, Told};
use crate::config::ZkUrl;

/// Why ZooKeeper cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No session; what is wrong with each member.
    Unreachable(String),
    /// Our authentication is not accepted.
    Refused,
    /// The path or all that is in it may not be read.
    Denied,
}

pub struct Teller {
    url: ZkUrl,
    tell: Box<dyn Fn(Told) + Send>,
    masters: Option<Vec<MasterInfo>>,
    lost: Option<Lost>,
    /// Nodes told of as faulty and still so, with the change that they had.
    faults: HashSet<(Box<str>, i64)>,
    /// What was said of the path as a whole and is still so.
    remark: Option<String>,
}

struct Lost {
    trouble: Trouble,
    since: Instant,
    failure_count: u64,
}

impl Teller {
    pub fn new(url: ZkUrl, tell: Box<dyn Fn(Told) + Send>) -> Self {
        Self {
            url,
            tell,
            masters: None,
            lost: None,
            faults: HashSet::new(),
            remark: None,
        }
    }

    pub fn is_unreachable(&self) -> bool {
        let trouble = self.lost.as_ref().map(|lost| &lost.trouble);
        matches!(trouble, Some(Trouble::Unreachable(_)))
    }

    /// Tells of a trouble, once for as long as it is of the same kind.
    pub fn lost(&mut self, trouble: Trouble) {
        let kind = std::mem::discriminant(&trouble);
        let told = self.lost.as_ref().map(|lost| &lost.trouble);
        if told.is_some_and(|told| std::mem::discriminant(told) == kind) {
            return;
        }
        let text = self.text_of(&trouble);
        warn!("{text}; what is known of the masters stays");
        let before = self.lost.take();
        self.lost = Some(Lost {
            trouble,
            since: before.as_ref().map_or_else(Instant::now, |lost| lost.since),
            failure_count: before.map_or(0, |lost| lost.failure_count),
        });
        (self.tell)(Told::Lost(text));
    }

    /// An attempt failed; the log has the sum when ZooKeeper is back.
    pub fn count_failure(&mut self) {
        if let Some(lost) = &mut self.lost {
            lost.failure_count += 1;
        }
    }

    /// Tells of the masters where they differ from those told last, or where ZooKeeper was lost.
    pub fn found(&mut self, found: Found) {
        let restored = self.lost.take();
        if let Some(lost) = &restored {
            info!(
                "ZooKeeper {} answers again, after {} s and {} attempts",
                self.url,
                lost.since.elapsed().as_secs(),
                lost.failure_count
            );
            (self.tell)(Told::Restored);
        }
        self.log_faults(&found);
        self.log_remark(&found);
        if restored.is_none() && self.masters.as_ref() == Some(&found.masters) {
            return;
        }
        if let Some(leader) = found.masters.first() {
            let count = found.masters.len();
            info!("ZooKeeper: {} leads, of {count} masters", leader.endpoint);
        }
        self.masters = Some(found.masters.clone());
        (self.tell)(Told::Masters(found.masters));
    }

    /// A node that gives no master is told of when it is met first and when it has changed.
    fn log_faults(&mut self, found: &Found) {
        let mut present = HashSet::new();
        for (name, changed, why) in &found.unreadable {
            let key = (name.clone(), *changed);
            if !self.faults.contains(&key) {
                warn!("ZooKeeper: {}/{name} is passed over: {why}", self.url.path);
            }
            present.insert(key);
        }
        self.faults = present;
    }

    fn log_remark(&mut self, found: &Found) {
        let remark = self.remark_of(found);
        if let Some(remark) = &remark
            && self.remark.as_ref() != Some(remark)
        {
            warn!("ZooKeeper: {remark}");
        }
        self.remark = remark;
    }

    fn remark_of(&self, found: &Found) -> Option<String> {
        let path = &self.url.path;
        let has_json = !found.masters.is_empty() || !found.unreadable.is_empty();
        if !found.path_exists {
            return Some(format!(
                "{path} does not exist; it is waited for (Mesos masters make it; is it the path of their --zk?)"
            ));
        }
        if found.left_out_count > 0 {
            let count = found.left_out_count;
            return Some(format!("{count} nodes too many at {path} are passed over"));
        }
        if has_json {
            return None;
        }
        Some(match found.binary_count {
            0 => format!("no master is registered at {path}"),
            _ => format!(
                "the masters at {path} register in the binary form of Mesos before 0.24, which cannot be \
                 read; list them in Masters"
            ),
        })
    }

    fn text_of(&self, trouble: &Trouble) -> String {
        let url = &self.url;
        let user = url
            .credentials
            .as_ref()
            .map(|credentials| &credentials.user);
        match (trouble, user) {
            (Trouble::Unreachable(why), _) => {
                format!("ZooKeeper {url} cannot be asked: {why}; start it or correct Zk")
            }
            (Trouble::Refused, Some(user)) => {
                format!("ZooKeeper {url} refuses user {user:?}; correct user and password in Zk")
            }
            (Trouble::Refused, None) => {
                format!("ZooKeeper {url} wants a user; {GIVE_USER}")
            }
            (Trouble::Denied, Some(user)) => format!(
                "ZooKeeper {url} does not let user {user:?} read {} (NoAuth): correct user and password in \
                 Zk, or let its ACL grant read",
                url.path
            ),
            (Trouble::Denied, None) => format!(
                "ZooKeeper {url} does not let everybody read {} (NoAuth): let its ACL grant read, or \
                 {GIVE_USER}",
                url.path
            ),
        }
    }
}

const GIVE_USER: &str = "give a user in Zk, as in zk://user:password@host:2181/path";
