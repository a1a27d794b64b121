//! TLS of the signing interface: who the server is ([`identity`]), who may connect ([`clients`], with the list of
//! [`known_clients`] and the names in a [`certificate`]), and the two joined, reloadable ([`server`]).

pub mod certificate;
pub mod clients;
pub mod identity;
pub mod known_clients;
pub mod server;
