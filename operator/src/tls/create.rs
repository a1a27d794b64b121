//! Making a key and its certificate, or a request for one. P-256: every client knows it, and it is short.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType,
    SerialNumber, date_time_ymd,
};
use zeroize::Zeroizing;

use super::Identity;

/// Longest common name.
///
/// Source: X.520, `ub-common-name`.
const MAX_COMMON_NAME: usize = 64;
/// The certificate is valid from so long before now: clocks differ.
const BACKDATED: Duration = Duration::from_hours(1);

/// A new key with a certificate that it signed itself.
///
/// # Errors
/// Names that a certificate cannot have.
pub fn self_signed(host: &str, sans: &[String], days: u32, now_unix_s: u64) -> anyhow::Result<Identity> {
    let key = KeyPair::generate().context("making a key")?;
    let mut params = params(host, sans)?;
    let now = date_time_ymd(1970, 1, 1) + Duration::from_secs(now_unix_s);
    params.not_before = now - BACKDATED;
    params.not_after = now + Duration::from_secs(u64::from(days) * 86_400);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // 127 bits: positive, and never short.
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial)
        .ok()
        .context("no random numbers")?;
    let [first, ..] = &mut serial;
    *first = *first & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    let certificate = params.self_signed(&key).context("signing the certificate")?;
    Ok(Identity {
        key: Zeroizing::new(key.serialize_der()),
        chain: vec![certificate.der().to_vec()],
    })
}

/// A new key in PEM, and a request for its certificate in PEM.
///
/// # Errors
/// Names that a certificate cannot have.
pub fn request(host: &str, sans: &[String]) -> anyhow::Result<(Zeroizing<String>, String)> {
    let key = KeyPair::generate().context("making a key")?;
    let request = params(host, sans)?
        .serialize_request(&key)
        .context("signing the request")?;
    Ok((
        Zeroizing::new(key.serialize_pem()),
        request.pem().context("writing the request")?,
    ))
}

fn params(host: &str, sans: &[String]) -> anyhow::Result<CertificateParams> {
    ensure!(
        (1..=MAX_COMMON_NAME).contains(&host.len()),
        "host name {host:?} has {} characters; a common name has 1 to {MAX_COMMON_NAME}. Use a shorter name (a CNAME record) for it",
        host.len()
    );
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    for name in std::iter::once(host).chain(sans.iter().map(String::as_str)) {
        let bare = name.strip_prefix("*.").unwrap_or(name);
        let good = name.parse::<std::net::IpAddr>().is_ok() || bare.split('.').all(label);
        ensure!(good, "{name:?} is neither a host name nor an IP address");
    }
    let mut names = vec![host.to_owned()];
    names.extend(sans.iter().filter(|name| *name != host).cloned());
    let mut params = CertificateParams::new(names).context("host names")?;
    debug_assert!(
        params
            .subject_alt_names
            .iter()
            .all(|n| matches!(n, SanType::DnsName(_) | SanType::IpAddress(_)))
    );
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, host);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    Ok(params)
}
