//! The help texts. They go to standard error: standard output carries results only.

use super::command::Verb;

/// Printed without a sub-command, or with an unknown one.
pub(crate) const COMMANDS: &str = "\
usage: kmstool_enclave_cli COMMAND [OPTIONS]

Commands of the C tool:
  decrypt                 decrypt a ciphertext, or many with --batch
  genkey                  make a data key
  genrandom               get random bytes
More commands:
  generate-data-key-pair  make a key pair
  attest                  print an attestation document without public key
";

const COMMON: &str = "
  --help, -h                    this text
  --region, -r REGION           region of KMS (us-east-1)
  --proxy-port, -x PORT         vsock port of the parent's proxy (8000)
  --aws-access-key-id, -k ID    credentials on the command line: any process of
  --aws-secret-access-key, -s   the enclave can read them there
  --aws-session-token, -t
  --credentials SOURCE          fd:N or file:PATH (JSON as of the instance metadata
                                service), or env (AWS_ACCESS_KEY_ID, ...)
  --ca-file PATH                trust these PEM certificates (the system's file)
  --fips                        the FIPS endpoint of the region
  --vpc-endpoint NAME           an interface endpoint, vpce-...amazonaws.com
  --exit-codes compat|detailed  detailed: 0 ok, 1 no output, 2 usage, 3 credentials,
                                4 denied, 5 network, 6 TLS, 7 NSM, 8 malformed answer,
                                9 refused, 10 throttled, 11 unavailable, 12 clock,
                                13 some items of a batch failed
";

const DECRYPT: &str = "\
usage: kmstool_enclave_cli decrypt [OPTIONS]

  --ciphertext, -c BASE64       what to decrypt
  --key-id, -K KEY              the key; the answer must name it
  --encryption-algorithm, -a A  SYMMETRIC_DEFAULT, RSAES_OAEP_SHA_1 or
                                RSAES_OAEP_SHA_256; used together with --key-id
  --encryption-context NAME=VALUE  may be repeated
  --batch                       one JSON object a line on standard input: ciphertext,
                                and if needed id, key_id, encryption_algorithm,
                                encryption_context; one line for each on output
  --concurrency N               TLS sessions for a batch, 1 to 16 (1)";

const GENKEY: &str = "\
usage: kmstool_enclave_cli genkey [OPTIONS]

  --key-id, -K KEY              the key that encrypts the data key
  --key-spec, -p SPEC           AES-256 or AES-128
  --encryption-context NAME=VALUE  may be repeated";

const GENRANDOM: &str = "\
usage: kmstool_enclave_cli genrandom [OPTIONS]

  --length, -l BYTES            1 to 1024";

const KEY_PAIR: &str = "\
usage: kmstool_enclave_cli generate-data-key-pair [OPTIONS]

  --key-id, -K KEY              the key that encrypts the private key
  --key-pair-spec SPEC          such as RSA_2048 or ECC_NIST_P256
  --encryption-context NAME=VALUE  may be repeated";

const ATTEST: &str = "\
usage: kmstool_enclave_cli attest [OPTIONS]

  --nonce HEX                   at most 512 bytes
  --user-data HEX               at most 512 bytes
  --help, -h                    this text
Exit codes: 0 ok, 1 no output, 2 usage, 7 NSM
";

/// The text for a sub-command.
pub(crate) fn of(verb: Verb) -> String {
    let own = match verb {
        Verb::Decrypt => DECRYPT,
        Verb::Genkey => GENKEY,
        Verb::Genrandom => GENRANDOM,
        Verb::KeyPair => KEY_PAIR,
        Verb::Attest => return ATTEST.to_owned(),
        Verb::Other => return COMMANDS.to_owned(),
    };
    format!("{own}{COMMON}")
}
