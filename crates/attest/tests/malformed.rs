//! Foreign bytes: cut at every length, flipped at every byte, mutated by a seeded generator. Nothing but the
//! genuine claims may ever verify, and nothing may panic.
#![expect(clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod support;

use attest::chain::{ChainError, Position};
use attest::{
    CborError, CertError, CoseError, DocError, Moment, Part, Policy, TrustRoot, UnverifiedDoc, VerifyError,
    verify,
};
use support::{Payload, cbor, data, sign, synthetic_root};

const INDEFINITE: &str = "nitro/valid/basevalidator_prod_2026_indefinite_map.cbor";

fn refused(document: &[u8], root: &TrustRoot) -> VerifyError {
    match verify(document, root, Moment::OfDocument, &Policy::new().allow_debug()) {
        Err(error) => error,
        Ok(doc) => panic!("verified: {:?}", doc.claims()),
    }
}

#[test]
fn truncation_at_every_length_is_refused_as_such() {
    for file in [support::GENUINE.0, INDEFINITE] {
        let document = data(file);
        for len in 0..document.len() {
            let error = refused(&document[..len], &TrustRoot::aws());
            assert!(
                matches!(
                    error,
                    VerifyError::Envelope(CoseError::Cbor {
                        part: Part::Document,
                        source: CborError::Truncated { .. }
                    })
                ),
                "{file} cut to {len}: {error:?}"
            );
        }
    }
}

/// A payload that was cut before it was signed: the signature is right, the claims are not all there.
#[test]
fn signed_truncated_payloads_are_refused() {
    let payload = Payload::valid().encode();
    let root = synthetic_root();
    for len in 0..payload.len() {
        let error = refused(&sign(&payload[..len]), &root);
        assert!(
            matches!(
                error,
                VerifyError::Payload(DocError::Cbor(CborError::Truncated { .. }))
            ),
            "cut to {len}: {error:?}"
        );
    }
}

#[test]
fn truncated_certificates_are_refused() {
    let document = data("synthetic/valid/optionals_absent.cbor");
    let doc = UnverifiedDoc::parse(&document).unwrap();
    let leaf = doc.unverified_claims().certificate;
    for len in 1..leaf.len() {
        let cut = Payload::valid()
            .with("certificate", cbor::bytes(&leaf[..len]))
            .sign();
        let error = refused(&cut, &synthetic_root());
        assert!(
            matches!(
                error,
                VerifyError::Chain(ChainError::Certificate {
                    position: Position::Leaf,
                    source: CertError::Der(_)
                })
            ),
            "cut to {len}: {error:?}"
        );
    }
}

/// One bit of every byte; which one depends on the byte's place, so that all bits of all fields have a turn.
#[test]
fn a_flipped_bit_in_any_byte_is_refused() {
    for (file, shift) in [(support::GENUINE.0, 0), (INDEFINITE, 3)] {
        let document = data(file);
        for at in 0..document.len() {
            let mut flipped = document.clone();
            flipped[at] ^= 1 << ((at + shift) % 8);
            refused(&flipped, &TrustRoot::aws());
        }
    }
}

/// All bits of the bytes that steer parsing: the heads before the payload and the signature with its head.
#[test]
fn every_bit_of_the_envelope_counts() {
    let document = data(support::GENUINE.0);
    let signature = document.len() - 98;
    for at in (0..64).chain(signature..document.len()) {
        for bit in 0..8 {
            let mut flipped = document.clone();
            flipped[at] ^= 1 << bit;
            refused(&flipped, &TrustRoot::aws());
        }
    }
}

/// Xorshift64*: deterministic, so that a failure can be repeated from its round.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next()).unwrap_or_default() % limit.max(1)
    }

    fn byte(&mut self) -> u8 {
        // Heads and breaks of CBOR and DER more often than other bytes.
        const TELLING: [u8; 16] = [
            0x00, 0x1b, 0x3b, 0x5a, 0x5f, 0x80, 0x84, 0x9f, 0xa0, 0xbf, 0xd2, 0xf6, 0xff, 0x30, 0x82, 0x7f,
        ];
        if self.next().is_multiple_of(2) {
            TELLING[self.below(TELLING.len())]
        } else {
            u8::try_from(self.next() & 0xff).unwrap_or_default()
        }
    }

    /// `bytes` after one to four small changes, some with pieces of `other`.
    fn mutate(&mut self, bytes: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            let end = (at + self.below(40)).min(bytes.len());
            match self.below(6) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = self.byte(),
                2 => bytes.insert(at, self.byte()),
                3 => drop(bytes.drain(at..end)),
                4 => {
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
                _ => {
                    let from = self.below(other.len());
                    let to = (from + self.below(200)).min(other.len());
                    bytes.splice(at..end, other[from..to].iter().copied());
                }
            }
        }
        bytes
    }
}

#[test]
fn mutated_documents_never_verify_with_other_claims() {
    let (root, mut random) = (TrustRoot::aws(), Random(0x6e69_7472_6f00_0001));
    let (first, second) = (data(support::GENUINE.0), data(INDEFINITE));
    for round in 0..6000 {
        let (base, other) = if round % 2 == 0 {
            (&first, &second)
        } else {
            (&second, &first)
        };
        let mutated = random.mutate(base, other);
        if let Ok(doc) = verify(&mutated, &root, Moment::OfDocument, &Policy::new()) {
            let genuine = UnverifiedDoc::parse(base).map(|doc| doc.unverified_claims().clone());
            assert_eq!(Ok(doc.claims()), genuine.as_ref(), "round {round}");
        }
    }
}

/// Behind a right signature the payload parser and the certificate parser meet what the envelope would
/// otherwise keep from them.
#[test]
fn mutated_and_signed_payloads_do_not_panic() {
    let (root, mut random) = (synthetic_root(), Random(0x6e69_7472_6f00_0002));
    let base = Payload::valid().encode();
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..4000 {
        let document = sign(&random.mutate(&base, &base));
        match verify(&document, &root, Moment::OfDocument, &Policy::new().allow_debug()) {
            Ok(_) => accepted += 1,
            Err(_) => refused += 1,
        }
    }
    // Changes inside PCR values or the module id are legal; nearly all others are not.
    assert!(
        accepted > 0 && refused > accepted,
        "{accepted} accepted, {refused} refused"
    );
}
