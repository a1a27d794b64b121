//! The DER bytes of the first certificate in a PEM text (RFC 7468): what PCR8 is made from.
//!
//! It reads the armour and base64 only. That the bytes are a certificate is not checked here.

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Why a text holds no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PemError {
    /// Not UTF-8, or a line that opens or closes the certificate is missing.
    #[error("no complete certificate between its BEGIN and END lines")]
    NoCertificate,
    /// The text between the lines is not padded base64.
    #[error("the certificate is not base64")]
    NotBase64,
    /// There is nothing between the lines.
    #[error("the certificate is empty")]
    Empty,
}

/// The DER bytes of the first certificate in `pem`. Text before it is passed over, as OpenSSL does.
///
/// # Errors
/// [`PemError`], the first rule that is broken.
pub fn certificate_der(pem: &[u8]) -> Result<Vec<u8>, PemError> {
    let text = str::from_utf8(pem).map_err(|_| PemError::NoCertificate)?;
    let (_, rest) = text.split_once(BEGIN).ok_or(PemError::NoCertificate)?;
    let (body, _) = rest.split_once(END).ok_or(PemError::NoCertificate)?;
    let digits: Vec<u8> = body.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    if digits.is_empty() {
        return Err(PemError::Empty);
    }
    base64(&digits).ok_or(PemError::NotBase64)
}

/// Standard alphabet, padded, unused bits zero (RFC 4648, section 4).
fn base64(digits: &[u8]) -> Option<Vec<u8>> {
    let padding = digits.iter().rev().take_while(|&&digit| digit == b'=').count();
    if !digits.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for &digit in digits.get(..digits.len().checked_sub(padding)?)? {
        bits = (bits << 6 | value(digit)?) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held).to_be_bytes()[3]);
        }
    }
    (bits & ((1 << held) - 1) == 0).then_some(bytes)
}

fn value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn armoured(body: &str) -> String {
        format!("Bag Attributes\n{BEGIN}\n{body}\n{END}\n")
    }

    /// RFC 4648, section 10.
    #[test]
    fn known_answers() {
        let answers = ["Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        for (length, digits) in (1..).zip(answers) {
            let der = certificate_der(armoured(digits).as_bytes()).unwrap();
            assert_eq!(der, b"foobar"[..length]);
        }
        assert_eq!(
            certificate_der(armoured("Zm9v\r\n YmFy").as_bytes()).unwrap(),
            b"foobar"
        );
        assert_eq!(base64(b"+/+/").unwrap(), [0xfb, 0xff, 0xbf]);
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "Zg", "Zg=", "Zg===", "Z===", "====", "Zh==", "Zm9=", "Zm=v", "Zm9-", "Zm9_", "Zg==Zg==",
        ] {
            let outcome = certificate_der(armoured(bad).as_bytes());
            assert_eq!(outcome, Err(PemError::NotBase64), "{bad}");
        }
        assert_eq!(certificate_der(armoured("").as_bytes()), Err(PemError::Empty));
        for bad in ["", BEGIN, END, "-----BEGIN X-----\nZg==\n-----END X-----"] {
            assert_eq!(certificate_der(bad.as_bytes()), Err(PemError::NoCertificate));
        }
        assert_eq!(certificate_der(&[0xff]), Err(PemError::NoCertificate));
    }
}
