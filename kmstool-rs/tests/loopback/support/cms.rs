//! Writes `EnvelopedData` in KMS's BER layout. Independent of the reader under test.

use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};

fn definite(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len();
    let mut bytes = vec![tag];
    match length {
        0..0x80 => bytes.push(u8::try_from(length).unwrap()),
        0x80..0x100 => bytes.extend([0x81, u8::try_from(length).unwrap()]),
        _ => {
            bytes.push(0x82);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    bytes.extend(contents);
    bytes
}

fn indefinite(tag: u8, contents: &[u8]) -> Vec<u8> {
    [&[tag, 0x80], contents, &[0, 0]].concat()
}

/// `plaintext` for the holder of the RSA key `public_der`.
pub(crate) fn envelope(public_der: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let mut content_key = [0; 32];
    aws_lc_rs::rand::fill(&mut content_key).unwrap();
    let cipher =
        PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_256, &content_key).unwrap()).unwrap();
    let mut content = plaintext.to_vec();
    let DecryptionContext::Iv128(iv) = cipher.encrypt(&mut content).unwrap() else {
        unreachable!()
    };
    let public = OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(public_der).unwrap()).unwrap();
    let mut wrapped = [0; 256];
    public
        .encrypt(&OAEP_SHA256_MGF1SHA256, &content_key, &mut wrapped, None)
        .unwrap();

    let oid = |hex_text: &str| definite(6, &hex::decode(hex_text).unwrap());
    let sha256 = definite(0x30, &[oid("608648016503040201"), definite(5, &[])].concat());
    let mgf1 = definite(0x30, &[oid("2a864886f70d010108"), sha256.clone()].concat());
    let parameters = definite(0x30, &[definite(0xA0, &sha256), definite(0xA1, &mgf1)].concat());
    let algorithm = definite(0x30, &[oid("2a864886f70d010107"), parameters].concat());
    let id = definite(0x80, digest(&SHA256, public_der).as_ref());
    let recipient = definite(
        0x30,
        &[definite(2, &[2]), id, algorithm, definite(4, &wrapped)].concat(),
    );
    let iv: &[u8] = iv.as_ref();
    let cipher = definite(0x30, &[oid("60864801650304012a"), definite(4, iv)].concat());
    let chunks: Vec<u8> = content
        .chunks(1000)
        .flat_map(|chunk| definite(4, chunk))
        .collect();
    let content = indefinite(
        0x30,
        &[oid("2a864886f70d010701"), cipher, indefinite(0xA0, &chunks)].concat(),
    );
    let data = indefinite(
        0x30,
        &[definite(2, &[2]), definite(0x31, &recipient), content].concat(),
    );
    indefinite(
        0x30,
        &[oid("2a864886f70d010703"), indefinite(0xA0, &data)].concat(),
    )
}
