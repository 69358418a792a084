//! The program and its parts from outside, a file for each feature.

mod allocations;
mod answers;
mod authentication;
mod batches;
mod cli;
mod config;
mod election;
mod following;
mod http;
mod iam;
mod live;
mod publishing;
mod refreshing;
mod respond;
mod secrets;
mod signals;
mod simulated;
mod streams;
mod support;
mod table;
mod tls;
mod transport;
mod warm_start;
mod worlds;
mod zookeeper;
mod zookeeper_falls;
