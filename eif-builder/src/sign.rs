//! Signatures of images: whose key may make one, and putting it into an image.
//!
//! - [`certificate`]: the certificate of a signing key
pub mod certificate;
