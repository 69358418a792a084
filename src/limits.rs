//! Every bound of the program, with its unit and its reason; relations between them are checked
//! when it compiles.

mod clients;
mod live;
mod poison;
mod rates;
mod simulate;

use std::time::Duration;

pub use clients::*;
pub use live::*;
pub use poison::*;
pub use rates::*;
pub use simulate::*;

/// A domain name on the wire, with its root label (RFC 1035, 2.3.4).
pub const NAME_BYTES_MAX: usize = 255;
/// One label (RFC 1035, 2.3.4).
pub const LABEL_BYTES_MAX: usize = 63;
/// One label with `EnforceRFC952` (RFC 952, assumption 1).
pub const LABEL_RFC952_BYTES_MAX: usize = 24;
/// UDP without EDNS (RFC 1035, 4.2.1).
pub const UDP_PLAIN_BYTES_MAX: usize = 512;
/// The size that we state in EDNS, and the largest UDP answer that we send: fits every link of an
/// MTU of 1280 without fragments (DNS flag day 2020).
pub const UDP_EDNS_BYTES_MAX: usize = 1232;
/// The largest UDP query that is read; EDNS padding and cookies make them longer than 512.
pub const UDP_QUERY_BYTES_MAX: usize = 4096;
/// A DNS message over TCP: its length is two octets (RFC 1035, 4.2.2).
pub const TCP_MESSAGE_BYTES_MAX: usize = 65_535;

/// Datagrams that one system call receives or sends. 16 to 256 measured alike; 64 keeps the buffers
/// of one worker within the second-level cache.
pub const UDP_BATCH_DATAGRAMS: usize = 64;
/// Asked of the kernel for each UDP socket; default buffers lose packets in bursts.
pub const UDP_SOCKET_BUFFER_BYTES: usize = 4 << 20;
/// Batches that one worker answers before it looks at TCP again: some 4 ms at 4 us a datagram.
pub const UDP_BATCHES_PER_TURN_MAX: usize = 16;
/// Batches that one worker still answers when it stops: more than a full socket buffer holds.
pub const UDP_BATCHES_AT_STOP_MAX: usize = 256;
/// One batch of datagrams in so many is timed. Two looks at the clock are 90 ns, a fortieth of what a query
/// alone costs with its system calls; in this way they are a three-hundredth.
pub const UDP_TIMED_BATCHES_PART: u32 = 8;
/// After a kernel or a route refused several answers as one message, so many batches go one by one.
pub const UDP_SEGMENTS_PAUSE_BATCHES: u32 = 65_536;
/// How long a worker waits for room to send before it gives up the rest of a batch; meanwhile
/// queries wait in the socket's buffer.
pub const UDP_SEND_WAIT_MS: u16 = 5;
/// UDP sockets of one worker.
pub const UDP_SOCKETS_PER_WORKER_MAX: usize = 32;
/// Buffers that an io_uring engine receives into, per worker, shared out to its sockets: what may come
/// while a batch is answered.
pub const URING_BUFFERS: usize = 256;
/// Entries that can be queued: a batch of answers, a receive for each socket, one watch.
pub const URING_SUBMISSIONS: u32 = 128;
/// Completions that can wait: a message in each buffer, and failed entries.
pub const URING_COMPLETIONS: u32 = 1024;
/// Threads that answer; more than any affinity mask that the C library can express.
pub const WORKERS_MAX: usize = 1024;
/// Addresses of `Listener`: more than a host of a cluster has, few enough that one system call waits
/// for the sockets of all at once.
pub const LISTENERS_MAX: usize = 16;
/// Addresses of this host that get sockets of their own beside a wildcard listener; what is sent to the
/// rest comes in on the wildcard's. Under load each saves 2 to 4 % of a query; but each socket that a
/// worker sleeps on costs 1 % of a query that comes alone, 15 % for 16 of them.
pub const WILDCARD_SOCKETS_MAX: usize = 4;
/// The part of the descriptors that the process may have open which they take at most.
pub const WILDCARD_DESCRIPTORS_PART: usize = 4;
/// Where port 0 was asked for: attempts to find one that is free for UDP and TCP alike.
pub const PORT_PICKS_MAX: usize = 32;
/// A port in use is tried again for so long, and so often.
pub const PORT_PATIENCE: Duration = Duration::from_secs(1);
pub const PORT_RETRY: Duration = Duration::from_millis(20);

/// Queries that one worker has under way to upstreams; past it the oldest gives up. One client has half of
/// them at most (`forward::flights`).
pub const FORWARD_FLIGHTS_MAX: usize = 4096;
/// Clients that wait for them, where several asked the same.
pub const FORWARD_WAITERS_MAX: usize = 4 * FORWARD_FLIGHTS_MAX;
/// Octets of all their messages: 16 MiB a worker.
pub const FORWARD_PENDING_BYTES_MAX: usize = 16 << 20;
/// What comes in one turn beyond those bounds may wait as well; past it the answer is SERVFAIL.
pub const FORWARD_FLIGHTS_HARD_MAX: usize = 2 * FORWARD_FLIGHTS_MAX;
/// A worker that stops waits so long for what it asked of upstreams.
pub const FORWARD_AT_STOP_MAX: Duration = Duration::from_millis(300);
/// Times that one query is sent.
pub const FORWARD_ATTEMPTS_MAX: usize = 12;
/// Forwarded queries of one TCP connection that are under way; past it no further query of it is read.
pub const FORWARD_PER_CONNECTION_MAX: usize = 128;
/// An answer that has expired is given to a client that waits for so long (RFC 8767, 5: 1.8 s).
pub const FORWARD_STALE_AFTER: Duration = Duration::from_millis(1_800);
/// An upstream that did not answer so many queries in a row is down.
pub const UPSTREAM_DOWN_AFTER: u32 = 3;
/// How long one upstream's reply is waited for before another is asked too: its smoothed RTT and four
/// variations, but no shorter (a scheduler's hiccup on this host is no failure of theirs) and no longer.
pub const UPSTREAM_PATIENCE_MIN: Duration = Duration::from_millis(3);
pub const UPSTREAM_PATIENCE_MAX: Duration = Duration::from_millis(400);
/// The same for one that has not answered yet.
pub const UPSTREAM_PATIENCE_FIRST: Duration = Duration::from_millis(100);
/// Where all were asked they are asked again after this, and then after twice as long each time.
pub const UPSTREAM_REPEAT_AFTER: Duration = Duration::from_millis(400);
/// Between two tries of an upstream that is down; doubled each time up to the last.
pub const UPSTREAM_PROBE_WAIT_MIN: Duration = Duration::from_secs(1);
pub const UPSTREAM_PROBE_WAIT_MAX: Duration = Duration::from_secs(30);
/// UDP sockets of one worker to one upstream: what a forger has to guess beside the ID.
pub const UPSTREAM_SOCKETS_MAX: usize = 8;
/// UDP sockets of one worker to all upstreams.
pub const UPSTREAM_SOCKETS_PER_WORKER_MAX: usize = 64;
/// The part of the descriptors that the process may have open which all workers' take at most.
pub const UPSTREAM_DESCRIPTORS_PART: usize = 4;
/// A socket is given up for one with another port after so many queries, or this time.
pub const UPSTREAM_SOCKET_QUERIES_MAX: u32 = 4096;
pub const UPSTREAM_SOCKET_AGE_MAX: Duration = Duration::from_secs(60);
/// Queries of one socket, or connection, to an upstream whose replies are waited for.
pub const UPSTREAM_PENDING_PER_SOCKET_MAX: usize = 2048;
/// A reply that comes later than this tells nothing any more.
pub const UPSTREAM_LATE_MAX: Duration = Duration::from_secs(5);
/// Replies that are read of one socket before others have their turn.
pub const UPSTREAM_REPLIES_PER_TURN_MAX: usize = 16;
/// Flights that are looked after in one turn: each may cost a system call or two, some 4 us, while which
/// queries to the table wait.
pub const FLIGHTS_PER_TURN_MAX: usize = 64;
/// A connection to an upstream that nothing is asked on is closed after this (RFC 7766, 6.2.3).
pub const UPSTREAM_STREAM_IDLE_MAX: Duration = Duration::from_secs(10);
/// An upstream through which our own query came back is not asked for so long.
pub const LOOP_SHUNNED: Duration = Duration::from_secs(30);
/// Between two tries whether an upstream leads back to us.
pub const LOOP_PROBE_WAIT: Duration = Duration::from_secs(5);
/// How often leftovers are looked for: late replies, idle connections.
pub const FORWARD_SWEEP: Duration = Duration::from_secs(1);

/// TCP connections that one worker keeps; past it one of the client that has most of them is closed, the
/// one that was idle longest.
pub const TCP_CONNECTIONS_MAX: usize = 1024;
/// A TCP connection without a complete query is closed after this (RFC 7766, 6.2.3: seconds).
pub const TCP_IDLE_MS: u64 = 10_000;
/// Octets of answers that wait for a slow TCP reader; past it no further query of it is read.
pub const TCP_PENDING_BYTES_MAX: usize = 4 * TCP_MESSAGE_BYTES_MAX;
/// Connections that wait to be accepted, in the kernel, per worker.
pub const TCP_BACKLOG_CONNECTIONS: i32 = 1024;
/// Connections accepted before a worker looks at UDP again.
pub const TCP_ACCEPTS_PER_TURN_MAX: usize = 64;
/// TCP queries that one worker answers before it looks at UDP again. The largest answers take some
/// 20 us each, so UDP waits for at most a few milliseconds.
pub const TCP_QUERIES_PER_TURN_MAX: usize = 64;
/// The share of one connection in it, so that a pipeline does not hold up the others; a client's
/// connections share it, and have one query each at least.
pub const TCP_QUERIES_PER_CONNECTION_TURN_MAX: usize = 16;
/// No accept for this long after one failed for want of descriptors or memory.
pub const TCP_ACCEPT_PAUSE_MS: u64 = 100;
/// First size of a connection's input: many ordinary queries, and 2 MiB for all connections.
pub const TCP_INPUT_BYTES_MIN: usize = 2048;
/// Buffers of a connection that are larger than this are freed as soon as they are empty.
pub const TCP_OUTPUT_KEPT_BYTES_MAX: usize = 4096;

/// Default bound on a state document. The largest seen has 112 MB for 100,000 tasks.
pub const STATE_BYTES_MAX_DEFAULT: u64 = 1 << 30;
/// One object (task, agent, framework without its tasks) of the state document.
pub const STATE_OBJECT_BYTES_MAX: usize = 16 << 20;
/// What is read of the state document at once: stays in the second-level cache, holds 200 tasks.
pub const STATE_CUT_BUFFER_BYTES: usize = 256 << 10;
/// Nesting of the state document; the original refused the same depth.
pub const JSON_DEPTH_MAX: u32 = 10_000;
/// What is read of the event stream at once: many small events, or a piece of the snapshot.
pub const RECORD_BUFFER_BYTES: usize = 64 << 10;
/// Digits of a record's length: as many as fit in 64 bits without a check for each.
pub const RECORD_LENGTH_DIGITS_MAX: usize = 19;
/// Events that are handed on at once.
pub const EVENT_BATCH_MAX: usize = 256;
/// Batches of events that wait for the refresh thread; then the stream is read no further, until the
/// master's own patience ends.
pub const EVENT_BATCHES_WAITING_MAX: usize = 64;
/// Answer to a question about the master itself; real ones have some 600 octets.
pub const MASTER_ANSWER_BYTES_MAX: u64 = 1 << 20;
/// Redirects and changes of leader that one refresh follows before it calls them a circle.
pub const LEADER_HOPS_MAX: usize = 3;
/// Subscribing costs a master a whole snapshot, so that no host asks for two at once; the bound up to
/// which the wait is drawn doubles from the first to the last of these.
pub const STREAM_RETRY_FLOOR: Duration = Duration::from_millis(500);
pub const STREAM_RETRY_FIRST: Duration = Duration::from_secs(1);
pub const STREAM_RETRY_MAX: Duration = Duration::from_secs(60);
/// A stream that lasted so long was a good one: the next failure counts as the first.
pub const STREAM_GOOD: Duration = Duration::from_secs(60);
/// A master that has no stream is asked again after this: it may have been replaced by a newer one.
pub const STREAM_MISSING_RETRY: Duration = Duration::from_secs(600);
/// After ZooKeeper told of another leader, its first subscribers are spread over this.
pub const STREAM_NEW_LEADER_SPREAD: Duration = Duration::from_millis(500);
/// Heartbeats that a stream may miss; then it is cut.
pub const STREAM_HEARTBEATS_MISSED_MAX: u32 = 5;
/// Before the first table, a stream that takes longer than this to begin is helped by a poll.
pub const STREAM_FIRST_PATIENCE: Duration = Duration::from_secs(10);
/// Before the first table of a stream, so long is waited for frameworks' pids.
pub const PIDS_WAIT: Duration = Duration::from_secs(2);
/// After an event that did not fit, the check comes this soon, but not more often than once in the
/// time below.
pub const CHECK_SOON: Duration = Duration::from_secs(2);
pub const CHECK_SOON_EVERY: Duration = Duration::from_secs(60);
/// Differences that a check mends object by object; more of them, and more than a tenth of all tasks,
/// say that the stream is not to be trusted, or the document is not: then a new snapshot decides.
pub const CHECK_MENDED_MAX: usize = 100;
/// Differences that a check logs one by one.
pub const CHECK_LOGGED_MAX: usize = 10;
/// How long the tasks of an agent that came back after a failover may take to be told of again. They
/// come with it; this is for a master in trouble. And the agents that are missing when enough are back
/// are waited for until none has come for so long.
pub const HOLD_SETTLE: Duration = Duration::from_secs(5);
/// A file of the warm start that is longer is not read: 100,000 tasks make some 40 MB.
pub const WARM_START_BYTES_MAX: u64 = 2 << 30;
/// The records are written this soon after the first table, and not more often than once in the time
/// below; where the thread that writes is busy or spares the disk, it is tried again.
pub const WARM_SAVE_FIRST: Duration = Duration::from_secs(5);
pub const WARM_SAVE_EVERY: Duration = Duration::from_secs(60);
pub const WARM_SAVE_RETRY: Duration = Duration::from_secs(5);
/// Records that are older say nothing of which agents should come back after a failover.
pub const WARM_HOLD_AGE_MAX: Duration = Duration::from_secs(24 * 3600);
/// Held tasks whose names `/v1/status` shows.
pub const HELD_TASKS_SHOWN_MAX: usize = 16;
/// Wait after the first failed fetch; doubled with each further one, shortened at random by up to
/// half, so that the hosts of a cluster do not fall upon a master that just came back.
pub const RETRY_FIRST: Duration = Duration::from_millis(250);
/// The longest wait between failed fetches (or `RefreshSeconds`, where that is shorter).
pub const RETRY_MAX: Duration = Duration::from_secs(30);
/// A master that does not take a connection in this time is passed over for the next one.
pub const MASTER_CONNECT_MS: u64 = 5_000;
/// A file of certificates, a secret or a service account: the bundle of all public authorities has
/// a quarter of a million octets.
pub const WATCHED_FILE_BYTES_MAX: u64 = 4 << 20;
/// A file written less than this ago is read again before each request: file times advance in steps,
/// of a second on some network file systems, so that the next write may look the same.
pub const FILE_SETTLE: Duration = Duration::from_secs(2);
/// One log-in at the endpoint of a service account, from connecting to the last octet.
pub const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);
/// What the endpoint may answer: a token has one or two thousand octets.
pub const LOGIN_ANSWER_BYTES_MAX: u64 = 64 << 10;
/// How long what we sign for a log-in is good; mesos-dns claims the same.
pub const LOGIN_CLAIM: Duration = Duration::from_secs(3600);
/// Wait after the first failed log-in; doubled and shortened at random like that of `RETRY_FIRST`.
pub const LOGIN_RETRY_FIRST: Duration = Duration::from_millis(250);
/// The longest wait between failed log-ins. Shorter than `RETRY_MAX`, so that it never adds to it.
pub const LOGIN_RETRY_MAX: Duration = Duration::from_secs(10);
/// A token that masters refuse sooner than this after it came is not refused for its age: another
/// one would fare no better, and one round may ask many masters.
pub const LOGIN_AFTER_REFUSAL_MIN: Duration = Duration::from_secs(1);
/// How long a token is used that does not say when it ends.
pub const TOKEN_LIFETIME_DEFAULT: Duration = Duration::from_secs(300);
/// How long any token is used, whatever it says.
pub const TOKEN_LIFETIME_MAX: Duration = Duration::from_secs(86_400);
/// A token is renewed when a fifth of its lifetime is left, or this; up to half of that later at
/// random, so that hosts that started together do not log in together.
pub const TOKEN_RENEWAL_MAX: Duration = Duration::from_secs(300);
/// ZooKeeper session that is asked for. A silent member is noticed after 2/5 of what is granted, 8 s,
/// and an idle session pings every 4 s: 1,250 pings a second of 5,000 hosts, for the whole ensemble.
pub const ZK_SESSION: Duration = Duration::from_secs(20);
/// The shortest session that is kept up, whatever is granted; ZooKeeper's own least is two ticks.
pub const ZK_SESSION_MIN: Duration = Duration::from_millis(200);
/// From the first octet to the session, which is a write that a majority must take.
pub const ZK_CONNECT: Duration = Duration::from_secs(4);
/// A member that answers pings but no question for so long is left.
pub const ZK_ANSWER: Duration = Duration::from_secs(10);
/// Out of touch for longer than this is told: the fall of one member is over in less.
pub const ZK_LOST: Duration = Duration::from_secs(2);
/// Longest wait after a first connection that failed or was lost; doubled with each further one. The
/// wait itself is drawn from zero up: thousands of hosts lose ZooKeeper in the same moment.
pub const ZK_RETRY_FIRST: Duration = Duration::from_millis(100);
pub const ZK_RETRY_MAX: Duration = Duration::from_secs(10);
/// A stop waits so long for the end of the session; what is not ended then expires by itself.
pub const ZK_CLOSE: Duration = Duration::from_millis(300);
/// A stop waits so long for the thread.
pub const ZK_STOP: Duration = Duration::from_secs(1);
/// A frame of ZooKeeper's: four times its own default bound on what it stores (jute.maxbuffer), for a
/// list may be longer than that. 4 MiB list 150,000 nodes.
pub const ZK_FRAME_BYTES_MAX: usize = 4 << 20;
/// Room for what is read of ZooKeeper at once: an ordinary cluster's nodes together.
pub const ZK_READ_BYTES: usize = 4 << 10;
/// Masters that are read; real clusters have up to seven, and each costs a watch.
pub const ZK_MASTERS_MAX: usize = 64;
/// One master's node: ZooKeeper's own default bound (jute.maxbuffer). Real ones have 400 octets.
pub const ZK_NODE_BYTES_MAX: usize = 1 << 20;
/// Host names (of schedulers, agents, masters) that are looked up; most clusters have none.
pub const HOST_NAMES_MAX: usize = 10_000;
/// Threads that wait for the system's resolver: a few, so that one dead name does not hold up all.
pub const HOST_LOOKUP_THREADS: usize = 4;
/// How long a refresh waits for look-ups; what comes later counts at the next one.
pub const HOST_WAIT_MS: u64 = 2_000;
/// How long an answer of the system's resolver, good or bad, is used before it is asked again.
pub const HOST_ANSWER_MS: u64 = 60_000;
/// Lines that one refresh may log about objects that it could not use.
pub const FAULTS_LOGGED_MAX: usize = 20;
/// Objects left out of the records that are remembered one by one, for `explain`.
pub const SKIPPED_KEPT_MAX: usize = 10_000;
/// Text that such an object may leave behind in its id, its name and the reason.
pub const SKIPPED_TEXT_BYTES_MAX: usize = 200;
/// The running tasks stand in so many groups of so many shards: a change copies one shard (100
/// tasks of 100,000) and the pointers of the groups and of one group.
pub const TASK_GROUPS: usize = 32;
pub const TASK_GROUP_SHARDS: usize = 32;
/// Ports that one task may hold in its ranges; a longer list is cut, counted and explained.
pub const TASK_PORTS_MAX: usize = 65_535;
/// PTR records that one address is answered with, sorted (more help nobody and fill packets).
pub const PTR_RECORDS_MAX: usize = 8;
/// Changes that a table may lack to be changed further in the place of a copy of the present one.
pub const SPARE_BEHIND_MAX: usize = 16;
/// And octets of their shards: a refresh that touches all shards would otherwise keep the table of
/// each of the last times, while copying rows of pointers costs little beside such a change.
pub const SPARE_BEHIND_BYTES_MAX: usize = 6 << 20;
/// Buffers of replaced shards that are kept for others.
pub const SPARE_BUFFERS_MAX: usize = 256;
/// Names that a shard should hold: so few that a change copies about 40 KiB for each name that it
/// touches, so many that a look-up finds the row of pointers in the first-level caches. 128 cost a
/// fifth of a look-up of a name that is in no cache, and 512 twice what 128 cost a change.
pub const SHARD_NAMES_WANTED: usize = 256;
/// Octets of a block of the warm-start file, before packing: each is unpacked by one thread, and there
/// are enough of them for all.
pub const SAVED_BLOCK_BYTES: usize = 1 << 20;
/// Octets that any block of it may unpack to: the cluster of 100,000 tasks has 30 MB.
pub const SAVED_BYTES_MAX: u64 = 4 << 30;
/// SRV targets that the compiler remembers; a thousand stay in the first-level caches.
pub const KNOWN_TARGETS_MAX: usize = 1024;
/// Octets of an entry on average, in a large cluster; only a hint for reserving memory.
pub const ENTRY_BYTES_EXPECTED: usize = 150;
/// log2 of the most groups of 64 shards that a table has.
pub const TABLE_GROUP_BITS_MAX: u32 = 14;
/// Addresses of one SRV target that are kept for the additional section: a TCP answer of 65,535
/// octets holds no more.
pub const TARGET_ADDRESSES_MAX: usize = 4096;
/// The file of StaticRecords: what stands in it is read, and compiled, in one go on the refresh thread.
pub const STATIC_FILE_BYTES_MAX: u64 = 8 << 20;
/// Its records: more are a zone of their own, which a name server should have.
pub const STATIC_RECORDS_MAX: usize = 65_536;
/// Data of one TXT record of it: an answer of 1232 octets holds no more, and DKIM keys have 800.
pub const STATIC_TEXT_BYTES_MAX: usize = 4096;
/// How often the file is looked at; it is read when it stayed the same from one look to the next.
pub const STATIC_LOOK_EVERY: Duration = Duration::from_millis(500);
/// One string of a TXT record: its length is an octet (RFC 1035, 3.3).
pub const TEXT_BYTES_MAX: usize = 255;
/// CNAMEs that one answer follows: no sensible chain is longer, and circles end.
pub const CNAME_HOPS_MAX: usize = 8;
/// A name with more records than this finds them through an index instead of one by one. Small in
/// tests, whose names have few records.
pub const OWNER_SCAN_RECORDS_MAX: usize = if cfg!(test) { 2 } else { 32 };
/// Records that `explain` shows of one name, and the sources that it shows of one record.
pub const EXPLAIN_RECORDS_MAX: usize = 64;
pub const EXPLAIN_SOURCES_MAX: usize = 8;
/// Tasks without the name asked for, and near names, that `explain` lists.
pub const EXPLAIN_CANDIDATES_MAX: usize = 16;

/// Compression pointers of one name: it has no more labels than this, and each pointer should save one.
pub const NAME_POINTERS_MAX: usize = 127;
/// How often a reply's answer section is walked along a chain of CNAMEs: once where its records stand
/// in the chain's order, as nearly all do.
pub const CHAIN_WALKS_MAX: usize = 8;
/// One cached answer takes no more than this part of the cache of a thread: it would push out what many
/// others wait for.
pub const CACHE_ENTRY_PART: usize = 8;
/// What a cached answer costs beside its key and its octets: a place of 112 octets in the cache's list, a
/// third of one that remembers what was evicted, both in the table, two allocations.
pub const CACHE_ENTRY_OVERHEAD_BYTES: usize = 200;
/// What one weighs with all that: half as many evicted ones are remembered as there is room for these.
pub const CACHE_ENTRY_BYTES_EXPECTED: usize = 384;
/// And one address of a short name, the least.
pub const CACHE_ENTRY_BYTES_MIN: usize = CACHE_ENTRY_OVERHEAD_BYTES + 32;
/// Places reserved when a cache is made, at most: memory is touched as they fill, but growing would copy
/// them while queries wait.
pub const CACHE_RESERVED_ENTRIES_MAX: usize = 1 << 22;
/// Expired answers are kept so long for when no resolver answers (RFC 8767, 5: one to three days).
pub const CACHE_STALE_SECONDS_MAX: u64 = 86_400;
/// TTL of such an answer (RFC 8767, 4).
pub const CACHE_STALE_TTL_SECONDS: u32 = 30;
/// Answers that live shorter are not asked for ahead: clients return too late for it to help.
pub const CACHE_PREFETCH_LIFE_SECONDS_MIN: u32 = 10;
/// The last part of an answer's life, in which it is asked for ahead.
pub const CACHE_PREFETCH_PART: u64 = 10;
/// So many hits make a name worth it.
pub const CACHE_PREFETCH_HITS_MIN: u8 = 2;

/// A token of `HttpToken`: twice what the longest that real issuers give have.
pub const HTTP_TOKEN_BYTES_MAX: usize = 4096;
/// HTTP connections at one time; more wait in the kernel's queue until one ends.
pub const HTTP_CONNECTIONS_MAX: usize = 256;
/// Of them one client's, by its address: a browser has 6 and a proxy keeps some dozens, and three clients
/// that take all they can leave places for others. This host's own programs are one client too.
pub const HTTP_CONNECTIONS_PER_CLIENT_MAX: usize = 64;
/// Body of an HTTP request. No route reads one; clients that send one all the same get an answer, and
/// nothing waits for the rest of it.
pub const HTTP_REQUEST_BODY_BYTES_MAX: u64 = 64 << 10;
/// Head of an HTTP request: the longest name, percent-encoded, with ordinary headers, many times.
pub const HTTP_REQUEST_HEAD_BYTES_MAX: usize = 32 << 10;
/// Headers of an HTTP request: browsers behind proxies send some 40.
pub const HTTP_REQUEST_HEADERS_MAX: usize = 100;
/// Time for the head of one HTTP request (slowloris), from the connection's begin or the last answer: so
/// it is also how long a connection is kept without a request.
pub const HTTP_HEAD_MS_MAX: u64 = 10_000;
/// An HTTP connection on which nothing moves is closed after this. Event streams send a heartbeat every
/// few seconds.
pub const HTTP_IDLE_MS: u64 = 60_000;
/// An answer for which the client's side has no room: so long, if it takes less than the octets below
/// meanwhile. A client on a bad line takes a thousand octets a second.
pub const HTTP_WRITE_MS_MAX: u64 = 20_000;
pub const HTTP_WRITE_BYTES_MIN: usize = 16 << 10;
/// What the kernel may hold of answers to one client; its own bound is 4 MiB, 1 GiB for all of them.
pub const HTTP_SEND_BUFFER_BYTES: usize = 256 << 10;
/// How long a browser remembers that a page may send a request.
pub const HTTP_PREFLIGHT_SECONDS: u32 = 600;
/// HTTP answers of unbounded length (axfr, enumerate) written at one time, each on its thread.
pub const HTTP_STREAMS_MAX: usize = 4;
/// How long a request for such an answer waits for its turn before it gets a 503.
pub const HTTP_STREAM_WAIT_MS: u64 = 10_000;
/// One streamed answer may take this long: it holds a generation of the table.
pub const HTTP_STREAM_MS_MAX: u64 = 120_000;
/// A chunk of a streamed answer; with `HTTP_CHUNKS_WAITING_MAX` what a slow reader makes us hold.
pub const HTTP_CHUNK_BYTES: usize = 64 << 10;
pub const HTTP_CHUNKS_WAITING_MAX: usize = 4;
/// Rows of a hosts or services answer that are written at once, on the server's thread; a longer
/// answer is streamed. 4,096 rows take about a millisecond.
pub const HTTP_ROWS_AT_ONCE_MAX: usize = 4096;
/// A stop waits this long for HTTP answers under way, and once more for their threads. With the time
/// of the refresh thread all is over within 2 s, which is what service managers are told.
pub const HTTP_STOP_MS_MAX: u64 = 500;
/// Different errors of one kind of work that are told once and counted: masters fail each in their way.
pub const REPEATED_ERRORS_MAX: usize = 8;
/// An error that goes on is told again after this, with how often it came.
pub const REPEATED_TOLD_EVERY: Duration = Duration::from_secs(600);
/// What may fail again at once, such as an accept without descriptors, is over after so long without an
/// error.
pub const REPEATED_QUIET: Duration = Duration::from_secs(10);
/// Answers that wait to be logged: 1.3 MB, and 80,000 a second between two looks.
pub const QUERY_LOG_RECORDS_MAX: usize = 4096;
/// How often the thread that logs them looks for some.
pub const QUERY_LOG_LOOK: Duration = Duration::from_millis(50);
/// A table that loses more than this part of its names at one time is told of, where it had so many: the
/// masters may have lost what they know.
pub const SHRINKAGE_PART: usize = 4;
pub const SHRINKAGE_NAMES_MIN: usize = 20;
/// A stop waits this long for the refresh thread, which may be writing the records to disk.
pub const REFRESH_STOP_MAX: Duration = Duration::from_millis(700);

/// Where sockets were open before the process, what waits there waits so long for the first records, which
/// a warm start has at once: longer than a small cluster's state takes, shorter than clients wait.
pub const FIRST_RECORDS_MAX: Duration = Duration::from_secs(2);
/// How often the service manager's status line is looked at.
pub const SERVICE_TICK: Duration = Duration::from_secs(1);
/// And after it was said to be ready.
pub const SERVICE_FIRST_LOOK: Duration = Duration::from_millis(100);
/// The threads are asked whether they go round so many times within the watchdog's time: one that is held
/// up for as long as one of them, by a debugger or a slow disk, costs no restart.
pub const WATCHDOG_PARTS: u32 = 4;
/// Words to the thread that speaks with the service manager; more say nothing new.
pub const SERVICE_WORDS_MAX: usize = 16;

/// What a forwarded query gets where `Timeout` is 0: what mesos-dns's library does with that.
pub const FORWARD_TIMEOUT_OF_ZERO: Duration = Duration::from_secs(2);
/// Nameservers of /etc/resolv.conf that are asked; the C library takes three.
pub const RESOLV_CONF_NAMESERVERS_MAX: usize = 8;
/// What is read of /etc/resolv.conf; real ones have some hundred octets.
pub const RESOLV_CONF_BYTES_MAX: u64 = 64 << 10;
/// How often /etc/resolv.conf is looked at: what a DHCP client writes counts after this.
pub const RESOLV_CONF_CHECK: Duration = Duration::from_secs(1);
/// How often the host's interfaces are, of which a host of many containers has thousands.
pub const INTERFACES_CHECK: Duration = Duration::from_secs(5);

const _: () =
    assert!(UDP_BATCH_DATAGRAMS + UDP_SOCKETS_PER_WORKER_MAX < URING_SUBMISSIONS as usize);
const _: () = assert!(URING_BUFFERS + 2 * URING_SUBMISSIONS as usize <= URING_COMPLETIONS as usize);
const _: () = assert!(URING_BUFFERS >= 2 * UDP_BATCH_DATAGRAMS);
const _: () = assert!(2 * HTTP_STOP_MS_MAX + (REFRESH_STOP_MAX.as_millis() as u64) < 2_000);
const _: () = assert!(HTTP_CONNECTIONS_PER_CLIENT_MAX < HTTP_CONNECTIONS_MAX);
const _: () = assert!(HTTP_WRITE_MS_MAX < HTTP_IDLE_MS);
const _: () = assert!(UDP_PLAIN_BYTES_MAX <= UDP_EDNS_BYTES_MAX);
const _: () = assert!(RESOLV_CONF_CHECK.as_millis() <= INTERFACES_CHECK.as_millis());
const _: () = assert!(UDP_EDNS_BYTES_MAX <= UDP_QUERY_BYTES_MAX);
const _: () = assert!(UDP_QUERY_BYTES_MAX <= TCP_MESSAGE_BYTES_MAX);
// A connection with nothing pending has room for the largest answer and its length.
const _: () = assert!(2 + TCP_MESSAGE_BYTES_MAX <= TCP_PENDING_BYTES_MAX);
const _: () = assert!(TCP_INPUT_BYTES_MIN <= 2 + TCP_MESSAGE_BYTES_MAX);
const _: () = assert!(TCP_QUERIES_PER_CONNECTION_TURN_MAX <= TCP_QUERIES_PER_TURN_MAX);
const _: () = assert!(LOGIN_RETRY_MAX.as_millis() <= RETRY_MAX.as_millis());
const _: () = assert!(TOKEN_LIFETIME_DEFAULT.as_millis() <= TOKEN_LIFETIME_MAX.as_millis());
const _: () = assert!(ZK_CLOSE.as_millis() < ZK_STOP.as_millis());
const _: () = assert!(ZK_NODE_BYTES_MAX < ZK_FRAME_BYTES_MAX);
const _: () = assert!(ZK_SESSION_MIN.as_millis() <= ZK_SESSION.as_millis());
const _: () = assert!(ZK_RETRY_FIRST.as_millis() <= ZK_RETRY_MAX.as_millis());
// A negative answer with the longest names and an OPT record fits the smallest limit: header,
// question, SOA with two names of 255 octets would not, so compile checks SOA names instead.
const _: () = assert!(NAME_BYTES_MAX + 16 < UDP_PLAIN_BYTES_MAX);
