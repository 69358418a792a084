//! A connection with one member of the ensemble. In: a member, a session to take up or to make. Out:
//! frames both ways, and the pings that keep the session. It must never wait without a bound.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::fault::Fault;
use super::protocol::{self, SessionKey};
use crate::config::zk::ZkMember;
use crate::limits::{ZK_CLOSE, ZK_CONNECT, ZK_READ_BYTES, ZK_SESSION, ZK_SESSION_MIN};

pub struct Connection {
    stream: TcpStream,
    /// Octets of frames that are not complete yet.
    input: Vec<u8>,
    /// How long the member may be silent.
    silence_max: Duration,
    heard: Instant,
    sent: Instant,
}

impl Connection {
    /// Connects, and takes the session up; or makes one where the key is empty. The key is then that of
    /// the session.
    pub async fn open(
        member: &ZkMember,
        key: &mut SessionKey,
        seen_zxid: i64,
    ) -> Result<Self, Fault> {
        let opened = timeout(ZK_CONNECT, Self::open_slowly(member, key, seen_zxid)).await;
        opened.unwrap_or(Err(Fault::NoConnection))
    }

    async fn open_slowly(
        member: &ZkMember,
        key: &mut SessionKey,
        seen_zxid: i64,
    ) -> Result<Self, Fault> {
        let stream = TcpStream::connect((member.host.as_str(), member.port))
            .await
            .map_err(|error| Fault::Connect(error.to_string()))?;
        // Requests are small and waited for.
        stream.set_nodelay(true)?;
        let now = Instant::now();
        let mut connection = Self {
            stream,
            input: Vec::new(),
            silence_max: ZK_CONNECT,
            heard: now,
            sent: now,
        };
        let timeout_ms = i32::try_from(ZK_SESSION.as_millis()).unwrap_or(i32::MAX);
        let hello = protocol::connect(key, seen_zxid, timeout_ms);
        connection.send(&hello).await?;
        let answer = loop {
            if let Some(frame) = protocol::take_frame(&mut connection.input)? {
                break frame;
            }
            connection.read_some().await?;
        };
        let granted = protocol::read_granted(&answer)?.ok_or(Fault::Expired)?;
        *key = granted.key;
        let timeout = Duration::from_millis(granted.timeout_ms.into());
        connection.silence_max = timeout.clamp(ZK_SESSION_MIN, ZK_SESSION) * 2 / 5;
        Ok(connection)
    }

    pub async fn send(&mut self, frames: &[u8]) -> Result<(), Fault> {
        let sent = timeout(self.silence_max, self.stream.write_all(frames)).await;
        sent.map_err(|_| Fault::Silent)??;
        self.sent = Instant::now();
        Ok(())
    }

    /// The next frame, or none where the deadline comes first. Pings meanwhile.
    pub async fn receive(&mut self, deadline: Option<Instant>) -> Result<Option<Vec<u8>>, Fault> {
        loop {
            if let Some(frame) = protocol::take_frame(&mut self.input)? {
                return Ok(Some(frame));
            }
            let ping_at = self.sent + self.silence_max / 2;
            let silent_at = self.heard + self.silence_max;
            let wake_at = deadline.map_or(ping_at, |deadline| deadline.min(ping_at));
            match timeout_at(wake_at.min(silent_at), self.read_some()).await {
                Ok(read) => read?,
                Err(_) if Instant::now() >= silent_at => return Err(Fault::Silent),
                Err(_) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                    return Ok(None);
                }
                Err(_) => self.send(&protocol::ping()).await?,
            }
        }
    }

    /// Ends the session, so that the ensemble need not wait for it to expire.
    pub async fn close(mut self) {
        let end = async {
            self.send(&protocol::close_session()).await?;
            // The server hangs up behind its answer.
            loop {
                self.read_some().await?;
                self.input.clear();
            }
        };
        // An error is what is waited for.
        let _: Result<Result<(), Fault>, _> = timeout(ZK_CLOSE, end).await;
    }

    async fn read_some(&mut self) -> Result<(), Fault> {
        self.input.reserve(ZK_READ_BYTES);
        match self.stream.read_buf(&mut self.input).await? {
            0 => Err(Fault::HungUp),
            _ => {
                self.heard = Instant::now();
                Ok(())
            }
        }
    }
}
