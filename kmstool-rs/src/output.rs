//! The lines on standard output: `NAME: base64`, nothing else ever. Buffers with plaintexts are wiped.

use std::io::{self, Write};

use base64ct::{Base64, Encoding as _};
use zeroize::Zeroizing;

/// Base64 that is wiped when dropped.
pub(crate) fn secret_base64(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(Base64::encode_string(bytes))
}

/// Writes the values in order, each as one line, in one write.
///
/// # Errors
/// Those of `out`.
pub fn lines(out: &mut dyn Write, values: &[(&str, &[u8])]) -> io::Result<()> {
    let size = values
        .iter()
        .map(|(name, bytes)| name.len() + 3 + bytes.len().div_ceil(3) * 4)
        .sum();
    // Room for all at once: growing would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(size));
    for (name, bytes) in values {
        text.extend([name, ": ", &secret_base64(bytes), "\n"]);
    }
    out.write_all(text.as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_each() {
        let mut out = Vec::new();
        lines(&mut out, &[("CIPHERTEXT", &[1, 2, 3]), ("PLAINTEXT", &[])]).unwrap();
        lines(&mut out, &[("PLAINTEXT", &[0xFF])]).unwrap();
        assert_eq!(out, b"CIPHERTEXT: AQID\nPLAINTEXT: \nPLAINTEXT: /w==\n");
    }
}
