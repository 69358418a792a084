//! What Mesos said. In: bytes from a master. Out: a `Cluster` that holds the fields which records
//! need. Runs on the refresh thread, `zookeeper` on its own; it must never lose one good task for the
//! sake of a bad one.

mod agent;
pub mod check;
pub mod cluster;
mod credentials;
pub mod cut;
mod decode;
pub mod error;
pub mod events;
pub mod fetch;
pub mod few;
mod fields;
pub mod hosts;
pub mod http;
pub mod iam;
mod intern;
mod jwt;
pub mod leader;
pub mod live;
pub mod poll;
mod quick;
pub mod recordio;
pub mod saved;
mod skips;
pub mod state;
pub mod subscribe;
pub mod summary;
mod task;
pub mod tasks;
mod tls;
mod v1;
mod values;
pub mod zookeeper;
