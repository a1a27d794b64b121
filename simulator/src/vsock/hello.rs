//! The one line with which a host program asks for a port of the guest: `CONNECT <port>\n`, answered `OK <local port>\n`.
//!
//! Source: Firecracker, `docs/vsock.md`, "Host-Initiated Connections" (the convention, not the code).

/// Longest line, its end included, in bytes. `CONNECT 4294967295\n` has 19.
pub const MAX_LINE: usize = 32;

/// What the first bytes of a host program say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hello {
    /// The line has not ended yet.
    Partial,
    /// A whole line: the port, and the length of the line in bytes.
    Connect(u32, usize),
    /// Not such a line.
    Bad,
}

/// Reads the line at the start of `bytes`; what follows it is the connection's.
#[must_use]
pub fn parse(bytes: &[u8]) -> Hello {
    let head = bytes.get(..MAX_LINE).unwrap_or(bytes);
    let Some(end) = head.iter().position(|b| *b == b'\n') else {
        return if head.len() < MAX_LINE {
            Hello::Partial
        } else {
            Hello::Bad
        };
    };
    head.get(..end)
        .and_then(port)
        .map_or(Hello::Bad, |port| Hello::Connect(port, end + 1))
}

fn port(line: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(line.strip_prefix(b"CONNECT ")?).ok()?;
    // `parse` alone would accept a leading plus sign.
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// The answer to a program whose connection is open.
#[must_use]
pub fn ok(local_port: u32) -> String {
    format!("OK {local_port}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_read() {
        assert_eq!(parse(b"CONNECT 5000\nrest"), Hello::Connect(5000, 13));
        assert_eq!(parse(b"CONNECT 4294967295\n"), Hello::Connect(u32::MAX, 19));
        let line = b"CONNECT 4294967295\n";
        for len in 0..line.len() {
            assert_eq!(parse(&line[..len]), Hello::Partial);
        }
    }

    #[test]
    fn anything_else_is_bad() {
        for bad in [
            &b"\n"[..],
            b"CONNECT \n",
            b"CONNECT -1\n",
            b"CONNECT +1\n",
            b"CONNECT 4294967296\n",
            b"connect 1\n",
            b"CONNECT 1 \n",
            b"CONNECT 1\r\n",
            b"CONNECT \xFF\n",
            &[b'C'; MAX_LINE],
            &[b'C'; 4096],
        ] {
            assert_eq!(parse(bad), Hello::Bad, "{}", bad.escape_ascii());
        }
        assert_eq!(parse(&[b'C'; MAX_LINE - 1]), Hello::Partial);
    }
}
