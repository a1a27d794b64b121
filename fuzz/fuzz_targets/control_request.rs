//! A control message: the untrusted parent writes these.
#![no_main]

use control::Surface;
use control::reader::MessageError;
use control::request::{Credential, Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let read = [Surface::Service, Surface::Control].map(|surface| (surface, Request::parse(bytes, surface)));
    for (surface, read) in read {
        match read {
            Ok(request) => {
                assert!(request.allowed_on(surface));
                // What was understood is what is written, and reads back as the same.
                let again = Request::parse(&request.to_bytes(), surface).expect("what is written is read");
                assert_eq!(again, request);
                shows_no_credential(&request);
            }
            Err(error) => {
                let wrong_port = matches!(error, MessageError::WrongPort { .. });
                let text = error.to_string();
                assert!(text.len() < 400 && !text.contains(['\n', '\u{1b}']), "{text}");
                let other = if surface == Surface::Service {
                    Surface::Control
                } else {
                    Surface::Service
                };
                assert!(!wrong_port || Request::parse(bytes, other).is_ok(), "{text}");
            }
        }
    }
});

fn shows_no_credential(request: &Request) {
    let credential: &Credential = match request {
        Request::Init(init) => &init.credential,
        Request::RefreshCredentials { credential } => credential,
        _ => return,
    };
    let shown = format!("{request:?}");
    // Short ones are part of field names and numbers by chance.
    let secret = credential.secret_access_key();
    assert!(secret.len() < 16 || !shown.contains(secret), "{shown}");
}
