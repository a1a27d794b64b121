//! A vhost-user vsock device whose other side is Unix sockets on this machine.
//!
//! CID 3 and CID 2 are the parent. A guest's connection to port P of the parent reaches the Unix socket
//! `DIR/vsock_P`; where nobody listens the guest gets an RST at once. A host program reaches port P of the
//! guest through `DIR/vsock.sock` (see [`hello`]). One [`backend::Backend`] serves one VM, in one thread.
//!
//! Order of the modules: each may use only those below it.

pub mod backend;
mod device;
mod unix;

pub mod muxer;

mod conn;

pub mod hello;
pub mod stats;
pub mod stream;

pub mod credit;
pub mod packet;
mod ports;
mod ready;
mod timers;
pub mod token;
mod txbuf;
