//! A security module made of software: documents of the real shape and size, signed under the made-up PKI.
//!
//! The real module's time is not in the figures: there is none here to measure.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use aws_nitro_enclaves_nsm_api::api::{AttestationDoc, Digest, ErrorCode, Request, Response};
use nsm::Device;

use crate::pki::Pki;

/// Value of PCR0, 1 and 2; every other register is zero.
pub(crate) const PCR0: [u8; 48] = [0xA5; 48];
/// The protected header: ES384.
const PROTECTED: &[u8] = &[0x44, 0xA1, 0x01, 0x38, 0x22];

/// The module.
#[derive(Clone)]
pub(crate) struct Module(pub(crate) Arc<Pki>);

impl Device for Module {
    fn process(&self, request: Request) -> Response {
        let Request::Attestation {
            user_data,
            nonce,
            public_key,
        } = request
        else {
            return Response::Error(ErrorCode::InvalidOperation);
        };
        let [user_data, nonce, public_key] =
            [user_data, nonce, public_key].map(|bytes| bytes.map(|bytes| bytes.to_vec()));
        match self.document(user_data, nonce, public_key) {
            Ok(document) => Response::Attestation { document },
            Err(_) => Response::Error(ErrorCode::InternalError),
        }
    }
}

impl Module {
    fn document(
        &self,
        user_data: Option<Vec<u8>>,
        nonce: Option<Vec<u8>>,
        public_key: Option<Vec<u8>>,
    ) -> Result<Vec<u8>> {
        let pki = &self.0;
        let value = |index: usize| if index <= 2 { PCR0.to_vec() } else { vec![0; 48] };
        let pcrs: BTreeMap<_, _> = (0..16).map(|index| (index, value(index))).collect();
        let claims = AttestationDoc::new(
            "i-0123456789abcdef0-enc0123456789abcdef".to_owned(),
            Digest::SHA384,
            now_ms()?,
            pcrs,
            pki.leaf.clone(),
            pki.bundle.clone(),
            user_data,
            nonce,
            public_key,
        );
        let payload = bytes(&claims.to_binary())?;
        let signed = [&[0x84, 0x6A], &b"Signature1"[..], PROTECTED, &[0x40], &payload].concat();
        let signature = bytes(&pki.sign(&signed)?)?;
        Ok([&[0x84], PROTECTED, &[0xA0], &payload, &signature].concat())
    }
}

/// A CBOR byte string.
fn bytes(value: &[u8]) -> Result<Vec<u8>> {
    let length = u16::try_from(value.len()).context("longer than any part of a document")?;
    let head = match u8::try_from(length) {
        Ok(short) if short < 24 => vec![0x40 | short],
        Ok(short) => vec![0x58, short],
        Err(_) => [&[0x59][..], &length.to_be_bytes()].concat(),
    };
    Ok([&head, value].concat())
}

#[expect(clippy::disallowed_methods, reason = "the module's own clock")]
fn now_ms() -> Result<u64> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(u64::try_from(since.as_millis())?)
}
