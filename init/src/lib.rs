//! PID 1 of the enclave: static, single-threaded, small. It parses nothing that comes from outside but three single
//! bytes (the heartbeat's reply, the agent's requests) and has no TLS, no JSON and no ASN.1.
//!
//! [`run`] is the story: [`boot`] by the tables of [`plan`], then [`supervise`] and [`requests`]; [`fatal`] is the only way out.
//! [`child`] is the stage that confines a service. [`system`] is the trait between all of that and the kernel,
//! [`linux`] its real side; tests put another one in.
//!
//! There is no policy for signals: the kernel delivers to PID 1 only signals that it has a handler for, it has none,
//! and so neither SIGTERM nor Ctrl-Alt-Del does anything. An enclave ends when its parent ends it, or by [`fatal`].
//! cgroups are not used: limits are per process, and nothing in the image needs more.
#![forbid(unsafe_code)]

pub mod boot;
pub mod child;
pub mod clock;
pub mod fatal;
pub mod heartbeat;
pub mod linux;
pub mod log;
pub mod netlink;
pub mod plan;
pub mod requests;
pub mod run;
pub mod supervise;
pub mod system;
