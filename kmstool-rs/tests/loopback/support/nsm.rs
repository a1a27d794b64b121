//! A security module whose documents are a mark and the public key, and that notes what it was asked.

use std::sync::{Arc, Mutex};

use aws_nitro_enclaves_nsm_api::api::{ErrorCode, Request, Response};
use nsm::{Device, Session};

/// Start of every document.
pub(crate) const MARK: &[u8] = b"DOC:";

#[derive(Clone, Default)]
pub(crate) struct FakeDevice {
    /// Every request, as `(public_key, user_data, nonce)`.
    pub(crate) asked: Arc<Mutex<Vec<Asked>>>,
    pub(crate) broken: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) public_key: Option<Vec<u8>>,
    pub(crate) user_data: Option<Vec<u8>>,
    pub(crate) nonce: Option<Vec<u8>>,
}

impl Device for FakeDevice {
    fn process(&self, request: Request) -> Response {
        let Request::Attestation {
            public_key,
            user_data,
            nonce,
        } = request
        else {
            return Response::Error(ErrorCode::InvalidOperation);
        };
        if self.broken {
            return Response::Error(ErrorCode::InternalError);
        }
        let asked = Asked {
            public_key: public_key.as_deref().cloned(),
            user_data: user_data.as_deref().cloned(),
            nonce: nonce.as_deref().cloned(),
        };
        let document = [MARK, asked.public_key.as_deref().unwrap_or_default()].concat();
        self.asked.lock().unwrap().push(asked);
        Response::Attestation { document }
    }
}

impl FakeDevice {
    pub(crate) fn session(&self) -> Session<Self> {
        Session::new(self.clone())
    }
}
