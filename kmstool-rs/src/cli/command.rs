//! From options to a command: the checks of the C tool in its order and words, and ours.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::args::{Opt, Token, atoi, tokens};
use super::{exit, usage};
use crate::client::MAX_SESSIONS;
use crate::request::{DataKeySpec, EncryptionContext};
use crate::secret::Secret;

/// A sub-command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Decrypt,
    Genkey,
    Genrandom,
    KeyPair,
    Attest,
    Other,
}

impl Verb {
    fn of(name: &str) -> Self {
        match name {
            "decrypt" => Self::Decrypt,
            "genkey" => Self::Genkey,
            "genrandom" => Self::Genrandom,
            "generate-data-key-pair" => Self::KeyPair,
            "attest" => Self::Attest,
            _ => Self::Other,
        }
    }

    /// The C tool does not have it.
    const fn is_ours(self) -> bool {
        matches!(self, Self::KeyPair | Self::Attest)
    }

    /// Whether the sub-command reads this option; the C tool has opinions on those that it does not read.
    fn reads(self, opt: Opt) -> bool {
        match opt {
            Opt::Help => true,
            Opt::Region | Opt::ProxyPort | Opt::AccessKeyId | Opt::SecretAccessKey | Opt::SessionToken => {
                self != Self::Attest
            }
            Opt::Credentials | Opt::CaFile | Opt::Fips | Opt::VpcEndpoint => {
                !matches!(self, Self::Attest | Self::Other)
            }
            Opt::ExitCodes => self != Self::Other,
            Opt::Ciphertext | Opt::Algorithm | Opt::Batch | Opt::Concurrency => self == Self::Decrypt,
            Opt::KeyId | Opt::Context => matches!(self, Self::Decrypt | Self::Genkey | Self::KeyPair),
            Opt::KeySpec => self == Self::Genkey,
            Opt::Length => self == Self::Genrandom,
            Opt::KeyPairSpec => self == Self::KeyPair,
            Opt::Nonce | Opt::UserData => self == Self::Attest,
        }
    }
}

/// Why nothing is run: what to print, and the exit code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) text: String,
    pub(crate) code: u8,
}

/// Where credentials come from.
#[derive(Debug)]
pub(crate) enum Source {
    Given {
        id: Secret<String>,
        key: Secret<String>,
        token: Secret<String>,
    },
    Descriptor(i32),
    File(PathBuf),
    Environment,
}

/// Which endpoint of the region.
#[derive(Debug, Default)]
pub(crate) enum Place {
    #[default]
    Standard,
    Fips,
    Vpc(String),
}

/// Everything the command line says.
#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) region: Option<String>,
    pub(crate) proxy_port: Option<u32>,
    pub(crate) credentials: Option<Source>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) place: Place,
    pub(crate) detailed: bool,
    pub(crate) ciphertext: Option<String>,
    pub(crate) key_id: Option<String>,
    pub(crate) algorithm: Option<String>,
    pub(crate) key_spec: Option<DataKeySpec>,
    pub(crate) length: Option<u32>,
    pub(crate) context: EncryptionContext,
    pub(crate) batch: bool,
    pub(crate) concurrency: usize,
    pub(crate) key_pair_spec: Option<String>,
    pub(crate) nonce: Option<Vec<u8>>,
    pub(crate) user_data: Option<Vec<u8>>,
    id: Option<Secret<String>>,
    key: Option<Secret<String>>,
    token: Option<Secret<String>>,
    pairs: BTreeMap<String, String>,
    /// The first argument that is no option, where the C tool would go on.
    ignored: Option<String>,
    ours: bool,
}

/// Reads a whole command line, without the program's name.
pub(crate) fn parse(mut arguments: Vec<String>) -> Result<(Verb, Options), Refusal> {
    if arguments.is_empty() {
        return Err(Refusal {
            text: usage::COMMANDS.to_owned(),
            code: exit::COMPAT_USAGE,
        });
    }
    let verb = Verb::of(&arguments.remove(0));
    let tokens: Vec<_> = tokens(arguments).collect();
    let mut options = Options {
        detailed: detailed(verb, &tokens),
        concurrency: 1,
        ..Options::default()
    };
    for token in tokens {
        options.take(verb, token)?;
    }
    options.check(verb)?;
    Ok((verb, options))
}

/// The exit code of a command line that cannot be read.
pub(crate) fn usage_code(mut arguments: Vec<String>) -> u8 {
    if arguments.is_empty() {
        return exit::COMPAT_USAGE;
    }
    let verb = Verb::of(&arguments.remove(0));
    exit::usage(detailed(verb, &tokens(arguments).collect::<Vec<_>>()))
}

/// Which exit codes the line asks for, wherever it says so: also for what is wrong before that place.
fn detailed(verb: Verb, tokens: &[Token]) -> bool {
    let asked = tokens.iter().rev().find_map(|token| match token {
        Token::Known(Opt::ExitCodes, value) if verb.reads(Opt::ExitCodes) => choice(value),
        _ => None,
    });
    asked.unwrap_or_else(|| verb.is_ours())
}

/// The value of `--exit-codes`: whether they are the detailed ones.
fn choice(value: &str) -> Option<bool> {
    match value {
        "detailed" => Some(true),
        "compat" => Some(false),
        _ => None,
    }
}

impl Options {
    fn refusal(&self, text: impl Into<String>) -> Refusal {
        Refusal {
            text: text.into() + "\n",
            code: exit::usage(self.detailed),
        }
    }

    fn with_usage(&self, verb: Verb, line: &str) -> Refusal {
        self.refusal(format!("{line}\n{}", usage::of(verb)))
    }

    fn take(&mut self, verb: Verb, token: Token) -> Result<(), Refusal> {
        let (opt, value) = match token {
            Token::Known(opt, value) => (opt, value),
            // In the words of the C tool.
            Token::Unknown(_) if verb == Verb::Decrypt => {
                return Err(self.with_usage(verb, "Unknown option: (null)"));
            }
            Token::Unknown(name) => return self.ignore(verb, name),
        };
        self.ours |= opt.is_ours();
        if verb.reads(opt) {
            return self.set(verb, opt, value);
        }
        if verb == Verb::Decrypt && !opt.is_ours() {
            // The C tool names the value of an option that another sub-command reads, and nothing else.
            return Err(self.with_usage(verb, &format!("Unknown option: {value}")));
        }
        self.ignore(verb, format!("--{}", opt.name()))
    }

    /// The C tool passes over what `genkey` and `genrandom` do not know; the others never do.
    fn ignore(&mut self, verb: Verb, name: String) -> Result<(), Refusal> {
        if verb == Verb::Decrypt || verb.is_ours() {
            return Err(self.with_usage(verb, &format!("Unknown option: {name}")));
        }
        self.ignored.get_or_insert(name);
        Ok(())
    }

    fn set(&mut self, verb: Verb, opt: Opt, value: String) -> Result<(), Refusal> {
        let elsewhere = matches!(
            (opt, &self.place),
            (Opt::Fips, Place::Vpc(_)) | (Opt::VpcEndpoint, Place::Fips)
        );
        if elsewhere {
            return Err(self.refusal(
                "--fips and --vpc-endpoint exclude each other: give the FIPS name of the endpoint",
            ));
        }
        match opt {
            Opt::Region => self.region = Some(value),
            Opt::ProxyPort => self.proxy_port = Some(atoi(&value)),
            Opt::AccessKeyId => self.id = Some(Secret::new(value)),
            Opt::SecretAccessKey => self.key = Some(Secret::new(value)),
            Opt::SessionToken => self.token = Some(Secret::new(value)),
            Opt::Ciphertext => self.ciphertext = Some(value),
            Opt::KeyId => self.key_id = Some(value),
            Opt::Algorithm => self.algorithm = Some(value),
            Opt::Length => self.length = Some(atoi(&value)),
            Opt::Fips => self.place = Place::Fips,
            Opt::Batch => self.batch = true,
            Opt::CaFile => self.ca_file = Some(PathBuf::from(value)),
            Opt::VpcEndpoint => self.place = Place::Vpc(value),
            Opt::KeyPairSpec => self.key_pair_spec = Some(value),
            // The C tool's help is a failure; ours is an answer.
            Opt::Help if verb.is_ours() => {
                return Err(Refusal {
                    text: usage::of(verb),
                    code: 0,
                });
            }
            Opt::Help if verb == Verb::Other => {}
            Opt::Help => {
                return Err(Refusal {
                    text: usage::of(verb),
                    code: exit::COMPAT_USAGE,
                });
            }
            Opt::KeySpec => match value.as_str() {
                "AES-256" => self.key_spec = Some(DataKeySpec::Aes256),
                "AES-128" => self.key_spec = Some(DataKeySpec::Aes128),
                other => return Err(self.with_usage(verb, &format!("Unknown key spec: {other}"))),
            },
            Opt::Credentials => self.credentials = Some(self.source(&value)?),
            Opt::ExitCodes => {
                choice(&value).ok_or_else(|| self.refusal("--exit-codes must be compat or detailed"))?;
            }
            Opt::Context => {
                let pair = value.split_once('=').filter(|(name, _)| !name.is_empty());
                let (name, value) =
                    pair.ok_or_else(|| self.refusal("--encryption-context must be NAME=VALUE"))?;
                if self.pairs.insert(name.to_owned(), value.to_owned()).is_some() {
                    return Err(self.refusal(format!("--encryption-context names {name:?} twice")));
                }
            }
            Opt::Concurrency => {
                let number = value
                    .parse()
                    .ok()
                    .filter(|number| (1..=MAX_SESSIONS).contains(number));
                self.concurrency = number.ok_or_else(|| self.refusal("--concurrency must be 1 to 16"))?;
            }
            Opt::Nonce => self.nonce = Some(self.bytes("--nonce", &value)?),
            Opt::UserData => self.user_data = Some(self.bytes("--user-data", &value)?),
        }
        Ok(())
    }

    fn source(&self, value: &str) -> Result<Source, Refusal> {
        if value == "env" {
            return Ok(Source::Environment);
        }
        if let Some(path) = value.strip_prefix("file:").filter(|path| !path.is_empty()) {
            return Ok(Source::File(PathBuf::from(path)));
        }
        let number = value
            .strip_prefix("fd:")
            .and_then(|number| number.parse::<u16>().ok());
        let number = number.ok_or_else(|| self.refusal("--credentials must be fd:N, file:PATH or env"))?;
        Ok(Source::Descriptor(number.into()))
    }

    fn bytes(&self, name: &str, value: &str) -> Result<Vec<u8>, Refusal> {
        let bytes = hex::decode(value)
            .ok()
            .filter(|bytes| bytes.len() <= nsm::MAX_DATA_BYTES);
        bytes.ok_or_else(|| {
            self.refusal(format!(
                "{name} must be hexadecimal, at most {} bytes",
                nsm::MAX_DATA_BYTES
            ))
        })
    }

    fn check(&mut self, verb: Verb) -> Result<(), Refusal> {
        let must = |name: &str| format!("--{name} must be set");
        if let Some(name) = self.ignored.take().filter(|_| self.ours) {
            // A script for the C tool has none of our options; with them, a misspelt one must not get lost.
            return Err(self.with_usage(verb, &format!("Unknown option: {name}")));
        }
        if verb == Verb::Attest {
            return Ok(());
        }
        self.check_credentials()?;
        self.context = EncryptionContext::new(std::mem::take(&mut self.pairs))
            .map_err(|error| self.refusal(error.to_string()))?;
        let missing = match verb {
            Verb::Decrypt if self.batch && self.ciphertext.is_some() => {
                return Err(self.refusal("--batch and --ciphertext exclude each other"));
            }
            Verb::Decrypt if self.batch && matches!(self.credentials, Some(Source::Descriptor(0))) => {
                return Err(self.refusal("--batch and --credentials fd:0 both read standard input"));
            }
            Verb::Decrypt => (self.ciphertext.is_none() && !self.batch).then(|| must("ciphertext")),
            Verb::Genkey | Verb::KeyPair if self.key_id.is_none() => Some(must("key-id")),
            Verb::Genkey => self.key_spec.is_none().then(|| must("key-spec")),
            Verb::KeyPair => self.key_pair_spec.is_none().then(|| must("key-pair-spec")),
            Verb::Genrandom => match self.length {
                // The C tool's mark for "not given" is this number too.
                None | Some(u32::MAX) => Some(must("length")),
                Some(0) => Some("--length must be greater than 0".to_owned()),
                Some(1..=1024) => None,
                Some(_) => Some("--length must be smaller or equal to 1024".to_owned()),
            },
            Verb::Attest => None,
            Verb::Other => {
                return Err(Refusal {
                    text: usage::COMMANDS.to_owned(),
                    code: exit::COMPAT_USAGE,
                });
            }
        };
        missing.map_or(Ok(()), |text| Err(self.refusal(text)))
    }

    /// All three on the command line, in the C tool's order, or one other source.
    fn check_credentials(&mut self) -> Result<(), Refusal> {
        let given = (self.id.take(), self.key.take(), self.token.take());
        if self.credentials.is_some() {
            return match given {
                (None, None, None) => Ok(()),
                _ => {
                    Err(self.refusal("--credentials and credentials on the command line exclude each other"))
                }
            };
        }
        let must = |name: &str| self.refusal(format!("--{name} must be set"));
        let (id, key, token) = given;
        self.credentials = Some(Source::Given {
            id: id.ok_or_else(|| must("aws-access-key-id"))?,
            key: key.ok_or_else(|| must("aws-secret-access-key"))?,
            token: token.ok_or_else(|| must("aws-session-token"))?,
        });
        Ok(())
    }
}
