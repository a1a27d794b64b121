//! Unpacking of gzip, xz and zstd streams, with bounds on memory and output.
//!
//! Not the packing of ramdisks: that is `ramdisk`'s.

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

/// Memory that an xz stream may ask for. `xz -9` needs 65 MiB, Debian uses at most that.
const XZ_MEMORY_BYTES: u64 = 192 << 20;
/// Window of a zstd stream, as a power of two: 128 MiB, the most that plain `zstd --ultra` makes.
const ZSTD_WINDOW_LOG: u32 = 27;

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// The `.xz` format.
    Xz,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// What the end of a file's name says; `None` for one that is not known.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let known = [
            (".tar", Self::None),
            (".gz", Self::Gzip),
            (".tgz", Self::Gzip),
            (".xz", Self::Xz),
            (".zst", Self::Zstd),
        ];
        known
            .into_iter()
            .find(|(end, _)| name.ends_with(end))
            .map(|(_, compression)| compression)
    }

    /// A reader of the unpacked bytes of `packed`, which is read to its end.
    ///
    /// # Errors
    /// When the decoder cannot be set up, for want of memory.
    pub fn reader<'a>(self, packed: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        let packed = BufReader::with_capacity(64 << 10, packed);
        Ok(match self {
            Self::None => Box::new(packed),
            Self::Gzip => Box::new(MultiGzDecoder::new(packed)),
            Self::Xz => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY_BYTES, CONCATENATED)?;
                Box::new(XzDecoder::new_stream(packed, stream))
            }
            Self::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(packed)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
        })
    }
}

/// A reader that fails, rather than ends, when more than `limit` bytes come.
#[derive(Debug)]
pub struct Limited<R> {
    inner: R,
    limit: u64,
    left: u64,
}

impl<R: Read> Limited<R> {
    /// Lets at most `limit` bytes of `inner` through.
    pub const fn new(inner: R, limit: u64) -> Self {
        Self {
            inner,
            limit,
            left: limit,
        }
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => {
                return Err(io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    format!("unpacks to more than {} bytes", self.limit),
                ));
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn pack(compression: Compression, bytes: &[u8]) -> Vec<u8> {
        match compression {
            Compression::None => bytes.to_vec(),
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Zstd => zstd::encode_all(bytes, 1).unwrap(),
        }
    }

    fn unpack(compression: Compression, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        compression.reader(bytes)?.read_to_end(&mut out).map(|_| out)
    }

    const PACKED: [Compression; 3] = [Compression::Gzip, Compression::Xz, Compression::Zstd];

    #[test]
    fn round_trip() {
        let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        for compression in [PACKED.as_slice(), &[Compression::None]].concat() {
            assert_eq!(
                unpack(compression, &pack(compression, &bytes)).unwrap(),
                bytes,
                "{compression:?}"
            );
        }
    }

    #[test]
    fn several_streams_in_a_row_are_one_file() {
        for compression in PACKED {
            let two = [pack(compression, b"one"), pack(compression, b"two")].concat();
            assert_eq!(unpack(compression, &two).unwrap(), b"onetwo", "{compression:?}");
        }
    }

    #[test]
    fn every_cut_and_flip_is_an_error_or_the_same_bytes() {
        let bytes = b"some bytes that are long enough to be packed, packed, packed, packed";
        for compression in PACKED {
            let packed = pack(compression, bytes);
            for end in 1..packed.len() {
                assert!(
                    unpack(compression, &packed[..end]).is_err(),
                    "{compression:?} cut at {end}"
                );
            }
            for at in 0..packed.len() {
                let mut flipped = packed.clone();
                flipped[at] ^= 0x10;
                if let Ok(out) = unpack(compression, &flipped) {
                    assert!(
                        compression != Compression::Xz || out == bytes,
                        "{compression:?} at {at}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let zeros = vec![0; 10 << 20];
        for compression in PACKED {
            let packed = pack(compression, &zeros);
            let mut reader = Limited::new(compression.reader(&*packed).unwrap(), 1 << 20);
            let mut out = Vec::new();
            assert!(reader.read_to_end(&mut out).is_err(), "{compression:?}");
            assert!(out.len() <= 1 << 20);
        }
    }

    #[test]
    fn an_xz_stream_that_wants_too_much_memory_is_refused() {
        let mut options = liblzma::stream::LzmaOptions::new_preset(1).unwrap();
        options.dict_size(256 << 20);
        let mut filters = liblzma::stream::Filters::new();
        filters.lzma2(&options);
        let stream = Stream::new_stream_encoder(&filters, liblzma::stream::Check::Crc32).unwrap();
        let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
        encoder.write_all(b"x").unwrap();
        unpack(Compression::Xz, &encoder.finish().unwrap()).unwrap_err();
    }

    #[test]
    fn names() {
        assert_eq!(Compression::from_name("data.tar.xz"), Some(Compression::Xz));
        assert_eq!(Compression::from_name("data.tar"), Some(Compression::None));
        assert_eq!(Compression::from_name("data.tar.lz"), None);
    }
}
