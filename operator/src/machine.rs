//! Where the ceremony may take place: not on a machine that runs enclaves, and not in one.
//!
//! The parent instance is untrusted by design. Whoever unpacks keys there gives them to everybody who can become root on it,
//! which is what the enclave is there to prevent. There is no option to do it all the same.

use std::path::Path;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// What only such machines have, relative to the root.
const SIGNS: [(&str, &str); 4] = [
    ("dev/nitro_enclaves", "it is the parent of enclaves"),
    ("sys/module/nitro_enclaves", "it is the parent of enclaves"),
    ("dev/nsm", "it is an enclave"),
    ("sys/class/misc/nsm", "it is an enclave"),
];

/// The machine is the wrong one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this machine has /{sign}: {meaning}. The key ceremony belongs on a trusted machine that never runs enclaves; copy nothing secret here"
)]
pub struct EnclaveHost {
    /// What was found.
    pub sign: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

/// Refuses a machine that is an enclave or its parent. `root` is `/`, but in tests.
///
/// # Errors
/// [`EnclaveHost`].
pub fn refuse_enclave_hosts(root: &Path) -> Result<(), EnclaveHost> {
    for (sign, meaning) in SIGNS {
        // A link that leads nowhere is a sign, too.
        if root.join(sign).symlink_metadata().is_ok() {
            return Err(EnclaveHost { sign, meaning });
        }
    }
    Ok(())
}

/// No core dumps, and no debugger of the same user.
///
/// # Errors
/// What the system says.
pub fn keep_memory_private() -> std::io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sign_is_enough() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(refuse_enclave_hosts(root.path()), Ok(()));
        for (sign, _) in SIGNS {
            let path = root.path().join(sign);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink("/nowhere", &path).unwrap();
            let refused = refuse_enclave_hosts(root.path()).unwrap_err();
            assert_eq!(refused.sign, sign);
            assert!(refused.to_string().contains(sign));
            std::fs::remove_file(path).unwrap();
        }
    }
}
