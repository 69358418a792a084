//! Every family of metrics, with its meaning. In: nothing. Out: names, kinds and texts, for the text of
//! `/metrics` and the table of the README, which a test compares. None may be left out of `FAMILIES`.

use super::sheet::{Family, Kind, Measure};

macro_rules! families {
    ($($ident:ident = $kind:ident $name:literal in $measure:ident by [$($label:literal),*]: $help:literal;)*) => {
        $(pub const $ident: Family = Family {
            name: $name,
            measure: Measure::$measure,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
        };)*

        /// All of them, in the order in which they are written.
        pub const FAMILIES: &[Family] = &[$($ident),*];
    };
}

families! {
    BUILD = Info "rollcall_build" in Count by ["version"]:
        "the version that runs";
    ENGINE = Info "rollcall_engine" in Count by ["engine"]:
        "how datagrams are moved; none where DNS is off";
    READY = Gauge "rollcall_ready" in Count by []:
        "1 while /readyz says yes";
    QUERIES = Counter "rollcall_dns_queries" in Count by ["transport", "type"]:
        "messages received; type unread: its question was not read";
    RESPONSES = Counter "rollcall_dns_responses" in Count by ["transport", "rcode"]:
        "answers, also such as were waited for";
    ROUTED = Counter "rollcall_dns_routed" in Count by ["route"]:
        "answers by where they come from: table, special (localhost, invalid, onion), chaos, not_ready, refused, fault, cache, stale (expired, no resolver answers), forwarded (waited for), failed (no resolver answered), limited (TC or BADCOOKIE in place of one above RateLimit)";
    TRUNCATED = Counter "rollcall_dns_truncated" in Count by []:
        "answers with TC";
    DROPPED = Counter "rollcall_dns_dropped" in Count by ["reason"]:
        "messages without an answer: not_a_query (a response, or too short), rate_limited (above RateLimit), no_forwarder, send_failed (the system refused the answer)";
    OVERSIZED = Counter "rollcall_dns_oversized" in Count by []:
        "datagrams longer than 4096 octets, answered FORMERR";
    SOCKET_DROPS = Gauge "rollcall_udp_socket_drops" in Count by []:
        "datagrams that the UDP sockets that are open lost since they were opened, because they were not read in time";
    ANSWER_DURATION = Histogram "rollcall_dns_answer_duration" in Seconds by ["transport"]:
        "time of answers given at once, from where the kernel handed over the query to where it got the answer; of datagrams one batch in 8 is timed, each answer taking as long as its batch. The wait in the socket's buffer is not in it";
    FORWARDED_DURATION = Histogram "rollcall_dns_forwarded_duration" in Seconds by []:
        "time of answers that were waited for, from the query to the answer";
    RECEIVE_ERRORS = Counter "rollcall_dns_receive_errors" in Count by []:
        "receive calls that failed";
    SHORT_SENDS = Counter "rollcall_dns_short_sends" in Count by []:
        "times that the kernel took a part of a batch of answers";
    WORKER_RESTARTS = Counter "rollcall_worker_restarts" in Count by []:
        "answering threads that failed and were started again; any is a defect";
    TCP_OPEN = Gauge "rollcall_tcp_connections" in Count by []:
        "TCP connections of DNS clients that are open";
    TCP_ACCEPTED = Counter "rollcall_tcp_connections_accepted" in Count by []:
        "TCP connections accepted";
    TCP_CLOSED = Counter "rollcall_tcp_connections_closed" in Count by ["reason"]:
        "TCP connections closed; evicted: of a client with most of them, idle longest, when all places were taken and another client came; own_share: the same where the client itself came; lifetime: used for an hour";
    TCP_ACCEPT_ERRORS = Counter "rollcall_tcp_accept_errors" in Count by []:
        "times that none could be accepted: out of descriptors or memory";
    FORWARDED = Counter "rollcall_forward_queries" in Count by []:
        "names that other resolvers were asked for";
    FORWARD_FAILURES = Counter "rollcall_forward_failures" in Count by []:
        "of them: no resolver had a usable answer in time";
    FORWARD_OVERFLOWS = Counter "rollcall_forward_overflows" in Count by []:
        "queries given up, because too many were under way";
    FORWARD_OVER_SHARE = Counter "rollcall_forward_over_share" in Count by []:
        "queries that nobody was asked for, because their client had as many under way as there was room left for all others";
    FORWARD_IN_FLIGHT = Gauge "rollcall_forward_in_flight" in Count by []:
        "names that others are asked for at present";
    CACHE_HITS = Counter "rollcall_cache_hits" in Count by []:
        "answers of others that were remembered";
    CACHE_MISSES = Counter "rollcall_cache_misses" in Count by []:
        "names that were not";
    CACHE_STALE = Counter "rollcall_cache_stale_answers" in Count by []:
        "expired answers given, because no resolver answered";
    CACHE_PREFETCHES = Counter "rollcall_cache_prefetches" in Count by []:
        "names asked for anew before they expired, or after";
    CACHE_BYTES = Gauge "rollcall_cache" in Bytes by []:
        "what the cache holds";
    CACHE_BYTES_MAX = Gauge "rollcall_cache_limit" in Bytes by []:
        "CacheBytes";
    UPSTREAM_QUERIES = Counter "rollcall_upstream_queries" in Count by ["upstream"]:
        "queries sent to a resolver, repeated ones and probes of one that is down among them";
    UPSTREAM_FAILURES = Counter "rollcall_upstream_failures" in Count by ["upstream"]:
        "replies that did not come in time, and packets that the system refused";
    UPSTREAM_IN_FLIGHT = Gauge "rollcall_upstream_in_flight" in Count by ["upstream"]:
        "queries whose reply is waited for";
    UPSTREAM_DOWN = Gauge "rollcall_upstream_down_threads" in Count by ["upstream"]:
        "answering threads that find it down and ask it only beside others";
    UPSTREAM_LOOPING = Gauge "rollcall_upstream_looping" in Count by ["upstream"]:
        "1: it leads back to this server and is not asked";
    UPSTREAM_RTT = Histogram "rollcall_upstream_rtt" in Seconds by ["upstream"]:
        "round trips";
    TABLE_NAMES = Gauge "rollcall_table_names" in Count by []:
        "names that are served";
    TABLE_RECORDS = Gauge "rollcall_table_records" in Count by ["type"]:
        "records that are served";
    TABLE_BYTES = Gauge "rollcall_table" in Bytes by []:
        "finished answers in memory";
    TABLE_SERIAL = Gauge "rollcall_table_serial" in Count by []:
        "serial of the SOA";
    TABLE_PUBLISHED = Gauge "rollcall_table_published_timestamp" in Seconds by []:
        "when they last changed, since 1970";
    TABLE_PUBLISHES = Counter "rollcall_table_publishes" in Count by []:
        "times that they changed";
    TABLE_BUILD = Counter "rollcall_table_build" in Seconds by []:
        "time that this took, all times together";
    TABLE_BUILD_LAST = Gauge "rollcall_table_build_last" in Seconds by []:
        "time that it took the last time";
    NAMES_LEFT_OUT = Gauge "rollcall_names_left_out" in Count by []:
        "names that are not served because they cannot be; `rollcall explain` says why";
    NAME_COLLISIONS = Gauge "rollcall_name_collisions" in Count by ["reason"]:
        "names that several would have: reserved (a framework or task wants one that is; it gets none), of_another (a framework wants one of a framework whose own name has fewer labels; its records are kept aside), shared (several frameworks have one name)";
    OBJECTS_SKIPPED = Gauge "rollcall_objects_skipped" in Count by []:
        "tasks, agents and frameworks without records, unreadable ones among them";
    TASKS = Gauge "rollcall_cluster_tasks" in Count by ["state"]:
        "tasks of the cluster: served, or waiting (not running, or on an agent that is not known)";
    AGENTS = Gauge "rollcall_cluster_agents" in Count by []:
        "agents of the cluster";
    FRAMEWORKS = Gauge "rollcall_cluster_frameworks" in Count by []:
        "frameworks of the cluster";
    AGE = Gauge "rollcall_records_age" in Seconds by []:
        "since a master last confirmed the records; no sample before there are any";
    SOURCE = Gauge "rollcall_source" in Count by ["source"]:
        "1 for who spoke last: stream, poll, warm_start (records from disk) or none";
    LEADER_KNOWN = Gauge "rollcall_leader_known" in Count by []:
        "1 while a leading master is known";
    LEADER_CHANGES = Counter "rollcall_leader_changes" in Count by []:
        "times that another master was found to lead";
    ZOOKEEPER_UP = Gauge "rollcall_zookeeper_up" in Count by []:
        "1 while ZooKeeper can be asked; no sample without Zk";
    ZOOKEEPER_MASTERS = Gauge "rollcall_zookeeper_masters" in Count by []:
        "masters that it lists; no sample without Zk";
    ZOOKEEPER_LEADERLESS = Gauge "rollcall_zookeeper_leaderless" in Seconds by []:
        "how long it has told of no leader, 0 while it tells of one; no sample without Zk";
    EVENTS = Counter "rollcall_source_events" in Count by []:
        "events of the master's stream";
    EVENTS_UNFITTING = Counter "rollcall_source_events_unfitting" in Count by []:
        "events that did not fit what was known";
    SUBSCRIPTIONS = Counter "rollcall_source_subscriptions" in Count by []:
        "event streams that began; all but the first are reconnections";
    STREAM_FAILURES = Counter "rollcall_source_stream_failures" in Count by []:
        "event streams that ended or did not come about";
    POLLS = Counter "rollcall_source_polls" in Count by []:
        "state documents taken";
    POLL_FAILURES = Counter "rollcall_source_poll_failures" in Count by []:
        "state documents that could not be had";
    CHECKS = Counter "rollcall_source_checks" in Count by []:
        "state documents that the stream was compared with";
    CHECKS_DIFFERING = Counter "rollcall_source_checks_differing" in Count by []:
        "of them: such as differed";
    CHECK_DIFFERENCES = Counter "rollcall_source_check_differences" in Count by ["difference"]:
        "objects that the stream had lacking, surplus or other";
    HELD_TASKS = Gauge "rollcall_held_tasks" in Count by []:
        "tasks that are held although the master does not list them";
    HELD_TASKS_SEEN = Counter "rollcall_hold_tasks" in Count by []:
        "tasks that were held, all times together";
    HOLDS = Counter "rollcall_holds" in Count by []:
        "times that something was held after a failover";
    CPU = Counter "process_cpu" in Seconds by []:
        "processor time";
    RESIDENT = Gauge "process_resident_memory" in Bytes by []:
        "memory that is resident";
    VIRTUAL = Gauge "process_virtual_memory" in Bytes by []:
        "address space";
    THREADS = Gauge "process_threads" in Count by []:
        "threads";
    OPEN_FDS = Gauge "process_open_fds" in Count by []:
        "descriptors that are open";
    MAX_FDS = Gauge "process_max_fds" in Count by []:
        "descriptors that may be";
    START = Gauge "process_start_time" in Seconds by []:
        "start, since 1970";
}
