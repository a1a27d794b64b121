//! The HTTP interface: sockets, connections, requests, answers. What a sign request means is not decided here.
//!
//! The layers, each using only those after it: listening ([`listen`], [`metrics_page`]), one connection
//! ([`connection`]), one request ([`service`]), endpoints ([`endpoints`], [`keymanager`]), what a path means
//! ([`router`]), headers ([`accept`], [`cors`]), bodies ([`body`]), answers ([`respond`]), a stream with a patience
//! ([`stream`]).

pub mod accept;
pub mod body;
pub mod connection;
pub mod cors;
pub mod endpoints;
pub mod keymanager;
pub mod listen;
pub mod metrics_page;
pub mod respond;
pub mod router;
pub mod service;
pub mod stream;
