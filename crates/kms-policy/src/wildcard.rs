//! The `*` and `?` patterns of IAM. It knows nothing of what is matched.

/// Whether `text` matches `pattern`, in which `*` stands for any run of characters (also none) and `?` for one.
///
/// Works on characters and keeps one point to go back to, so the cost is at most
/// `pattern.len() * text.len()` steps whatever the pattern says.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let mut pattern = pattern.chars();
    let mut text = text.chars();
    // After a star: the pattern behind it, and the text from which that is tried next.
    let mut retry = None;
    loop {
        let text_here = text.clone();
        let step = match (pattern.next(), text.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                text = text_here;
                retry = Some((pattern.clone(), text.clone()));
                continue;
            }
            (Some('?'), Some(_)) => true,
            (Some(p), Some(t)) => p == t,
            (None, Some(_)) => false,
            // The text is used up and a literal is still wanted: going back only makes the text shorter.
            (Some(_), None) => return false,
        };
        if step {
            continue;
        }
        let Some((after_star, from)) = retry.as_mut() else {
            return false;
        };
        if from.next().is_none() {
            return false;
        }
        pattern = after_star.clone();
        text = from.clone();
    }
}

/// As [`matches()`], with ASCII letters compared without regard to case.
pub(crate) fn matches_ignore_case(pattern: &str, text: &str) -> bool {
    matches(&pattern.to_ascii_lowercase(), &text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition itself, exponential and obviously right.
    fn reference(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|n| reference(rest, &text[n..])),
            Some(('?', rest)) => !text.is_empty() && reference(rest, &text[1..]),
            Some((c, rest)) => text.first() == Some(c) && reference(rest, &text[1..]),
        }
    }

    #[test]
    fn agrees_with_the_definition() {
        fn words(letters: &[char], longest: usize) -> Vec<Vec<char>> {
            let mut all = vec![vec![]];
            let mut last = all.clone();
            for _ in 0..longest {
                last = last
                    .iter()
                    .flat_map(|w| letters.iter().map(|c| [w.as_slice(), &[*c]].concat()))
                    .collect();
                all.extend(last.clone());
            }
            all
        }
        let mut seen = 0;
        for pattern in words(&['a', 'b', '*', '?'], 4) {
            for text in words(&['a', 'b'], 5) {
                let (p, t): (String, String) = (pattern.iter().collect(), text.iter().collect());
                assert_eq!(matches(&p, &t), reference(&pattern, &text), "{p:?} against {t:?}");
                seen += 1;
            }
        }
        assert_eq!(seen, 341 * 63);
    }

    #[test]
    fn stays_cheap_on_hostile_patterns() {
        let pattern = "a*".repeat(2000) + "b";
        assert!(!matches(&pattern, &"a".repeat(8000)));
    }

    #[test]
    fn case_is_ignored_only_when_asked() {
        assert!(!matches("kms:de*", "kms:Decrypt"));
        assert!(matches_ignore_case("KMS:de*", "kms:Decrypt"));
    }
}
