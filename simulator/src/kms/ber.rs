//! Writes BER: tags with definite lengths in their shortest form, or with indefinite ones.

/// SEQUENCE, constructed.
pub(crate) const SEQUENCE: u8 = 0x30;
/// SET, constructed.
pub(crate) const SET: u8 = 0x31;
/// INTEGER.
pub(crate) const INTEGER: u8 = 0x02;
/// OCTET STRING, primitive.
pub(crate) const OCTET_STRING: u8 = 0x04;
/// NULL.
pub(crate) const NULL: u8 = 0x05;
/// OBJECT IDENTIFIER.
pub(crate) const OID: u8 = 0x06;

/// Tag, shortest definite length, contents.
pub(crate) fn definite(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let length: usize = contents.iter().map(|part| part.len()).sum();
    let mut bytes = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => bytes.push(short),
        _ => {
            let long = length.to_be_bytes();
            let digits: Vec<u8> = long.into_iter().skip_while(|byte| *byte == 0).collect();
            // A usize has at most 8 bytes.
            bytes.push(0x80 | u8::try_from(digits.len()).unwrap_or(8));
            bytes.extend(digits);
        }
    }
    bytes.extend(contents.concat());
    bytes
}

/// Tag, indefinite length, contents, end-of-contents.
pub(crate) fn indefinite(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![tag, 0x80];
    bytes.extend(contents.concat());
    bytes.extend([0, 0]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_the_shortest() {
        let head = |length: usize, n: usize| definite(4, &[&vec![0; length]])[..n].to_vec();
        assert_eq!(head(0, 2), [4, 0]);
        assert_eq!(head(127, 2), [4, 127]);
        assert_eq!(head(128, 3), [4, 0x81, 128]);
        assert_eq!(head(255, 3), [4, 0x81, 255]);
        assert_eq!(head(256, 4), [4, 0x82, 1, 0]);
        assert_eq!(head(70_000, 5), [4, 0x83, 1, 0x11, 0x70]);
        assert_eq!(indefinite(0x30, &[&[1], &[2]]), [0x30, 0x80, 1, 2, 0, 0]);
    }
}
