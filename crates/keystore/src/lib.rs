//! BLS12-381 keys of Ethereum validators, and the EIP-2335 keystores that hold them.
#![forbid(unsafe_code)]
