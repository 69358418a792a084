//! Rollcall: the DNS server of an Apache Mesos cluster.
//!
//! One way through the house, and data flows down only:
//!
//! ```text
//!   mesos      what the master said: Cluster, the fields that records need and nothing else
//!   records    naming rules: Cluster -> RecordSet (owner names and their data). Pure.
//!   responses  RecordSet -> ResponseTable: finished wire bytes in shards; publishes the Snapshot
//!   serve      query bytes -> response bytes (`respond` is pure), in one thread per core
//! ```
//!
//! `feed` keeps what changed with each publication, for readers of `http`.
//! `forward` asks other resolvers for the names that `serve` does not own, and remembers.
//! `refresh` turns the crank of the first three; `http` reads the same Snapshot as `serve`;
//! `daemon` starts and stops everything and alone knows everyone; `service` tells the service manager
//! of it, `confine` gives up what none of it needs. `config`, `stats`, `simulate` stand beside the
//! way. `zonefile` reads static records, which are one more input of `records`; `watched` reads files
//! anew when they change. `clients` counts what each client has. `dns`, `sys` and `limits` are leaves.
//!
//! The dependency rule: `mesos <- records <- responses <- serve`; `serve` and `http` never name a
//! type of `mesos`; `records` and `responses` touch neither socket nor clock. `tests/tidy.rs`
//! holds it.
//!
//! # Glossary
//!
//! * **State**: the document a Mesos master sends; **Cluster**: what we keep of it.
//! * **RecordSet**: owner names and their data, before any wire format.
//! * **ResponseTable**: finished wire bytes of every answer, and the index to them.
//! * **Snapshot**: generation, serial, table and cluster, swapped as one pointer.
//! * **Outcome**: what `respond` decides of a packet: answer it, have it forwarded,
//!   or drop it.

pub mod cli;
pub mod clients;
pub mod config;
pub mod confine;
pub mod daemon;
pub mod dns;
pub mod feed;
pub mod forward;
pub mod http;
pub mod limits;
pub mod mesos;
pub mod records;
pub mod refresh;
pub mod responses;
pub mod serve;
pub mod service;
pub mod simulate;
pub mod stats;
pub mod sys;
pub mod watched;
pub mod zonefile;
