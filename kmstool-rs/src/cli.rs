//! The program, from its arguments to its exit code. Everything that it touches outside is passed in ([`Outside`]).
//!
//! The three sub-commands of the C tool behave as there: arguments, messages, output and exit codes (0, 1, 255).

mod args;
mod command;
mod exit;
mod usage;

use std::ffi::OsString;
use std::io::{self, BufRead, Write};
use std::sync::Arc;

use nsm::{Nsm, NsmError, RecipientNsm};

use crate::batch::{self, BatchError, Defaults, Summary, chain};
use crate::client::{Client, ClientError, Settings, World};
use crate::clock::{Clock, Jitter};
use crate::credentials::{Credentials, CredentialsError};
use crate::endpoint::{Endpoint, EndpointError, Region};
use crate::key_id::KeyId;
use crate::ops::{Decrypt, GenerateDataKey, GenerateDataKeyPair, GenerateRandom};
use crate::output;
use crate::request::{EncryptionAlgorithm, RequestError};
use crate::retry::Policy;
use crate::service_error::Class;
use crate::tls::{self, TlsError};
use crate::transport::{Connect, Times};
use command::{Options, Place, Refusal, Source, Verb};

/// The world around the program.
#[expect(missing_debug_implementations, reason = "trait objects have nothing to show")]
pub struct Outside<'a> {
    /// A variable of the environment.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// Standard input, for a batch.
    pub stdin: Box<dyn BufRead + Send>,
    /// Standard output.
    pub stdout: &'a mut dyn Write,
    /// Standard error.
    pub stderr: &'a mut dyn Write,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub jitter: Arc<dyn Jitter>,
    /// Opens the security module.
    pub nsm: &'a dyn Fn() -> Result<Box<dyn RecipientNsm + Send>, NsmError>,
    /// The proxy at a port of the parent.
    pub proxy: &'a dyn Fn(u32) -> Arc<dyn Connect>,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot use the credentials")]
    Credentials(#[from] CredentialsError),
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Nsm(#[from] NsmError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error("cannot write the answer")]
    Output(#[source] io::Error),
    #[error("cannot start")]
    Runtime(#[source] io::Error),
    #[error("{} of {} items failed", .0.failed, .0.failed + .0.decrypted)]
    Items(Summary),
}

impl Failure {
    /// The detailed exit code.
    fn code(&self) -> u8 {
        exit::of(match self {
            Self::Credentials(_) => Class::Credentials,
            Self::Endpoint(_) | Self::Request(_) | Self::Batch(BatchError::Read(_)) => Class::Usage,
            Self::Tls(_) => Class::Tls,
            Self::Nsm(_) => Class::Nsm,
            Self::Client(error) => error.class(),
            Self::Batch(_) | Self::Output(_) | Self::Runtime(_) => return exit::NO_OUTPUT,
            Self::Items(_) => return exit::SOME_FAILED,
        })
    }
}

/// Runs the program; `arguments` are without its name. Gives the exit code.
///
/// Nothing but results is written to standard output, and only when all went well (a batch: as each line is done).
pub fn run(arguments: Vec<OsString>, mut outside: Outside<'_>) -> u8 {
    let (verb, options) = match text(arguments).and_then(command::parse) {
        Ok(parsed) => parsed,
        Err(Refusal { text, code }) => {
            // With nowhere to say why, the exit code still says it.
            outside.stderr.write_all(text.as_bytes()).unwrap_or_default();
            return code;
        }
    };
    let detailed = options.detailed;
    let Err(failure) = execute(verb, options, &mut outside) else {
        return 0;
    };
    let last = match verb {
        Verb::Decrypt => "Could not decrypt",
        Verb::Genkey => "Could not generate data key",
        Verb::Genrandom => "Could not generate random bytes",
        Verb::KeyPair => "Could not generate data key pair",
        Verb::Attest | Verb::Other => "Could not attest",
    };
    writeln!(outside.stderr, "{}\n{last}", chain(&failure)).unwrap_or_default();
    if detailed {
        failure.code()
    } else {
        exit::COMPAT_FAILURE
    }
}

fn text(arguments: Vec<OsString>) -> Result<Vec<String>, Refusal> {
    let readable = arguments.iter().all(|argument| argument.to_str().is_some());
    let lossy = |argument: OsString| argument.to_string_lossy().into_owned();
    let texts: Vec<String> = arguments
        .into_iter()
        .map(|argument| argument.into_string().unwrap_or_else(lossy))
        .collect();
    if readable {
        return Ok(texts);
    }
    Err(Refusal {
        text: "arguments must be UTF-8 text\n".to_owned(),
        code: command::usage_code(texts),
    })
}

fn execute(verb: Verb, mut options: Options, outside: &mut Outside<'_>) -> Result<(), Failure> {
    if verb == Verb::Attest {
        let nsm = (outside.nsm)()?;
        let document = attest(&*nsm, &options)?;
        return output::lines(outside.stdout, &[("DOCUMENT", &document)]).map_err(Failure::Output);
    }
    // What can be wrong without asking anyone comes first.
    let mut job = Job::new(verb, &options)?;
    if let Job::Batch(_, input) = &mut job {
        *input = std::mem::replace(&mut outside.stdin, Box::new(io::empty()));
    }
    let settings = settings(&mut options, outside)?;
    let world = World {
        connect: (outside.proxy)(options.proxy_port.unwrap_or(abi::vsock::KMS_PROXY_PORT)),
        nsm: (outside.nsm)()?,
        clock: Arc::clone(&outside.clock),
        jitter: Arc::clone(&outside.jitter),
    };
    let client = Client::new(settings, world)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build();
    runtime
        .map_err(Failure::Runtime)?
        .block_on(job.run(&client, outside.stdout))
}

/// A document without public key: this function cannot ask for another.
fn attest(nsm: &dyn Nsm, options: &Options) -> Result<Vec<u8>, NsmError> {
    nsm.attest(options.user_data.as_deref(), options.nonce.as_deref())
}

fn settings(options: &mut Options, outside: &Outside<'_>) -> Result<Settings, Failure> {
    let region = Region::new(options.region.as_deref().unwrap_or("us-east-1"))?;
    let endpoint = match &options.place {
        Place::Standard => Endpoint::standard(region),
        Place::Fips => Endpoint::fips(region),
        Place::Vpc(name) => Endpoint::vpc(region, name)?,
    };
    let credentials = match options.credentials.take() {
        Some(Source::Given { id, key, token }) => Credentials::new(id, key, Some(token))?,
        Some(Source::Descriptor(number)) => Credentials::from_descriptor(number)?,
        Some(Source::File(path)) => Credentials::from_file(&path)?,
        Some(Source::Environment) | None => Credentials::from_variables(outside.variable)?,
    };
    let tls = options
        .ca_file
        .as_deref()
        .map_or_else(tls::from_system, tls::from_file)?;
    Ok(Settings {
        endpoint,
        credentials,
        tls,
        sessions: options.concurrency,
        policy: Policy::DEFAULT,
        times: Times::DEFAULT,
    })
}

/// What to ask KMS, already within its limits.
enum Job {
    Decrypt(Decrypt),
    Batch(Defaults, Box<dyn BufRead + Send>),
    Key(GenerateDataKey),
    KeyPair(GenerateDataKeyPair),
    Random(GenerateRandom),
}

impl Job {
    fn new(verb: Verb, options: &Options) -> Result<Self, RequestError> {
        let key_id = options.key_id.as_deref().map(KeyId::new).transpose()?;
        let context = options.context.clone();
        // The C tool looks at the algorithm only beside a key id.
        let algorithm = options.algorithm.as_deref().filter(|_| key_id.is_some());
        let algorithm = algorithm.map(EncryptionAlgorithm::from_name).transpose()?;
        let pinned = || key_id.clone().ok_or(RequestError::KeyId);
        Ok(match verb {
            Verb::Decrypt if options.batch => Self::Batch(
                Defaults {
                    key_id,
                    algorithm,
                    context,
                },
                Box::new(io::empty()),
            ),
            Verb::Genkey => {
                let spec = options.key_spec.ok_or(RequestError::KeyPairSpec)?;
                Self::Key(GenerateDataKey {
                    key_id: pinned()?,
                    spec,
                    context,
                })
            }
            Verb::KeyPair => {
                let spec = options.key_pair_spec.as_deref().unwrap_or_default();
                let mut request = GenerateDataKeyPair::new(pinned()?, spec)?;
                request.context = context;
                Self::KeyPair(request)
            }
            Verb::Genrandom => {
                let length = options.length.unwrap_or_default();
                Self::Random(GenerateRandom::new(u16::try_from(length).unwrap_or(u16::MAX))?)
            }
            Verb::Decrypt | Verb::Attest | Verb::Other => {
                let mut request = Decrypt::from_base64(options.ciphertext.as_deref().unwrap_or_default())?;
                (request.key_id, request.algorithm, request.context) = (key_id, algorithm, context);
                Self::Decrypt(request)
            }
        })
    }

    async fn run(self, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
        let written = match self {
            Self::Decrypt(request) => {
                let decrypted = client.call(&request).await?;
                output::lines(out, &[("PLAINTEXT", decrypted.plaintext.expose())])
            }
            Self::Key(request) => {
                let key = client.call(&request).await?;
                output::lines(
                    out,
                    &[
                        ("CIPHERTEXT", &key.ciphertext),
                        ("PLAINTEXT", key.plaintext.expose()),
                    ],
                )
            }
            Self::KeyPair(request) => {
                let pair = client.call(&request).await?;
                let (private, encrypted) = (pair.private_key.expose(), &pair.private_key_ciphertext);
                output::lines(
                    out,
                    &[
                        ("PUBLIC_KEY", &pair.public_key),
                        ("CIPHERTEXT", encrypted),
                        ("PLAINTEXT", private),
                    ],
                )
            }
            Self::Random(request) => {
                let random = client.call(&request).await?;
                output::lines(out, &[("PLAINTEXT", random.expose())])
            }
            Self::Batch(defaults, input) => {
                let summary = batch::run(client, &defaults, input, out).await?;
                return if summary.failed == 0 {
                    Ok(())
                } else {
                    Err(Failure::Items(summary))
                };
            }
        };
        written.map_err(Failure::Output)
    }
}
