//! What Debian publishes about its packages: signed release files, package indices, versions, relations.
//!
//! Nothing here touches the network or the disk; bytes come in, checked values go out.
//!
//! - [`version`]: version numbers and their order
//! - [`relation`]: `Depends`-like fields
//! - [`stanza`]: the paragraph format that all index files share
//! - [`keyring`]: `OpenPGP` keys, and which of them may sign now
//! - [`clearsign`]: `OpenPGP` clear-signed text
//! - [`release`]: `InRelease`, from signed bytes to a list of index files
//! - [`index`]: `Packages` and `Sources`
//! - [`resolve`]: package names to a closed set of packages

pub mod clearsign;
pub mod index;
pub mod keyring;
pub mod relation;
pub mod release;
pub mod resolve;
pub mod stanza;
pub mod version;
