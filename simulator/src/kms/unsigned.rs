//! Writes attestation documents of QEMU's unsigned shape, for tests and trials without a guest.
//!
//! Only a KMS with [`super::trust::Trust::DangerUnsignedSimulator`] believes them.
//!
//! Source of the shape: `hw/virtio/virtio-nsm.c` of QEMU.

use attest::{PcrSet, UnixMs};

/// Values of a document.
#[derive(Clone, Debug)]
pub struct Unsigned<'a> {
    /// When it says that it was made.
    pub timestamp: UnixMs,
    /// Its registers; at least one.
    pub pcrs: &'a PcrSet,
    /// `SubjectPublicKeyInfo`, DER.
    pub public_key: Option<&'a [u8]>,
    /// Up to 1024 bytes.
    pub user_data: Option<&'a [u8]>,
    /// Up to 1024 bytes.
    pub nonce: Option<&'a [u8]>,
}

impl Unsigned<'_> {
    /// The document: untagged `COSE_Sign1`, algorithm -1, certificates and signature zero.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let zeros = bytes(&[0; 64]);
        let optional = |value: Option<&[u8]>| value.map_or_else(|| vec![0xf6], bytes);
        let mut pcrs = head(5, self.pcrs.len());
        for (index, value) in self.pcrs.iter() {
            pcrs.extend(head(0, usize::from(index)));
            pcrs.extend(bytes(value.as_bytes()));
        }
        let timestamp = usize::try_from(self.timestamp.as_millis()).unwrap_or(usize::MAX);
        let fields: [(&str, Vec<u8>); 9] = [
            ("module_id", text("i-234-enc5678")),
            ("digest", text("SHA384")),
            ("timestamp", head(0, timestamp)),
            ("pcrs", pcrs),
            ("certificate", zeros.clone()),
            ("cabundle", [head(4, 1), zeros.clone()].concat()),
            ("public_key", optional(self.public_key)),
            ("user_data", optional(self.user_data)),
            ("nonce", optional(self.nonce)),
        ];
        let mut payload = head(5, fields.len());
        for (key, value) in fields {
            payload.extend(text(key));
            payload.extend(value);
        }
        // {1: -1}
        let protected = bytes(&[0xa1, 0x01, 0x20]);
        [vec![0x84], protected, vec![0xa0], bytes(&payload), zeros].concat()
    }
}

/// A CBOR head with its argument in the shortest form.
fn head(major: u8, value: usize) -> Vec<u8> {
    let first = major << 5;
    if let Ok(small) = u8::try_from(value) {
        return if small < 24 {
            vec![first | small]
        } else {
            vec![first | 0x18, small]
        };
    }
    if let Ok(value) = u16::try_from(value) {
        return [&[first | 0x19][..], &value.to_be_bytes()].concat();
    }
    if let Ok(value) = u32::try_from(value) {
        return [&[first | 0x1a][..], &value.to_be_bytes()].concat();
    }
    [&[first | 0x1b][..], &(value as u64).to_be_bytes()].concat()
}

fn bytes(value: &[u8]) -> Vec<u8> {
    [&head(2, value.len()), value].concat()
}

fn text(value: &str) -> Vec<u8> {
    [&head(3, value.len()), value.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use attest::danger::UnsignedSimulator;
    use attest::{Moment, Pcr, Policy, UnverifiedDoc};

    use super::*;

    #[test]
    fn the_shape_is_qemus() {
        let mut pcrs = PcrSet::new();
        pcrs.insert(0, Pcr::from_bytes([1; 48])).unwrap();
        pcrs.insert(31, Pcr::from_bytes([2; 48])).unwrap();
        let document = Unsigned {
            timestamp: UnixMs::new(1_700_000_000_000),
            pcrs: &pcrs,
            public_key: Some(&[7; 294]),
            user_data: None,
            nonce: Some(b"n"),
        }
        .encode();
        let simulator = UnsignedSimulator::danger_believe_documents_that_nobody_signed();
        let policy = Policy::new().allow_debug();
        let doc = simulator
            .danger_accept(&document, Moment::OfDocument, &policy)
            .unwrap();
        let claims = doc.danger_claims();
        assert_eq!(
            (claims.public_key, claims.user_data, claims.nonce),
            (Some(&[7; 294][..]), None, Some(&b"n"[..]))
        );
        assert_eq!(claims.pcrs, pcrs);
        let sample: &[u8] =
            include_bytes!("../../../crates/attest/tests/data/nitro/invalid/z_qemu_unsigned.cbor");
        let theirs = UnverifiedDoc::parse(sample).unwrap();
        assert_eq!(theirs.unverified_claims().module_id, claims.module_id);
    }
}
