//! What the fuzz targets do with their octets, one function each. In: any octets. Out: nothing, or a
//! panic that says what is wrong. The fuzzers compile it (`fuzz/`), and so do the ordinary tests
//! (`tests/replay.rs`), so that what was found once is tried with every change.

pub mod config;
pub mod events;
mod expected;
pub mod forward_reply;
pub mod labels;
pub mod login;
mod octets;
pub mod parse;
pub mod paths;
mod query;
pub mod recordio;
pub mod resolv_conf;
pub mod respond;
pub mod state;
pub mod static_records;
pub mod tcp_frames;
pub mod warm_start_file;
mod wire;
mod world;
pub mod zookeeper;

/// A name, and what is done with octets.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: &[Target] = &[
    ("config", config::run),
    ("events", events::run),
    ("forward_reply", forward_reply::run),
    ("labels", labels::run),
    ("login", login::run),
    ("parse", parse::run),
    ("paths", paths::run),
    ("recordio", recordio::run),
    ("resolv_conf", resolv_conf::run),
    ("respond", respond::run),
    ("state", state::run),
    ("static_records", static_records::run),
    ("tcp_frames", tcp_frames::run),
    ("warm_start_file", warm_start_file::run),
    ("zookeeper", zookeeper::run),
];
