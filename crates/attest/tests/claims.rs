//! Claims of genuine documents, held to values that a reader in another language took from the same bytes.

mod support;

use attest::chain::{Position, unverified_certs};
use attest::{Moment, Pcr, Policy, TrustRoot, verify};
use aws_lc_rs::digest::{SHA384, digest};
use support::data;

#[test]
fn of_a_debug_document_with_all_optionals() {
    let document = data("nitro/valid/anjuna_debug_2024_all_optionals.cbor");
    let policy = Policy::new()
        .allow_debug()
        .expect_nonce(b"Nonce\n")
        .expect_user_data(b"Hello World!\n");
    let doc = verify(&document, &TrustRoot::aws(), Moment::OfDocument, &policy).unwrap();
    let claims = doc.claims();
    assert_eq!(claims.module_id, "i-0e4fe5de7ee5abe78-enc018d3cadd7d66279");
    assert_eq!(claims.timestamp.to_string(), "2024-01-24T18:14:25.635Z");
    assert!(claims.is_debug());
    assert_eq!(claims.pcrs.len(), 16);
    assert_eq!(claims.pcrs.get(0), Some(&Pcr::from_bytes([0; 48])));
    assert_eq!(
        claims.pcrs.get(4).unwrap().to_string(),
        "1cc1521ffd7ef3a65a6183945c76af7e53a7eaba33b8c9fe53135505f675796edbff58c3150c1e42c57badbced32fc50"
    );
    assert_eq!(claims.public_key.map(<[u8]>::len), Some(294));
    assert_eq!(claims.user_data, Some(&b"Hello World!\n"[..]));
    assert_eq!(claims.nonce, Some(&b"Nonce\n"[..]));
}

#[test]
fn of_a_production_document_with_an_indefinite_map() {
    let document = data("nitro/valid/basevalidator_prod_2026_indefinite_map.cbor");
    let pcr0: Pcr =
        "4b8d4cf2a99e05ce1b5bddaf9d21cb446eb0e606c5bebd1ebf02b473a22165f7b68b0bb0d1ac5a90f0311e493522cfab"
            .parse()
            .unwrap();
    let policy = Policy::new().expect_pcr(0, pcr0).unwrap();
    let doc = verify(&document, &TrustRoot::aws(), Moment::OfDocument, &policy).unwrap();
    let claims = doc.claims();
    assert_eq!(claims.module_id, "i-0368fa67e156d6d23-enc019b8596b1a9dad6");
    assert_eq!(claims.timestamp.as_millis(), 1_767_472_867_402);
    assert!(!claims.is_debug());
    assert_eq!((claims.public_key, claims.nonce), (None, None));
    assert_eq!(
        hex::encode(claims.user_data.unwrap()),
        "6955 3adc 61d6 e9fc decb e1ea 49bb 2b52 a602 38e0".replace(' ', "")
    );
}

/// PCR4 is what the contract says it is, in every genuine document: a check of the reading of PCRs against
/// the module id of the same document.
#[test]
fn pcr4_is_the_measured_instance_id() {
    for row in support::manifest("nitro")
        .iter()
        .filter(|row| row.expect == "accept")
    {
        let document = data(&row.file);
        let doc = attest::UnverifiedDoc::parse(&document).unwrap();
        let claims = doc.unverified_claims();
        let (instance, _) = claims.module_id.split_once("-enc").unwrap();
        let measured = [&[0; 48], instance.as_bytes()].concat();
        assert_eq!(
            &claims.pcrs.get(4).unwrap().as_bytes()[..],
            digest(&SHA384, &measured).as_ref()
        );
    }
}

#[test]
fn certificates_are_listed_root_first() {
    let document = data(support::GENUINE.0);
    let doc = attest::UnverifiedDoc::parse(&document).unwrap();
    let certs: Vec<_> = unverified_certs(doc.unverified_claims())
        .collect::<Result<_, _>>()
        .unwrap();
    let positions: Vec<_> = certs.iter().map(|cert| cert.position).collect();
    let bundle = (0..4).map(Position::Bundle);
    assert_eq!(positions, bundle.chain([Position::Leaf]).collect::<Vec<_>>());
    assert_eq!(
        certs.first().unwrap().subject,
        "CN=aws.nitro-enclaves,OU=AWS,O=Amazon,C=US"
    );
    let leaf = certs.last().unwrap();
    assert!(
        leaf.subject
            .contains("CN=i-0a6d65e7122308898-enc017846bcd2f820da"),
        "{}",
        leaf.subject
    );
    assert_eq!(
        leaf.not_after.since(leaf.not_before).expect("ordered").as_secs(),
        3 * 3600
    );
}
