//! Archives as other tools and attackers write them: every field chosen, packed in any way.

use std::io::Write as _;

/// One entry of a `newc` archive.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    pub(crate) name: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) mtime: u32,
    pub(crate) nlink: u32,
    pub(crate) ino: u32,
    pub(crate) content: Vec<u8>,
}

impl Raw {
    pub(crate) fn file(name: &str, content: &[u8]) -> Self {
        Self {
            name: name.as_bytes().to_vec(),
            mode: 0o100_644,
            owner: (0, 0),
            mtime: 0,
            nlink: 1,
            ino: 0,
            content: content.to_vec(),
        }
    }

    pub(crate) fn program(name: &str, content: &[u8]) -> Self {
        Self {
            mode: 0o100_755,
            ..Self::file(name, content)
        }
    }

    pub(crate) fn link(name: &str, target: &str) -> Self {
        Self {
            mode: 0o120_777,
            ..Self::file(name, target.as_bytes())
        }
    }

    pub(crate) fn folder(name: &str) -> Self {
        Self {
            mode: 0o040_755,
            ..Self::file(name, b"")
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap();
        let (uid, gid) = self.owner;
        let fields = [
            self.ino,
            self.mode,
            uid,
            gid,
            self.nlink,
            self.mtime,
            length(&self.content),
            0,
            0,
            5,
            1,
            length(&self.name) + 1,
            0,
        ];
        let mut bytes = b"070701".to_vec();
        bytes.extend(
            fields
                .iter()
                .flat_map(|field| format!("{field:08x}").into_bytes()),
        );
        bytes.extend(&self.name);
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(&self.content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }
}

pub(crate) fn cpio(entries: &[Raw]) -> Vec<u8> {
    let trailer = Raw {
        mode: 0,
        ..Raw::file("TRAILER!!!", b"")
    };
    entries.iter().chain([&trailer]).flat_map(Raw::bytes).collect()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
