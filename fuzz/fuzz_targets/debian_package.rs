//! Debian packages and tarballs: `ar`, the packing, tar entries. The first byte chooses.
#![no_main]

use eif_builder::compression::Compression;
use eif_builder::unpack::{Entry, Kind, Limits, Sink, SinkError, control, deb, tarball};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits {
    bytes: 16 << 20,
    entries: 2000,
};

/// Reads what it is given and holds it against what was promised.
#[derive(Default)]
struct Careful {
    entries: u64,
}

impl Sink for Careful {
    fn put(&mut self, entry: Entry<'_>) -> Result<(), SinkError> {
        self.entries += 1;
        let path = entry.path.as_str();
        assert!(path.starts_with('/') && path.len() > 1);
        assert!(
            path.split('/')
                .skip(1)
                .all(|part| !matches!(part, "" | "." | "..")),
            "{path}"
        );
        assert!(entry.mode <= 0o7777);
        match entry.kind {
            Kind::File { size, content } => {
                let read = std::io::copy(content, &mut std::io::sink()).map_err(SinkError::Content)?;
                assert_eq!(read, size);
            }
            Kind::Symlink(target) => assert!(!target.is_empty() && !target.contains('\0')),
            Kind::Dir | Kind::HardLink(_) => {}
        }
        Ok(())
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, rest)) = bytes.split_first() else {
        return;
    };
    let mut sink = Careful::default();
    let packing = [
        Compression::None,
        Compression::Gzip,
        Compression::Xz,
        Compression::Zstd,
    ];
    let outcome = match packing.get(usize::from(choice)) {
        Some(&packing) => tarball("t", rest, packing, 0, LIMITS, &mut sink),
        None => {
            if let Ok(text) = control::read("d", rest) {
                assert!(u64::try_from(text.len()).is_ok_and(|len| len <= control::MAX_BYTES));
            }
            deb("d", rest, LIMITS, &mut sink)
        }
    };
    assert!(sink.entries <= LIMITS.entries);
    if let Err(error) = outcome {
        assert!(!error.to_string().is_empty());
    }
});
