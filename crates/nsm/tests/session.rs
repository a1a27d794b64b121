//! The session against an injected device: what is sent, and what every answer becomes.
#![expect(clippy::unwrap_used, reason = "a failed assumption should fail the test")]

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};

use aws_nitro_enclaves_nsm_api::api::{Digest, ErrorCode as ApiCode, Request, Response};
use nsm::entropy::{self, EntropyError, PIECE_BYTES, Pool};
use nsm::{Description, Device, ErrorCode, Nsm, NsmError, Pcr, PcrIndex, PcrState, RecipientNsm, Session};

/// Answers from a list and notes what was asked, as the debug text of the request.
#[derive(Default)]
struct Script {
    answers: RefCell<VecDeque<Response>>,
    asked: RefCell<Vec<String>>,
}

impl Device for &Script {
    fn process(&self, request: Request) -> Response {
        self.asked.borrow_mut().push(format!("{request:?}"));
        self.answers.borrow_mut().pop_front().unwrap()
    }
}

fn script(answers: impl IntoIterator<Item = Response>) -> Script {
    Script {
        answers: RefCell::new(answers.into_iter().collect()),
        ..Script::default()
    }
}

/// One call against one answer.
fn answered<T>(answer: Response, call: impl FnOnce(&Session<&Script>) -> T) -> T {
    let script = script([answer]);
    call(&Session::new(&script))
}

fn describe_answer(max_pcrs: u16, locked: impl IntoIterator<Item = u16>, digest: Digest) -> Response {
    Response::DescribeNSM {
        version_major: 1,
        version_minor: 2,
        version_patch: 3,
        module_id: "i-1-enc2".to_owned(),
        max_pcrs,
        locked_pcrs: locked.into_iter().collect(),
        digest,
    }
}

fn pcr(index: u16) -> PcrIndex {
    PcrIndex::new(index).unwrap()
}

#[test]
fn describe() {
    let good = answered(describe_answer(32, [0, 31], Digest::SHA384), |s| s.describe()).unwrap();
    let locked_pcrs = BTreeSet::from([pcr(0), pcr(31)]);
    let expected = Description {
        version: (1, 2, 3),
        module_id: "i-1-enc2".into(),
        max_pcrs: 32,
        locked_pcrs,
    };
    assert_eq!(good, expected);
    let bad = [
        (describe_answer(33, [], Digest::SHA384), "number of registers"),
        (describe_answer(32, [32], Digest::SHA384), "locked register"),
        (describe_answer(32, [], Digest::SHA256), "digest"),
    ];
    for (answer, expected) in bad {
        let error = answered(answer, |s| s.describe()).unwrap_err();
        assert!(
            matches!(error, NsmError::BadAnswer { what, .. } if what == expected),
            "{error}"
        );
    }
}

#[test]
fn registers() {
    let script = script([
        Response::DescribePCR {
            lock: true,
            data: vec![7; 48],
        },
        Response::ExtendPCR { data: vec![8; 48] },
        Response::LockPCR,
        Response::LockPCRs,
    ]);
    let session = Session::new(&script);
    assert_eq!(
        session.describe_pcr(pcr(0)),
        Ok(PcrState {
            locked: true,
            value: Pcr([7; 48])
        })
    );
    assert_eq!(session.extend_pcr(pcr(16), b"ab"), Ok(Pcr([8; 48])));
    assert_eq!(session.lock_pcr(pcr(16)), Ok(()));
    assert_eq!(session.lock_pcrs_through(pcr(31)), Ok(()));
    let expected = [
        "DescribePCR { index: 0 }",
        "ExtendPCR { index: 16, data: [97, 98] }",
        "LockPCR { index: 16 }",
        "LockPCRs { range: 32 }",
    ];
    assert_eq!(script.asked.into_inner(), expected);
    for len in [0, 47, 49] {
        let answer = Response::DescribePCR {
            lock: false,
            data: vec![0; len],
        };
        let error = answered(answer, |s| s.describe_pcr(pcr(0))).unwrap_err();
        assert!(
            matches!(error, NsmError::BadAnswer { actual, .. } if actual == len),
            "{error}"
        );
        let answer = Response::ExtendPCR { data: vec![0; len] };
        let error = answered(answer, |s| s.extend_pcr(pcr(16), b"")).unwrap_err();
        assert!(
            matches!(error, NsmError::BadAnswer { actual, .. } if actual == len),
            "{error}"
        );
    }
}

#[test]
fn attestation_never_carries_a_key_but_for_a_recipient() {
    let document = || Response::Attestation { document: vec![0x84] };
    let script = script([document(), document(), document()]);
    let session = Session::new(&script);
    assert_eq!(session.attest(None, None), Ok(vec![0x84]));
    assert_eq!(session.attest(Some(b"u"), Some(b"n")), Ok(vec![0x84]));
    assert_eq!(session.attest_for_recipient(b"k"), Ok(vec![0x84]));
    let asked = script.asked.into_inner();
    assert_eq!(
        asked.first().unwrap(),
        "Attestation { user_data: None, nonce: None, public_key: None }"
    );
    assert!(asked.get(1).unwrap().ends_with("public_key: None }"));
    assert!(
        asked
            .get(2)
            .unwrap()
            .starts_with("Attestation { user_data: None, nonce: None, public_key: Some(")
    );
}

#[test]
fn arguments_that_are_too_long_are_not_sent() {
    let script = script([]);
    let session = Session::new(&script);
    let too_long = |what, max| NsmError::TooLong {
        what,
        max,
        actual: max + 1,
    };
    assert_eq!(
        session.attest(Some(&[0; 513]), None),
        Err(too_long("user data", 512))
    );
    assert_eq!(session.attest(None, Some(&[0; 513])), Err(too_long("nonce", 512)));
    assert_eq!(
        session.attest_for_recipient(&[0; 1025]),
        Err(too_long("public key", 1024))
    );
    assert_eq!(session.attest_for_recipient(&[]), Err(NsmError::NoKey));
    let what = "data to extend a register with";
    assert_eq!(session.extend_pcr(pcr(16), &[0; 513]), Err(too_long(what, 512)));
    assert!(script.asked.into_inner().is_empty());
}

#[test]
fn random_bytes_are_counted() {
    for len in [1, 256] {
        let random = answered(Response::GetRandom { random: vec![9; len] }, |s| s.random()).unwrap();
        assert_eq!(*random, vec![9; len]);
    }
    for len in [0, 257] {
        let error = answered(Response::GetRandom { random: vec![9; len] }, |s| s.random()).unwrap_err();
        assert!(
            matches!(error, NsmError::BadAnswer { actual, .. } if actual == len),
            "{error}"
        );
    }
    let error = answered(Response::Attestation { document: vec![] }, |s| {
        s.attest(None, None)
    })
    .unwrap_err();
    assert!(
        matches!(error, NsmError::BadAnswer { what: "document", .. }),
        "{error}"
    );
}

/// Every request by name.
type Call = fn(&Session<&Script>) -> Result<(), NsmError>;
const CALLS: [(&str, Call); 8] = [
    ("DescribeNSM", |s| s.describe().map(drop)),
    ("DescribePCR", |s| s.describe_pcr(pcr(1)).map(drop)),
    ("ExtendPCR", |s| s.extend_pcr(pcr(1), b"x").map(drop)),
    ("LockPCR", |s| s.lock_pcr(pcr(1))),
    ("LockPCRs", |s| s.lock_pcrs_through(pcr(1))),
    ("Attestation", |s| s.attest(None, None).map(drop)),
    ("Attestation", |s| s.attest_for_recipient(b"k").map(drop)),
    ("GetRandom", |s| s.random().map(drop)),
];

#[test]
fn every_code_of_every_request_is_passed_on() {
    let codes: [(fn() -> ApiCode, ErrorCode); 9] = [
        (|| ApiCode::Success, ErrorCode::Success),
        (|| ApiCode::InvalidArgument, ErrorCode::InvalidArgument),
        (|| ApiCode::InvalidIndex, ErrorCode::InvalidIndex),
        (|| ApiCode::InvalidResponse, ErrorCode::InvalidResponse),
        (|| ApiCode::ReadOnlyIndex, ErrorCode::ReadOnlyIndex),
        (|| ApiCode::InvalidOperation, ErrorCode::InvalidOperation),
        (|| ApiCode::BufferTooSmall, ErrorCode::BufferTooSmall),
        (|| ApiCode::InputTooLarge, ErrorCode::InputTooLarge),
        (|| ApiCode::InternalError, ErrorCode::InternalError),
    ];
    for (request, call) in CALLS {
        for (api, code) in codes {
            let expected = NsmError::Refused { request, code };
            assert_eq!(answered(Response::Error(api()), call), Err(expected));
        }
    }
}

#[test]
fn the_answer_to_another_request_is_refused() {
    for (request, call) in CALLS {
        let other = if request == "LockPCR" {
            Response::LockPCRs
        } else {
            Response::LockPCR
        };
        assert_eq!(answered(other, call), Err(NsmError::Mismatch { request }));
    }
}

#[test]
fn no_device_is_an_open_error() {
    // No machine that runs tests has an NSM; were there one, the session would simply open.
    match Session::open() {
        Ok(_) => assert!(std::path::Path::new(nsm::DEVICE).exists()),
        Err(error) => assert!(matches!(error, NsmError::Open { errno } if errno != 0), "{error}"),
    }
}

#[derive(Default)]
struct Sink {
    pieces: Vec<[u8; PIECE_BYTES]>,
    fail_at: Option<usize>,
}

impl Pool for Sink {
    fn add(&mut self, piece: &[u8; PIECE_BYTES]) -> std::io::Result<()> {
        if self.fail_at == Some(self.pieces.len()) {
            return Err(std::io::ErrorKind::PermissionDenied.into());
        }
        self.pieces.push(*piece);
        Ok(())
    }
}

fn random(fill: u8, len: usize) -> Response {
    Response::GetRandom {
        random: vec![fill; len],
    }
}

#[test]
fn entropy_is_four_full_pieces() {
    let script = script((1..=5).map(|fill| random(fill, 256)));
    let mut sink = Sink::default();
    assert_eq!(entropy::feed(&Session::new(&script), &mut sink).unwrap(), 1024);
    assert_eq!(sink.pieces, [[1; 256], [2; 256], [3; 256], [4; 256]]);
    assert_eq!(script.answers.borrow().len(), 1);
}

#[test]
fn missing_or_short_entropy_is_an_error() {
    for at in 0_usize..4 {
        let broken = |answer: Response, fail_at: Option<usize>| {
            let answers = (0..4)
                .map(|_| random(1, 256))
                .take(at)
                .chain([answer, random(1, 256)]);
            let script = script(answers);
            let mut sink = Sink {
                fail_at,
                ..Sink::default()
            };
            let error = entropy::feed(&Session::new(&script), &mut sink).unwrap_err();
            assert_eq!(sink.pieces.len(), at);
            error
        };
        for len in [1, 255] {
            assert!(matches!(broken(random(1, len), None), EntropyError::Short { actual } if actual == len));
        }
        let fed = at * 256;
        assert!(matches!(broken(random(1, 0), None), EntropyError::Nsm { fed: f, .. } if f == fed));
        assert!(matches!(broken(Response::LockPCR, None), EntropyError::Nsm { fed: f, .. } if f == fed));
        assert!(matches!(broken(random(1, 256), Some(at)), EntropyError::Pool { fed: f, .. } if f == fed));
    }
}
