//! Splits the command line into options, exactly as the C tool does.
//!
//! Its rules (aws-c-common, `command_line_parser.c`): a long option matches exactly and its value is the next argument,
//! whatever that looks like; a short option is the first letter after one dash, the rest of that argument is ignored; the
//! last of several wins. Our own options have no short form and also take `--name=value`.

/// An option. The first eleven are the C tool's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opt {
    Region,
    ProxyPort,
    AccessKeyId,
    SecretAccessKey,
    SessionToken,
    Ciphertext,
    KeyId,
    KeySpec,
    Algorithm,
    Length,
    Help,
    Credentials,
    CaFile,
    Fips,
    VpcEndpoint,
    ExitCodes,
    Context,
    Batch,
    Concurrency,
    KeyPairSpec,
    Nonce,
    UserData,
}

/// Option, long name, short name of the C tool, whether a value follows.
const OPTIONS: [(Opt, &str, Option<u8>, bool); 22] = [
    (Opt::Region, "region", Some(b'r'), true),
    (Opt::ProxyPort, "proxy-port", Some(b'x'), true),
    (Opt::AccessKeyId, "aws-access-key-id", Some(b'k'), true),
    (Opt::SecretAccessKey, "aws-secret-access-key", Some(b's'), true),
    (Opt::SessionToken, "aws-session-token", Some(b't'), true),
    (Opt::Ciphertext, "ciphertext", Some(b'c'), true),
    (Opt::KeyId, "key-id", Some(b'K'), true),
    (Opt::KeySpec, "key-spec", Some(b'p'), true),
    (Opt::Algorithm, "encryption-algorithm", Some(b'a'), true),
    (Opt::Length, "length", Some(b'l'), true),
    (Opt::Help, "help", Some(b'h'), false),
    (Opt::Credentials, "credentials", None, true),
    (Opt::CaFile, "ca-file", None, true),
    (Opt::Fips, "fips", None, false),
    (Opt::VpcEndpoint, "vpc-endpoint", None, true),
    (Opt::ExitCodes, "exit-codes", None, true),
    (Opt::Context, "encryption-context", None, true),
    (Opt::Batch, "batch", None, false),
    (Opt::Concurrency, "concurrency", None, true),
    (Opt::KeyPairSpec, "key-pair-spec", None, true),
    (Opt::Nonce, "nonce", None, true),
    (Opt::UserData, "user-data", None, true),
];

impl Opt {
    /// Its long name without the dashes.
    pub(crate) fn name(self) -> &'static str {
        OPTIONS
            .iter()
            .find(|(opt, ..)| *opt == self)
            .map_or("", |(_, name, ..)| name)
    }

    /// The C tool does not know it.
    pub(crate) fn is_ours(self) -> bool {
        OPTIONS
            .iter()
            .any(|&(opt, _, short, _)| opt == self && short.is_none())
    }
}

/// One step of the command line. No `Debug`: a value may be a credential.
pub(crate) enum Token {
    /// An option with its value, empty when it takes none.
    Known(Opt, String),
    /// Not an option, or one without its value. Holds its name, never a value.
    Unknown(String),
}

/// The tokens of `arguments`, which start after the sub-command.
pub(crate) fn tokens(arguments: Vec<String>) -> impl Iterator<Item = Token> {
    let mut rest = arguments.into_iter();
    std::iter::from_fn(move || {
        let argument = rest.next()?;
        let unknown = || {
            let name = if argument.starts_with('-') {
                argument.split('=').next()
            } else {
                None
            };
            Some(Token::Unknown(name.unwrap_or("argument").to_owned()))
        };
        let Some((opt, takes_value, attached)) = find(&argument) else {
            return unknown();
        };
        match (takes_value, attached) {
            (true, Some(value)) => Some(Token::Known(opt, value.to_owned())),
            (true, None) => rest
                .next()
                .map_or_else(unknown, |value| Some(Token::Known(opt, value))),
            (false, Some(_)) => unknown(),
            (false, None) => Some(Token::Known(opt, String::new())),
        }
    })
}

fn find(argument: &str) -> Option<(Opt, bool, Option<&str>)> {
    if let Some(long) = argument.strip_prefix("--") {
        let (name, value) = long
            .split_once('=')
            .map_or((long, None), |(name, value)| (name, Some(value)));
        let &(opt, _, short, takes_value) = OPTIONS.iter().find(|(_, option, ..)| *option == name)?;
        // The C tool compares the whole argument, so its own options have no attached value.
        return (value.is_none() || short.is_none()).then_some((opt, takes_value, value));
    }
    let &letter = argument.strip_prefix('-')?.as_bytes().first()?;
    let &(opt, _, _, takes_value) = OPTIONS.iter().find(|(_, _, short, _)| *short == Some(letter))?;
    Some((opt, takes_value, None))
}

/// A number as C's `atoi` reads it, then stored in 32 bits without sign: leading space, sign, digits; else 0.
pub(crate) fn atoi(text: &str) -> u32 {
    let text = text.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = digits
        .bytes()
        .take_while(u8::is_ascii_digit)
        .fold(0_i64, |value, digit| {
            let digit = i64::from(digit - b'0');
            // glibc's limits: the result saturates before it is cut to 32 bits.
            if negative {
                value.saturating_mul(10).saturating_sub(digit)
            } else {
                value.saturating_mul(10).saturating_add(digit)
            }
        });
    u32::try_from(value.rem_euclid(1 << 32)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Vec<String> {
        tokens(arguments.iter().map(ToString::to_string).collect())
            .map(|token| match token {
                Token::Known(opt, value) => format!("{opt:?}={value}"),
                Token::Unknown(name) => format!("?{name}"),
            })
            .collect()
    }

    #[test]
    fn quirks() {
        for (arguments, expected) in [
            (&["--region", "a", "-r", "b"][..], &["Region=a", "Region=b"][..]),
            (&["-rfoo", "us-west-2"], &["Region=us-west-2"]),
            (&["-region", "x"], &["Region=x"]),
            (&["--region", "--help"], &["Region=--help"]),
            (&["--region=a"], &["?--region"]),
            (&["--regio", "a"], &["?--regio", "?argument"]),
            (&["--region"], &["?--region"]),
            (&["--", "-", "", "x"], &["?--", "?-", "?argument", "?argument"]),
            (&["-é", "-Z"], &["?-é", "?-Z"]),
            (&["-h", "--help"], &["Help=", "Help="]),
            (&["--batch", "--fips=1"], &["Batch=", "?--fips"]),
            (
                &["--encryption-context=a=b", "--encryption-context", "c=d"],
                &["Context=a=b", "Context=c=d"],
            ),
            (&["--secret=PLANTED"], &["?--secret"]),
        ] {
            assert_eq!(parsed(arguments), expected, "{arguments:?}");
        }
    }

    #[test]
    fn numbers_as_in_c() {
        for (text, value) in [
            ("8000", 8000),
            (" \t+42x", 42),
            ("", 0),
            ("x1", 0),
            ("- 1", 0),
            ("-1", u32::MAX),
            ("-5", u32::MAX - 4),
            ("4294967296", 0),
            ("99999999999999999999", u32::MAX),
            ("-99999999999999999999", 0),
        ] {
            assert_eq!(atoi(text), value, "{text}");
        }
    }
}
