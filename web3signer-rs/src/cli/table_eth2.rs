//! The options behind `eth2` and behind its sub-commands.

use super::option::{Effect, Kind, Level, Opt};
use super::table::{effect, hidden, label, path, row};

const E: Level = Level::Eth2;
const POOL: &str = "there is no HikariCP pool";
const CLOUD_KEYS: &str = "this signer loads keys from files only";
const BOOST: &str =
    "this signer has no commit-boost API: it would sign arbitrary roots outside slashing protection";

const fn fork(names: &'static [&'static str]) -> Opt {
    hidden(label(
        row(
            E,
            names,
            Kind::Unsigned,
            None,
            "Epoch of this fork instead of the network's.",
        ),
        "<epoch>",
    ))
}

const fn refused(opt: Opt, why: &'static str) -> Opt {
    effect(opt, Effect::Refused(why))
}

/// The eth2 mode, without slashing protection.
#[rustfmt::skip]
pub(super) const ETH2: &[Opt] = &[
    label(row(E, &["--network"], Kind::Text, Some("mainnet"), "mainnet, sepolia, holesky, hoodi, ephemery, gnosis, chiado, lukso, minimal, swift, less-swift, or the path of a consensus configuration in YAML."), "<NETWORK>"),
    fork(&["--Xnetwork-altair-fork-epoch"]),
    fork(&["--Xnetwork-bellatrix-fork-epoch"]),
    fork(&["--Xnetwork-capella-fork-epoch"]),
    fork(&["--Xnetwork-deneb-fork-epoch"]),
    fork(&["--Xnetwork-electra-fork-epoch"]),
    fork(&["--Xnetwork-fulu-fork-epoch"]),
    fork(&["--Xnetwork-gloas-fork-epoch"]),
    hidden(effect(path(row(E, &["--Xtrusted-setup"], Kind::Text, None, "KZG setup.")), Effect::Nothing("KZG is not used for signing"))),
    path(row(E, &["--keystores-path"], Kind::Text, None, "Folder of EIP-2335 keystores (*.json).")),
    path(row(E, &["--keystores-passwords-path"], Kind::Text, None, "Folder with a password file NAME.txt for each keystore NAME.json. Not together with --keystores-password-file.")),
    path(row(E, &["--keystores-password-file"], Kind::Text, None, "File with the one password of all keystores. Not together with --keystores-passwords-path.")),
    row(E, &["--key-manager-api-enabled", "--enable-key-manager-api"], Kind::Boolean, Some("false"), "Serve the key manager API."),
    hidden(row(E, &["--Xkey-manager-skip-keystore-storage"], Kind::Switch, Some("false"), "Keep imported keys in memory only.")),
    hidden(row(E, &["--Xsigning-ext-enabled"], Kind::Switch, Some("false"), "Serve the signing extension.")),
    effect(path(row(E, &["--client-keys-file"], Kind::Text, None, "YAML or JSON file that says which TLS client may use which keys. Without it every client may use all.")), Effect::Own),
];

/// Slashing protection and the sub-commands that work on its store.
#[rustfmt::skip]
pub(super) const SLASHING: &[Opt] = &[
    row(E, &["--slashing-protection-enabled"], Kind::Boolean, Some("true"), "Check blocks and attestations against what was signed before."),
    label(row(E, &["--slashing-protection-db-url"], Kind::Text, None, "JDBC URL of a PostgreSQL data base with upstream's schema."), "<jdbc url>"),
    label(row(E, &["--slashing-protection-db-username"], Kind::Text, None, "User of the data base."), "<jdbc user>"),
    label(row(E, &["--slashing-protection-db-password"], Kind::Secret, None, "Password of the data base."), "<jdbc password>"),
    effect(path(row(E, &["--slashing-protection-db-pool-configuration-file"], Kind::Text, None, "HikariCP properties.")), Effect::Nothing(POOL)),
    effect(path(row(E, &["--slashing-protection-pruning-db-pool-configuration-file"], Kind::Text, None, "HikariCP properties of the pruning pool.")), Effect::Nothing(POOL)),
    row(E, &["--slashing-protection-pruning-enabled"], Kind::Boolean, Some("true"), "Remove old entries from the data base."),
    row(E, &["--slashing-protection-pruning-epochs-to-keep"], Kind::Long, Some("250"), "Epochs to keep."),
    row(E, &["--slashing-protection-pruning-slots-per-epoch"], Kind::Long, Some("32"), "Slots in an epoch, for pruning blocks."),
    row(E, &["--slashing-protection-pruning-interval"], Kind::Long, Some("12"), "Hours between prunings."),
    row(E, &["--slashing-protection-pruning-at-boot-enabled"], Kind::Boolean, Some("false"), "Prune at start as well."),
    row(E, &["--slashing-protection-db-health-check-timeout-milliseconds"], Kind::Long, Some("3000"), "Time that a health query may take."),
    row(E, &["--slashing-protection-db-health-check-interval-milliseconds"], Kind::Long, Some("30000"), "Time between health queries."),
    hidden(effect(row(E, &["--Xslashing-protection-db-connection-pool-enabled"], Kind::Switch, None, "Use a connection pool."), Effect::Nothing(POOL))),
    effect(label(row(E, &["--dynamodb-slashing-table-arn"], Kind::Text, None, "Keep slashing protection in this DynamoDB table (full ARN) instead of PostgreSQL."), "<ARN>"), Effect::Own),
    effect(label(row(E, &["--dynamodb-slashing-table-id"], Kind::Text, None, "TableId that the table must have."), "<UUID>"), Effect::Own),
    effect(path(row(E, &["--dynamodb-slashing-credential-file"], Kind::Text, None, "JSON file with the credential for the table.")), Effect::Own),
    effect(label(row(E, &["--dynamodb-slashing-endpoint"], Kind::Text, None, "URL of the service, where it is not the one of the table's region."), "<URL>"), Effect::Own),
    effect(path(row(E, &["--dynamodb-slashing-ca-file"], Kind::Text, None, "PEM file of the CAs to trust for that service instead of the built-in ones.")), Effect::Own),
    effect(path(row(E, &["--dynamodb-slashing-artefacts-file"], Kind::Text, None, "JSON file with the version of each artefact in use, as {\"clients\":3}. One below the highest that the table has seen is refused, at the start and at a reload.")), Effect::Own),
    effect(path(row(E, &["--memory-slashing-journal"], Kind::Text, None, "Keep slashing protection in memory with a journal in this file. Does not protect against a second signer on the same keys.")), Effect::Own),
    label(row(Level::Import, &["--from"], Kind::Text, None, "EIP-3076 file to import."), "<FILE>"),
    label(row(Level::Export, &["--to"], Kind::Text, None, "File to write."), "<FILE>"),
    label(row(Level::WatermarkRepair, &["--epoch"], Kind::Unsigned, None, "Epoch of the new watermark (source and target)."), "<epoch>"),
    label(row(Level::WatermarkRepair, &["--slot"], Kind::Unsigned, None, "Slot of the new watermark."), "<slot>"),
    row(Level::WatermarkRepair, &["--set-high-watermark"], Kind::Switch, Some("false"), "Set the high watermark instead of the low ones."),
    row(Level::WatermarkRepair, &["--remove-high-watermark"], Kind::Switch, Some("false"), "Remove the high watermark; the other options do nothing then."),
];

/// Named so that they can be refused by name.
#[rustfmt::skip]
pub(super) const CLOUD: &[Opt] = &[
    refused(row(E, &["--commit-boost-api-enabled"], Kind::Boolean, Some("false"), "Commit-boost API."), BOOST),
    refused(path(row(E, &["--proxy-keystores-path"], Kind::Text, None, "Folder of proxy keystores.")), BOOST),
    refused(path(row(E, &["--proxy-keystores-password-file"], Kind::Text, None, "Password of proxy keystores.")), BOOST),
    refused(row(E, &["--azure-vault-enabled"], Kind::Boolean, Some("false"), "Keys from Azure."), CLOUD_KEYS),
    refused(row(E, &["--azure-vault-auth-mode"], Kind::Text, None, "Keys from Azure."), CLOUD_KEYS),
    refused(row(E, &["--azure-vault-name"], Kind::Text, None, "Keys from Azure."), CLOUD_KEYS),
    refused(row(E, &["--azure-client-id"], Kind::Text, None, "Keys from Azure."), CLOUD_KEYS),
    refused(row(E, &["--azure-client-secret"], Kind::Secret, None, "Keys from Azure."), CLOUD_KEYS),
    refused(row(E, &["--azure-tenant-id"], Kind::Text, None, "Keys from Azure."), CLOUD_KEYS),
    refused(row(E, &["--azure-tags"], Kind::List, None, "Keys from Azure."), CLOUD_KEYS),
    refused(row(E, &["--azure-response-timeout"], Kind::Long, None, "Keys from Azure."), CLOUD_KEYS),
    refused(row(E, &["--aws-secrets-enabled"], Kind::Boolean, Some("false"), "Keys from AWS Secrets Manager."), CLOUD_KEYS),
    refused(row(E, &["--aws-secrets-auth-mode"], Kind::Text, None, "Keys from AWS Secrets Manager."), CLOUD_KEYS),
    refused(row(E, &["--aws-secrets-access-key-id"], Kind::Text, None, "Keys from AWS Secrets Manager."), CLOUD_KEYS),
    refused(row(E, &["--aws-secrets-secret-access-key"], Kind::Secret, None, "Keys from AWS Secrets Manager."), CLOUD_KEYS),
    refused(row(E, &["--aws-secrets-region"], Kind::Text, None, "Keys from AWS Secrets Manager."), CLOUD_KEYS),
    refused(row(E, &["--aws-secrets-prefixes-filter"], Kind::List, None, "Keys from AWS Secrets Manager."), CLOUD_KEYS),
    refused(row(E, &["--aws-secrets-tag"], Kind::List, None, "Keys from AWS Secrets Manager."), CLOUD_KEYS),
    refused(row(E, &["--aws-endpoint-override"], Kind::Text, None, "Keys from AWS Secrets Manager."), CLOUD_KEYS),
    refused(row(E, &["--aws-connection-cache-size"], Kind::Long, None, "Keys from AWS Secrets Manager."), CLOUD_KEYS),
    refused(row(E, &["--gcp-secrets-enabled"], Kind::Boolean, Some("false"), "Keys from Google Cloud."), CLOUD_KEYS),
    refused(row(E, &["--gcp-project-id"], Kind::Text, None, "Keys from Google Cloud."), CLOUD_KEYS),
    refused(row(E, &["--gcp-secrets-filter"], Kind::Text, None, "Keys from Google Cloud."), CLOUD_KEYS),
];
