//! Finds the end of a JSON object that arrives in pieces. The protocol has no other framing.
//!
//! It follows brackets and strings, no more: whether the bytes are JSON at all is found when they are read as such. What
//! can never become one object is refused as soon as it is seen, so garbage does not hold a connection until its deadline.
//!
//! Spec: RFC 8259, sections 2 and 7.

/// Bounds of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest message in bytes, white space before it included.
    pub bytes: usize,
    /// Deepest nesting, the object itself being 1; at most 64.
    pub depth: usize,
}

/// Why bytes can never become an acceptable object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The first byte that is not white space is not `{`.
    #[error("not-an-object: the message starts with byte {found:#04x}, expected '{{'")]
    NotObject {
        /// The byte.
        found: u8,
    },
    /// `}` closes `[`, or the other way round.
    #[error("not-json: the bracket at byte {at} closes another kind")]
    Mismatched {
        /// Position of the byte, from 0.
        at: usize,
    },
    /// Nested too deep.
    #[error("too-deep: the message is nested deeper than {limit}")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// Too long.
    #[error("too-large: the message is longer than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}

/// Follows a message that is arriving. It keeps none of its bytes.
#[derive(Clone, Debug)]
pub struct Frame {
    limits: Limits,
    /// Bytes so far.
    length: usize,
    /// One bit for each open bracket, the innermost lowest: 1 for `[`.
    open: u64,
    depth: usize,
    inside: Inside,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    Structure,
    Text,
    /// After a backslash in a text. A `\u` escape has no quote and no backslash in it, so one byte is enough.
    Escape,
}

impl Frame {
    /// Nothing has arrived yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let depth = limits.depth.min(64);
        Self {
            limits: Limits { depth, ..limits },
            length: 0,
            open: 0,
            depth: 0,
            inside: Inside::Structure,
        }
    }

    /// Takes a piece. `Some(n)`: the object ends with the piece's first `n` bytes. Must not be called again then.
    ///
    /// # Errors
    /// [`FrameError`], by its variants.
    pub fn push(&mut self, piece: &[u8]) -> Result<Option<usize>, FrameError> {
        for (index, byte) in piece.iter().enumerate() {
            if self.length >= self.limits.bytes {
                return Err(FrameError::TooLarge {
                    limit: self.limits.bytes,
                });
            }
            let ended = self.step(*byte)?;
            self.length += 1;
            if ended {
                return Ok(Some(index + 1));
            }
        }
        Ok(None)
    }

    /// Whether only white space has arrived.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.depth == 0
    }

    /// Whether the object ends with this byte.
    fn step(&mut self, byte: u8) -> Result<bool, FrameError> {
        match self.inside {
            Inside::Structure => return self.structure(byte),
            Inside::Escape => self.inside = Inside::Text,
            Inside::Text if byte == b'\\' => self.inside = Inside::Escape,
            Inside::Text if byte == b'"' => self.inside = Inside::Structure,
            Inside::Text => {}
        }
        Ok(false)
    }

    /// As [`Frame::step`], for a byte that is in no text.
    fn structure(&mut self, byte: u8) -> Result<bool, FrameError> {
        match byte {
            b'{' => self.enter(0)?,
            b' ' | b'\t' | b'\n' | b'\r' => {}
            found if self.depth == 0 => return Err(FrameError::NotObject { found }),
            b'[' => self.enter(1)?,
            b'"' => self.inside = Inside::Text,
            b'}' | b']' => {
                if (self.open & 1 == 1) != (byte == b']') {
                    return Err(FrameError::Mismatched { at: self.length });
                }
                self.open >>= 1;
                self.depth -= 1;
                return Ok(self.depth == 0);
            }
            _ => {}
        }
        Ok(false)
    }

    fn enter(&mut self, kind: u64) -> Result<(), FrameError> {
        if self.depth >= self.limits.depth {
            return Err(FrameError::TooDeep {
                limit: self.limits.depth,
            });
        }
        self.open = self.open << 1 | kind;
        self.depth += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { bytes: 200, depth: 4 };

    fn feed(pieces: &[&[u8]]) -> Result<Option<Vec<u8>>, FrameError> {
        let mut frame = Frame::new(LIMITS);
        let mut bytes = Vec::new();
        for piece in pieces {
            if let Some(used) = frame.push(piece)? {
                bytes.extend_from_slice(&piece[..used]);
                return Ok(Some(bytes));
            }
            bytes.extend_from_slice(piece);
        }
        Ok(None)
    }

    const SAMPLES: [&str; 6] = [
        "{}",
        " \t\r\n{\"a\":1}",
        r#"{"operation":"attest","nonce":"00ff"}"#,
        r#"{"a":[1,{"b":"}]"},"\"}"],"c":"\\"}"#,
        r#"{"a":"\u007d\\\"","b":[[ ]]}"#,
        "{\"é{\": \"ß]\"}",
    ];

    #[test]
    fn ends_where_the_object_ends_however_it_is_cut() {
        for text in SAMPLES {
            let bytes = text.as_bytes();
            for cut in 0..=bytes.len() {
                let (one, two) = bytes.split_at(cut);
                assert_eq!(
                    feed(&[one, two, b" rest"]),
                    Ok(Some(bytes.to_vec())),
                    "{text} cut at {cut}"
                );
                if cut < bytes.len() {
                    assert_eq!(feed(&[one]), Ok(None), "{text} cut off at {cut}");
                }
            }
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(feed(&single), Ok(Some(bytes.to_vec())));
        }
    }

    #[test]
    fn what_follows_is_not_taken() {
        let mut frame = Frame::new(LIMITS);
        assert_eq!(frame.push(b"{\"a\":{}}{}"), Ok(Some(8)));
    }

    #[test]
    fn what_can_be_no_object_is_refused_at_its_first_byte() {
        for found in (0..=u8::MAX).filter(|b| !b" \t\r\n{".contains(b)) {
            assert_eq!(feed(&[b"  ", &[found]]), Err(FrameError::NotObject { found }));
        }
        assert_eq!(feed(&[b"{]"]), Err(FrameError::Mismatched { at: 1 }));
        assert_eq!(feed(&[b"{\"a\":", b"[}"]), Err(FrameError::Mismatched { at: 6 }));
    }

    #[test]
    fn limits_are_exact() {
        let nested = |n: usize| "{\"a\":".repeat(n) + "1" + &"}".repeat(n);
        assert!(feed(&[nested(4).as_bytes()]).is_ok_and(|found| found.is_some()));
        assert_eq!(
            feed(&[nested(5).as_bytes()]),
            Err(FrameError::TooDeep { limit: 4 })
        );
        let long = |n: usize| format!("{{{}}}", " ".repeat(n - 2));
        assert_eq!(feed(&[long(200).as_bytes()]), Ok(Some(long(200).into_bytes())));
        assert_eq!(
            feed(&[long(201).as_bytes()]),
            Err(FrameError::TooLarge { limit: 200 })
        );
        assert_eq!(
            feed(&[&[b' '; 200], b"{"]),
            Err(FrameError::TooLarge { limit: 200 })
        );
        let deep = Frame::new(Limits {
            bytes: 1000,
            depth: 1000,
        });
        let mut frame = deep.clone();
        assert_eq!(frame.push("{\"a\":".repeat(64).as_bytes()), Ok(None));
        assert_eq!(frame.push(b"["), Err(FrameError::TooDeep { limit: 64 }));
        assert!(deep.is_blank());
    }

    proptest! {
        #[test]
        fn any_object_is_found_whole(value in object(), space in "[ \t\r\n]{0,3}", cuts in proptest::collection::vec(1_usize..9, 0..40)) {
            let text = format!("{space}{value}");
            let mut rest = text.as_bytes();
            let mut pieces = Vec::new();
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            pieces.push(rest);
            let mut frame = Frame::new(Limits { bytes: text.len(), depth: 64 });
            let ends: Vec<Option<usize>> = pieces.iter().filter(|p| !p.is_empty()).map(|p| frame.push(p).unwrap()).collect();
            prop_assert!(ends.last().unwrap().is_some());
            prop_assert!(ends.iter().rev().skip(1).all(Option::is_none));
            let before: usize = pieces.iter().filter(|p| !p.is_empty()).rev().skip(1).map(|p| p.len()).sum();
            prop_assert_eq!(before + ends.last().unwrap().unwrap(), text.len());
        }

        #[test]
        fn no_bytes_lead_to_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut frame = Frame::new(LIMITS);
            match frame.push(&bytes) {
                Ok(used) => prop_assert!(used.is_none_or(|used| (2..=bytes.len()).contains(&used))),
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }
    }

    fn object() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<i64>().prop_map(serde_json::Value::from),
            any::<String>().prop_map(serde_json::Value::from),
        ];
        let inner = leaf.prop_recursive(6, 40, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..5)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        });
        proptest::collection::btree_map(any::<String>(), inner, 0..5)
            .prop_map(|map| serde_json::Value::Object(map.into_iter().collect()))
    }
}
