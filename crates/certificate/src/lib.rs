//! What several programs read and write of an X.509 certificate (RFC 5280) in the same way: whoever lists a client by its
//! common name, and whoever looks the client up, must see the same text.
//!
//! Nothing here says that a certificate is trusted. The crate reads no file, no clock and no network.
#![forbid(unsafe_code)]

use base64ct::{Base64, Encoding as _};
use x509_cert::der::asn1::{
    AnyRef, BmpString, Ia5StringRef, ObjectIdentifier, PrintableStringRef, TeletexStringRef, Utf8StringRef,
};
use x509_cert::der::{Tag, Tagged as _};
use x509_cert::name::Name;

/// `2.5.4.3`, X.520.
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// The first common name of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommonName {
    /// The subject has none.
    Absent,
    /// In a form that is no text.
    Unreadable,
    /// Its text, as it is: no case is folded and no space taken away.
    Text(String),
}

impl CommonName {
    /// Reads the first common name. Of the forms of `DirectoryString` (RFC 5280, section 4.1.2.4) all but UTF-32 are text (a
    /// certificate with that one cannot be decoded at all), and `IA5String`, which some makers use.
    #[must_use]
    pub fn of(subject: &Name) -> Self {
        let Some(part) = subject.iter().find(|part| part.oid == COMMON_NAME) else {
            return Self::Absent;
        };
        text(AnyRef::from(&part.value)).map_or(Self::Unreadable, Self::Text)
    }

    /// The text, if there is one.
    #[must_use]
    pub fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Absent | Self::Unreadable => None,
        }
    }
}

fn text(value: AnyRef<'_>) -> Option<String> {
    match value.tag() {
        Tag::Utf8String => value
            .decode_as::<Utf8StringRef<'_>>()
            .ok()
            .map(|text| text.as_str().to_owned()),
        Tag::PrintableString => value
            .decode_as::<PrintableStringRef<'_>>()
            .ok()
            .map(|text| text.as_str().to_owned()),
        Tag::Ia5String => value
            .decode_as::<Ia5StringRef<'_>>()
            .ok()
            .map(|text| text.as_str().to_owned()),
        Tag::TeletexString => value
            .decode_as::<TeletexStringRef<'_>>()
            .ok()
            .map(|text| text.as_str().to_owned()),
        Tag::BmpString => value.decode_as::<BmpString>().ok().map(|text| text.to_string()),
        _ => None,
    }
}

/// A certificate in DER as PEM (RFC 7468): lines of 64 characters, a line feed after each.
#[must_use]
pub fn pem(der: &[u8]) -> String {
    let body = Base64::encode_string(der);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

#[cfg(test)]
mod tests {
    use rcgen::string::{BmpString, Ia5String, PrintableString, TeletexString};
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair};
    use x509_cert::Certificate;
    use x509_cert::der::Decode as _;

    use super::*;

    fn made(name: Option<DnValue>) -> rcgen::Certificate {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "first");
        if let Some(name) = name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap()
    }

    fn read(name: Option<DnValue>) -> CommonName {
        let der = made(name);
        let certificate = Certificate::from_der(der.der()).unwrap();
        CommonName::of(certificate.tbs_certificate().subject())
    }

    #[test]
    fn every_form_of_text_is_read_as_it_is() {
        let name = " Validator-1 ";
        let forms = [
            DnValue::Utf8String(name.to_owned()),
            DnValue::PrintableString(PrintableString::try_from(name).unwrap()),
            DnValue::Ia5String(Ia5String::try_from(name).unwrap()),
            DnValue::TeletexString(TeletexString::try_from(name).unwrap()),
            DnValue::BmpString(BmpString::try_from(name).unwrap()),
        ];
        for form in forms {
            assert_eq!(
                read(Some(form.clone())),
                CommonName::Text(name.to_owned()),
                "{form:?}"
            );
        }
        assert_eq!(read(None), CommonName::Absent);
    }

    #[test]
    fn a_number_is_no_name() {
        let subject = [0x30, 12, 0x31, 10, 0x30, 8, 6, 3, 0x55, 4, 3, 2, 1, 5];
        assert_eq!(
            CommonName::of(&Name::from_der(&subject).unwrap()),
            CommonName::Unreadable
        );
    }

    #[test]
    fn pem_is_what_another_library_writes() {
        let certificate = made(None);
        assert_eq!(pem(certificate.der()), certificate.pem().replace("\r\n", "\n"));
        assert_eq!(
            pem(&[0; 48]),
            format!(
                "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
                "A".repeat(64)
            )
        );
        assert_eq!(
            pem(&[]),
            "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"
        );
    }
}
