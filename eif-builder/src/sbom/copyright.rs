//! The licences that a Debian copyright file names, where it is in the machine-readable form.
//!
//! Every `Files` paragraph counts, so the result errs on the side of naming too much: which of a source package's files end
//! up in which of its binary packages is not said there. A file in free text says nothing that could be read safely.
//! Source: <https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/>.

use std::collections::BTreeSet;

use super::licence::Licence;
use crate::debian::stanza::stanzas;

/// Longest copyright file that is read.
pub const MAX_BYTES: u64 = 8 << 20;

/// The licence of everything that the file describes; unknown where it is not in that form.
#[must_use]
pub fn licence(text: &str) -> Licence {
    // Comments may stand anywhere, also among the lines of a field.
    let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let text = kept.join("\n");
    let mut paragraphs = stanzas(&text);
    let Some(header) = paragraphs.next() else {
        return Licence::unknown();
    };
    if !matches!(header.pick(["Format"]), Ok([Some(form)]) if form.contains("copyright-format")) {
        return Licence::unknown();
    }
    let mut names = BTreeSet::new();
    for paragraph in paragraphs {
        match paragraph.pick(["Files", "License"]) {
            Ok([None, _]) => {}
            Ok([Some(_), Some(licence)]) => {
                names.insert(licence.lines().next().unwrap_or_default().trim().to_owned());
            }
            // One malformed paragraph makes the whole file doubtful.
            Ok([Some(_), None]) | Err(_) => return Licence::unknown(),
        }
    }
    Licence::of_debian(names.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Source: https://example.org/
Files-Excluded:
 a
# a comment
 b

Files: *
Copyright: somebody
License: GPL-2+
 The whole text.
 .
 More of it.

Files: debian/*
Copyright: somebody else
License: Expat

License: Expat
 Permission is hereby granted
";

    #[test]
    fn every_files_paragraph_counts() {
        assert_eq!(licence(TEXT).expression(), Some("GPL-2.0-or-later AND MIT"));
    }

    #[test]
    fn anything_else_is_unknown() {
        let free = "This package was debianized by somebody.\n\nIt is under the GPL.\n";
        for text in [
            "",
            "\n\n",
            free,
            &TEXT.replace("copyright-format", "other"),
            &TEXT.replace("License: GPL-2+", "Nothing"),
        ] {
            assert_eq!(licence(text), Licence::unknown(), "{text}");
        }
        for cut in 0..TEXT.len() {
            drop(licence(&TEXT[..cut]));
        }
    }
}
