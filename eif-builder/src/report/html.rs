//! Text that can only be written escaped: whatever is not a constant of this program goes through [`Html::text`].

use core::fmt::{self, Display, Write as _};

/// A page in the making.
#[derive(Clone, Debug, Default)]
pub struct Html(String);

impl Html {
    /// An empty page.
    #[must_use]
    pub const fn new() -> Self {
        Self(String::new())
    }

    /// Markup of this program's own. Only a constant can be given, so nothing that was read can get here.
    pub fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Text, in an element or in a quoted attribute. What could be taken for markup is escaped; what cannot be seen or
    /// turns the direction of writing is shown by its number.
    pub fn text(&mut self, text: impl Display) -> &mut Self {
        // Writing to a string cannot fail.
        write!(Escape(&mut self.0), "{text}").ok();
        self
    }

    /// Hexadecimal digits in groups of eight that a narrow page may break between. Copied text has no gaps.
    pub fn hex(&mut self, digits: &str) -> &mut Self {
        self.raw("<code class=\"hex\">");
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && index % 8 == 0 {
                self.raw("<wbr>");
            }
            self.text(digit);
        }
        self.raw("</code>")
    }

    /// A path, which may be broken after each slash.
    pub fn path(&mut self, path: &str) -> &mut Self {
        self.raw("<code>");
        for (index, part) in path.split('/').enumerate() {
            match index {
                0 => {}
                // A line does not end with the slash that the path begins with.
                1 if path.starts_with('/') => drop(self.raw("/")),
                _ => drop(self.raw("/<wbr>")),
            }
            self.text(part);
        }
        self.raw("</code>")
    }

    /// A table cell. On a phone a row becomes a card, and `label` stands before the value.
    pub fn cell(&mut self, label: &'static str, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.raw("<td data-label=\"").raw(label).raw("\"><div>");
        fill(self);
        self.raw("</div></td>")
    }

    /// The head of a table with these columns.
    pub fn columns(&mut self, names: &[&'static str]) -> &mut Self {
        self.raw("<thead><tr>");
        for name in names {
            self.raw("<th scope=\"col\">").raw(name).raw("</th>");
        }
        self.raw("</tr></thead>")
    }

    /// The page as text.
    #[must_use]
    pub fn finish(self) -> String {
        self.0
    }
}

struct Escape<'a>(&'a mut String);

impl fmt::Write for Escape<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' => self.0.push('\n'),
                _ if hidden(character) => write!(self.0, "\u{27e8}U+{:04X}\u{27e9}", u32::from(character))?,
                _ => self.0.push(character),
            }
        }
        Ok(())
    }
}

/// Control characters, and those that are invisible or change the direction of what follows.
fn hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A size for people: `5.54 MB`. Decimal, three digits.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "kB")];
    let Some((unit, name)) = UNITS.iter().find(|(unit, _)| bytes >= *unit) else {
        return format!("{bytes} B");
    };
    // Hundredths, rounded down: a size is never shown larger than it is.
    let hundredths = u128::from(bytes) * 100 / u128::from(*unit);
    let (whole, rest) = (hundredths / 100, hundredths % 100);
    match whole {
        0..10 => format!("{whole}.{rest:02} {name}"),
        10..100 => format!("{whole}.{} {name}", rest / 10),
        _ => format!("{whole} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_was_read_becomes_markup() {
        let mut html = Html::new();
        html.text("<script>alert(\"1\" & '2')</script>")
            .path("/a<b>/\u{202e}c\0")
            .hex("\"><i>");
        let text = html.finish();
        assert_eq!(
            text,
            "&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;\
             <code>/a&lt;b&gt;/<wbr>\u{27e8}U+202E\u{27e9}c\u{27e8}U+0000\u{27e9}</code>\
             <code class=\"hex\">&quot;&gt;&lt;i&gt;</code>"
        );
    }

    #[test]
    fn hex_breaks_without_a_character() {
        let mut html = Html::new();
        html.hex("0123456789abcdef01");
        assert_eq!(
            html.finish(),
            "<code class=\"hex\">01234567<wbr>89abcdef<wbr>01</code>"
        );
    }

    #[test]
    fn sizes_have_three_digits() {
        let all = [
            0,
            999,
            1000,
            5_540_065,
            55_400_000,
            554_000_000,
            1 << 40,
            u64::MAX,
        ]
        .map(size);
        let expected = [
            "0 B",
            "999 B",
            "1.00 kB",
            "5.54 MB",
            "55.4 MB",
            "554 MB",
            "1099 GB",
            "18446744073 GB",
        ];
        assert_eq!(all, expected);
    }
}
