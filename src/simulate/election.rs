//! The election among masters, in a real ZooKeeper. In: `zk://`, and what a master writes there of
//! itself. Out: words: who leads. It must never keep a leader that ZooKeeper has forgotten.

use std::convert::Infallible;
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::Sender;
use tokio::sync::oneshot;
use zookeeper_client::{
    Acl, Acls, AuthId, Client, CreateMode, CreateOptions, Error, OneshotWatcher, Permission,
    SessionState, StateWatcher,
};

use super::options::SimulateError;
use super::term::Word;
use crate::limits::{SIMULATE_ZK_CLOSE_MS_MAX, SIMULATE_ZK_RETRY_MS};

/// Where masters are elected.
#[derive(Clone, PartialEq, Eq)]
pub struct ZkUrl {
    /// `HOST:PORT,...`
    hosts: String,
    /// Begins with `/` and does not end with one.
    path: String,
    /// `USER:PASSWORD` of the scheme `digest`.
    credentials: Option<String>,
}

/// A master's part in the election, on a thread of its own.
pub struct Election {
    thread: Option<JoinHandle<()>>,
    end: Option<oneshot::Sender<End>>,
}

/// How a part in the election ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The session is closed: the master's node is gone at once.
    Close,
    /// As when the process is killed: the node stays until the session has expired.
    Abandon,
}

impl ZkUrl {
    pub fn parse(text: &str) -> Result<Self, SimulateError> {
        let rest = text
            .strip_prefix("zk://")
            .ok_or(SimulateError::Zk("does not begin with zk://"))?;
        let (credentials, rest) = match rest.rsplit_once('@') {
            Some((credentials, rest)) => (Some(credentials.to_owned()), rest),
            None => (None, rest),
        };
        let (hosts, path) = rest
            .split_once('/')
            .ok_or(SimulateError::Zk("has no path"))?;
        let path = path.trim_end_matches('/');
        if hosts.is_empty() || path.is_empty() {
            return Err(SimulateError::Zk("needs hosts and a path"));
        }
        if credentials.as_ref().is_some_and(|pair| !pair.contains(':')) {
            return Err(SimulateError::Zk("has a user without a password"));
        }
        Ok(Self {
            hosts: hosts.to_owned(),
            path: format!("/{path}"),
            credentials,
        })
    }
}

impl Election {
    /// `born` gives what the master's node holds, for each session anew.
    pub fn start(
        url: ZkUrl,
        session: Duration,
        born: impl FnMut() -> String + Send + 'static,
        words: Sender<Word>,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (end, ended) = oneshot::channel();
        let candidate = Candidate {
            url,
            session,
            node: String::new(),
            words,
        };
        let thread = std::thread::Builder::new()
            .name("simulate-zk".to_owned())
            .spawn(move || {
                runtime.block_on(candidate.stand(born, ended));
                // An abandoned session is never told goodbye: its connection just ends.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            thread: Some(thread),
            end: Some(end),
        })
    }

    /// Returns when the thread is gone.
    pub fn end(&mut self, how: End) {
        if let Some(end) = self.end.take() {
            // It may have ended by itself.
            let _ = end.send(how);
        }
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("the election's thread had panicked");
        }
    }
}

struct Candidate {
    url: ZkUrl,
    session: Duration,
    node: String,
    words: Sender<Word>,
}

impl Candidate {
    /// One session after the other, until the end. A real master exits with its session and is started
    /// anew, with another id.
    async fn stand(mut self, mut born: impl FnMut() -> String, mut ended: oneshot::Receiver<End>) {
        let pause = Duration::from_millis(SIMULATE_ZK_RETRY_MS);
        loop {
            self.node = born();
            let connected = tokio::select! {
                _ = &mut ended => return,
                connected = self.connect() => connected,
            };
            let error = match connected {
                Err(error) => error,
                Ok(client) => tokio::select! {
                    end = &mut ended => {
                        if end == Ok(End::Close) {
                            close(client).await;
                        }
                        return;
                    }
                    Err(error) = self.campaign(&client) => error,
                },
            };
            tracing::debug!("no part in the election: {error}");
            self.say(Word::NoLeader);
            tokio::select! {
                _ = &mut ended => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn connect(&self) -> Result<Client, Error> {
        let mut connector = Client::connector().with_session_timeout(self.session);
        if let Some(credentials) = &self.url.credentials {
            connector = connector.with_auth("digest", credentials.as_bytes());
        }
        connector.connect(&self.url.hosts).await
    }

    /// Registers, and says who leads for as long as the session lasts.
    async fn campaign(&self, client: &Client) -> Result<Infallible, Error> {
        let path = &self.url.path;
        let readable = [
            Acl::new(Permission::ALL, AuthId::authed()),
            Acl::new(Permission::READ, AuthId::anyone()),
        ];
        // As real masters do it: with credentials everyone reads and they alone write.
        let acls = match self.url.credentials {
            Some(_) => Acls::new(&readable),
            None => Acls::anyone_all(),
        };
        let persistent = CreateMode::Persistent.with_acls(acls);
        client.mkdir(path, &persistent).await?;
        let options = CreateMode::EphemeralSequential.with_acls(acls);
        let prefix = format!("{path}/{PREFIX}");
        let (_, own) = client
            .create(&prefix, self.node.as_bytes(), &options)
            .await?;
        let mut states = client.state_watcher();
        let mut told = None;
        loop {
            let looked = self.look(client, own.into_i64(), &persistent).await;
            let changed = match looked {
                Ok((leader, changed)) => {
                    leader.into_iter().for_each(|one| self.tell(one, &mut told));
                    changed
                }
                Err(Error::ConnectionLoss) => {
                    self.reconnect(client, &mut states).await?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            // Until the masters differ, or may.
            tokio::select! {
                _ = changed.changed() => {}
                state = states.changed() => match state {
                    SessionState::SyncConnected => {}
                    SessionState::Disconnected => {
                        self.reconnect(client, &mut states).await?;
                    }
                    _ => return Err(Error::SessionExpired),
                },
            }
        }
    }

    /// Who leads, where that can be said, and what tells that it may differ.
    async fn look(
        &self,
        client: &Client,
        own: i64,
        persistent: &CreateOptions<'_>,
    ) -> Result<(Option<Leader>, OneshotWatcher), Error> {
        let path = &self.url.path;
        let (children, changed) = client.list_and_watch_children(path).await?;
        let lowest = children.iter().filter_map(|child| sequence(child)).min();
        // Somebody removed the node of this very session.
        let (sequence, child) = lowest.ok_or(Error::SessionExpired)?;
        if sequence == own {
            // Real masters keep their log's members beside the masters. Here it also tells whether
            // anybody has led before.
            let log = format!("{path}/log_replicas");
            let is_first = match client.create(&log, b"", persistent).await {
                Ok(_) => true,
                Err(Error::NodeExists) => false,
                Err(error) => return Err(error),
            };
            return Ok((Some(Leader::Own { is_first }), changed));
        }
        let leader = match client.get_data(&format!("{path}/{child}")).await {
            // Of a session of its own that ZooKeeper has not forgotten yet.
            Ok((data, _)) => {
                let leader = address(&data);
                let own = address(self.node.as_bytes());
                Some(Leader::Other(leader.filter(|it| Some(it) != own.as_ref())))
            }
            // It went between the two questions, which the watch tells as well.
            Err(Error::NoNode) => None,
            Err(error) => return Err(error),
        };
        Ok((leader, changed))
    }

    /// The connection is lost. Who led leads on until ZooKeeper must have forgotten this session, and
    /// then never again in it.
    async fn reconnect(&self, client: &Client, states: &mut StateWatcher) -> Result<(), Error> {
        let connected = async |states: &mut StateWatcher| {
            let mut state = states.peek_state();
            loop {
                match state {
                    SessionState::SyncConnected => return Ok(()),
                    SessionState::Disconnected => state = states.changed().await,
                    _ => return Err(Error::SessionExpired),
                }
            }
        };
        let session = client.session_timeout();
        tokio::time::timeout(session, connected(states))
            .await
            .unwrap_or(Err(Error::SessionExpired))
    }

    fn tell(&self, leader: Leader, told: &mut Option<Leader>) {
        let is_same = match (&leader, &*told) {
            (Leader::Own { .. }, Some(Leader::Own { .. })) => true,
            (leader, Some(told)) => leader == told,
            (_, None) => false,
        };
        if is_same {
            return;
        }
        self.say(match &leader {
            Leader::Own { is_first } => Word::Lead {
                is_first: *is_first,
            },
            Leader::Other(Some(address)) => Word::Follow(address.clone()),
            Leader::Other(None) => Word::NoLeader,
        });
        *told = Some(leader);
    }

    fn say(&self, word: Word) {
        // Nobody listens any more where the master stops.
        let _ = self.words.send(word);
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Leader {
    Own {
        is_first: bool,
    },
    /// `HOST:PORT`, where its node says it.
    Other(Option<String>),
}

/// Closes the session, so that the node is gone when this returns, if ZooKeeper answers.
async fn close(client: Client) {
    let mut states = client.state_watcher();
    drop(client);
    let closed = async { while !states.changed().await.is_terminated() {} };
    let limit = Duration::from_millis(SIMULATE_ZK_CLOSE_MS_MAX);
    let _ = tokio::time::timeout(limit, closed).await;
}

/// The number of a master's node, to order them by, and its name.
fn sequence(child: &str) -> Option<(i64, &str)> {
    let number = child.strip_prefix(PREFIX)?.parse().ok()?;
    Some((number, child))
}

fn address(data: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(data).ok()?;
    let address = value.get("address")?;
    let host = address.get("hostname").or_else(|| address.get("ip"))?;
    let port = address.get("port")?.as_u64()?;
    let host = host.as_str()?;
    // IPv6 has brackets in an address with a port (RFC 3986, 3.2.2).
    Some(match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    })
}

const PREFIX: &str = "json.info_";
