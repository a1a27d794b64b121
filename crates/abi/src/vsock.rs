//! Addresses on the vsock between the parent and the enclave, and the heartbeat byte.

/// CID of the parent instance as an enclave sees it.
///
/// Source: AWS Nitro Enclaves user guide, "Networking"; `init/init.c` of aws-nitro-enclaves-sdk-bootstrap.
pub const PARENT_CID: u32 = 3;

/// CID that the published guidance gives to the enclave (`nitro-cli run-enclave --enclave-cid 16`).
pub const ENCLAVE_CID: u32 = 16;

/// Port on the parent where nitro-cli waits for the heartbeat. Enclave connects, parent listens.
pub const HEARTBEAT_PORT: u32 = 9000;

/// The heartbeat: PID 1 sends this byte and must read the same byte back.
///
/// Source: aws-nitro-enclaves-cli, `enclave_proc/utils.rs`; the enclave is ended with E36 otherwise.
pub const HEARTBEAT: u8 = 0xB7;

/// Port on the parent that receives the [`crate::boot::FatalReport`] of an enclave that must die.
/// A parent that does not listen there loses only the report.
pub const BOOT_REPORT_PORT: u32 = 9001;

/// Port on the parent that receives log events of the enclave.
pub const LOG_PORT: u32 = 9002;

/// Port on the parent where its vsock-proxy to AWS KMS listens.
pub const KMS_PROXY_PORT: u32 = 8000;

/// Port in the enclave for signing traffic (TLS), `init_state`, `init` and `attest`.
pub const SERVICE_PORT: u32 = 5000;

/// Port in the enclave for all other control messages.
pub const CONTROL_PORT: u32 = 5001;

/// Longest control message that the agent reads, in bytes (16 MiB).
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;
