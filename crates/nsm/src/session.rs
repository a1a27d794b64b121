//! The real [`Nsm`]: requests over an open `/dev/nsm`, every answer checked. Nothing is retried.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;

use aws_nitro_enclaves_nsm_api::api::{Digest, ErrorCode as ApiCode, Request, Response};
use aws_nitro_enclaves_nsm_api::driver::nsm_process_request;
use zeroize::Zeroizing;

use crate::api::{
    Description, ErrorCode, MAX_DATA_BYTES, MAX_PUBLIC_KEY_BYTES, MAX_RANDOM_BYTES, Nsm, NsmError, PcrState,
    RecipientNsm,
};
use crate::pcr::{PCR_COUNT, Pcr, PcrIndex};

/// Where the kernel puts the module.
pub const DEVICE: &str = "/dev/nsm";

/// Carries one request to a module and brings its answer back.
pub trait Device {
    /// The module's answer; failures of the transport come as `Response::Error`.
    fn process(&self, request: Request) -> Response;
}

/// [`DEVICE`], open until dropped.
#[derive(Debug)]
pub struct DeviceFile(File);

impl Device for DeviceFile {
    fn process(&self, request: Request) -> Response {
        nsm_process_request(self.0.as_raw_fd(), request)
    }
}

/// A session on a module.
#[derive(Debug)]
pub struct Session<D = DeviceFile> {
    device: D,
}

impl Session {
    /// Opens [`DEVICE`].
    ///
    /// # Errors
    /// [`NsmError::Open`] with the error number.
    pub fn open() -> Result<Self, NsmError> {
        let file = OpenOptions::new().read(true).write(true).open(DEVICE);
        let file = file.map_err(|error| NsmError::Open {
            errno: error.raw_os_error().unwrap_or(0),
        })?;
        Ok(Self {
            device: DeviceFile(file),
        })
    }
}

impl<D: Device> Session<D> {
    /// A session over any device.
    pub const fn new(device: D) -> Self {
        Self { device }
    }

    /// Sends a request; an error answer becomes [`NsmError::Refused`].
    fn ask(&self, name: &'static str, request: Request) -> Result<Response, NsmError> {
        match self.device.process(request) {
            Response::Error(code) => Err(NsmError::Refused {
                request: name,
                code: code_of(&code),
            }),
            response => Ok(response),
        }
    }

    fn document(
        &self,
        user_data: Option<&[u8]>,
        nonce: Option<&[u8]>,
        public_key: Option<&[u8]>,
    ) -> Result<Vec<u8>, NsmError> {
        const NAME: &str = "Attestation";
        let request = Request::Attestation {
            user_data: user_data.map(|bytes| bytes.to_vec().into()),
            nonce: nonce.map(|bytes| bytes.to_vec().into()),
            public_key: public_key.map(|bytes| bytes.to_vec().into()),
        };
        match self.ask(NAME, request)? {
            Response::Attestation { document } if document.is_empty() => Err(NsmError::BadAnswer {
                request: NAME,
                what: "document",
                expected: "1 byte or more",
                actual: 0,
            }),
            Response::Attestation { document } => Ok(document),
            _ => Err(NsmError::Mismatch { request: NAME }),
        }
    }
}

impl<D: Device> Nsm for Session<D> {
    fn describe(&self) -> Result<Description, NsmError> {
        const NAME: &str = "DescribeNSM";
        let bad = |what, expected, actual: u16| NsmError::BadAnswer {
            request: NAME,
            what,
            expected,
            actual: actual.into(),
        };
        let Response::DescribeNSM {
            version_major,
            version_minor,
            version_patch,
            module_id,
            max_pcrs,
            locked_pcrs,
            digest,
        } = self.ask(NAME, Request::DescribeNSM)?
        else {
            return Err(NsmError::Mismatch { request: NAME });
        };
        if max_pcrs > PCR_COUNT {
            return Err(bad("number of registers", "at most 32", max_pcrs));
        }
        if digest != Digest::SHA384 {
            return Err(bad("digest", "SHA-384", 0));
        }
        let index = |number| PcrIndex::new(number).ok_or_else(|| bad("locked register", "0 to 31", number));
        Ok(Description {
            version: (version_major, version_minor, version_patch),
            module_id,
            max_pcrs,
            locked_pcrs: locked_pcrs.into_iter().map(index).collect::<Result<_, _>>()?,
        })
    }

    fn describe_pcr(&self, index: PcrIndex) -> Result<PcrState, NsmError> {
        const NAME: &str = "DescribePCR";
        match self.ask(
            NAME,
            Request::DescribePCR {
                index: index.number(),
            },
        )? {
            Response::DescribePCR { lock, data } => Ok(PcrState {
                locked: lock,
                value: pcr(NAME, &data)?,
            }),
            _ => Err(NsmError::Mismatch { request: NAME }),
        }
    }

    fn extend_pcr(&self, index: PcrIndex, data: &[u8]) -> Result<Pcr, NsmError> {
        const NAME: &str = "ExtendPCR";
        at_most("data to extend a register with", MAX_DATA_BYTES, Some(data))?;
        match self.ask(
            NAME,
            Request::ExtendPCR {
                index: index.number(),
                data: data.to_vec(),
            },
        )? {
            Response::ExtendPCR { data } => pcr(NAME, &data),
            _ => Err(NsmError::Mismatch { request: NAME }),
        }
    }

    fn lock_pcr(&self, index: PcrIndex) -> Result<(), NsmError> {
        const NAME: &str = "LockPCR";
        match self.ask(
            NAME,
            Request::LockPCR {
                index: index.number(),
            },
        )? {
            Response::LockPCR => Ok(()),
            _ => Err(NsmError::Mismatch { request: NAME }),
        }
    }

    fn lock_pcrs_through(&self, last: PcrIndex) -> Result<(), NsmError> {
        const NAME: &str = "LockPCRs";
        match self.ask(
            NAME,
            Request::LockPCRs {
                range: last.number() + 1,
            },
        )? {
            Response::LockPCRs => Ok(()),
            _ => Err(NsmError::Mismatch { request: NAME }),
        }
    }

    fn attest(&self, user_data: Option<&[u8]>, nonce: Option<&[u8]>) -> Result<Vec<u8>, NsmError> {
        at_most("user data", MAX_DATA_BYTES, user_data)?;
        at_most("nonce", MAX_DATA_BYTES, nonce)?;
        self.document(user_data, nonce, None)
    }

    fn random(&self) -> Result<Zeroizing<Vec<u8>>, NsmError> {
        const NAME: &str = "GetRandom";
        let Response::GetRandom { random } = self.ask(NAME, Request::GetRandom)? else {
            return Err(NsmError::Mismatch { request: NAME });
        };
        let random = Zeroizing::new(random);
        if random.is_empty() || random.len() > MAX_RANDOM_BYTES {
            let (what, expected) = ("number of random bytes", "1 to 256");
            return Err(NsmError::BadAnswer {
                request: NAME,
                what,
                expected,
                actual: random.len(),
            });
        }
        Ok(random)
    }
}

impl<D: Device> RecipientNsm for Session<D> {
    fn attest_for_recipient(&self, public_key: &[u8]) -> Result<Vec<u8>, NsmError> {
        if public_key.is_empty() {
            return Err(NsmError::NoKey);
        }
        at_most("public key", MAX_PUBLIC_KEY_BYTES, Some(public_key))?;
        self.document(None, None, Some(public_key))
    }
}

fn at_most(what: &'static str, max: usize, bytes: Option<&[u8]>) -> Result<(), NsmError> {
    let actual = bytes.map_or(0, <[u8]>::len);
    if actual > max {
        return Err(NsmError::TooLong { what, max, actual });
    }
    Ok(())
}

fn pcr(request: &'static str, data: &[u8]) -> Result<Pcr, NsmError> {
    let value = data.try_into().map_err(|_| NsmError::BadAnswer {
        request,
        what: "register length",
        expected: "48 bytes",
        actual: data.len(),
    })?;
    Ok(Pcr(value))
}

const fn code_of(code: &ApiCode) -> ErrorCode {
    match code {
        ApiCode::Success => ErrorCode::Success,
        ApiCode::InvalidArgument => ErrorCode::InvalidArgument,
        ApiCode::InvalidIndex => ErrorCode::InvalidIndex,
        ApiCode::InvalidResponse => ErrorCode::InvalidResponse,
        ApiCode::ReadOnlyIndex => ErrorCode::ReadOnlyIndex,
        ApiCode::InvalidOperation => ErrorCode::InvalidOperation,
        ApiCode::BufferTooSmall => ErrorCode::BufferTooSmall,
        ApiCode::InputTooLarge => ErrorCode::InputTooLarge,
        ApiCode::InternalError => ErrorCode::InternalError,
    }
}
