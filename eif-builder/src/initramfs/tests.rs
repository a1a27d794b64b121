//! Plain and compressed segments in any order, bombs, corruption and what is not listed.

use std::io::Write as _;

use super::*;
use crate::cpio;
use crate::tree::{Node, Tree, TreePath};

fn archive(name: &str, content: Vec<u8>) -> Vec<u8> {
    let mut tree = Tree::new();
    tree.add(TreePath::new(name).unwrap(), Node::file(content, 0o644), "test")
        .unwrap();
    let mut out = Vec::new();
    cpio::write(&tree, &mut out).unwrap();
    out
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

fn listed(bytes: &[u8]) -> Listing {
    list(&mut &bytes[..], &mut Budget::default())
}

/// Compression, offset and names of each segment.
fn brief(listing: &Listing) -> Vec<(Compression, u64, Vec<&str>)> {
    let segments = listing.segments.iter();
    segments
        .map(|segment| {
            let names = segment.entries.iter().map(|entry| entry.path.as_str()).collect();
            (segment.compression, segment.offset, names)
        })
        .collect()
}

#[test]
fn segments_in_any_order() {
    let [a, b, c, d] = ["/a", "/b", "/c", "/d"].map(|name| archive(name, vec![1; 3000]));
    let (b, c, d) = (gzip(&b), xz(&c), zstd(&d));
    let mut ramdisk = a.clone();
    let mut offsets = Vec::new();
    for segment in [&b, &c, &d] {
        offsets.push(ramdisk.len() as u64);
        ramdisk.extend(segment);
    }
    // Where the padding to a multiple of four begins; the archive after it belongs to the same plain segment.
    let again = ramdisk.len() as u64;
    ramdisk.resize(ramdisk.len().next_multiple_of(4), 0);
    ramdisk.extend(&a);
    let listing = listed(&ramdisk);
    assert!(listing.problem.is_none(), "{:?}", listing.problem);
    assert_eq!(
        brief(&listing),
        [
            (Compression::None, 0, vec!["a"]),
            (Compression::Gzip, offsets[0], vec!["b"]),
            (Compression::Xz, offsets[1], vec!["c"]),
            (Compression::Zstd, offsets[2], vec!["d"]),
            (Compression::None, again, vec!["a"]),
        ]
    );
}

#[test]
fn archives_inside_a_compressed_segment() {
    let inside = [archive("/a", vec![]), vec![0; 256], archive("/b", vec![])].concat();
    for segment in [gzip(&inside), xz(&inside), zstd(&inside)] {
        let listing = listed(&segment);
        assert!(listing.problem.is_none());
        assert_eq!(brief(&listing)[0].2, ["a", "b"]);
        assert_eq!(listing.segments[0].unpacked, inside.len() as u64);
    }
}

#[test]
fn what_the_kernel_would_not_unpack_is_said() {
    let good = archive("/a", vec![]);
    let nested = listed(&gzip(&zstd(&good)));
    assert!(matches!(
        nested.problem,
        Some(RamdiskError::Junk { inside: 0, .. })
    ));
    let after = listed(&zstd(&[&good[..], b"junk"].concat()));
    assert!(matches!(after.problem, Some(RamdiskError::Junk { .. })));
    assert_eq!(brief(&after)[0].2, ["a"]);
    let text = listed(b"ramdisk");
    assert!(matches!(text.problem, Some(RamdiskError::Unknown { at: 0, actual }) if actual == b"ra"));
    assert!(matches!(listed(b"x").problem, Some(RamdiskError::Unknown { actual, .. }) if actual == b"x"));
    let later = listed(&[&good[..], b"BZh9"].concat());
    let at = good.len() as u64;
    assert!(matches!(
        later.problem,
        Some(RamdiskError::NotListed { at: found, compression: Compression::Bzip2 }) if found == at
    ));
    let empty = listed(b"");
    assert!(empty.segments.is_empty() && empty.problem.is_none());
}

#[test]
fn bombs_stop_at_the_budget() {
    let zeros = vec![0; 8 << 20];
    let large = archive("/bomb", zeros.clone());
    for bomb in [gzip(&large), zstd(&large), xz(&large), gzip(&zeros), zstd(&zeros)] {
        assert!(bomb.len() < 100_000);
        let mut budget = Budget {
            bytes: 1 << 20,
            entries: 10,
        };
        let listing = list(&mut &bomb[..], &mut budget);
        let Some(RamdiskError::Segment { source, .. }) = listing.problem else {
            panic!("{listing:?}")
        };
        assert!(matches!(
            source,
            CpioReadError::OverBudget {
                what: "unpacked bytes"
            }
        ));
        assert!(listing.segments[0].unpacked < 2 << 20);
    }
    // One budget for all ramdisks of an image.
    let mut budget = Budget {
        bytes: 1000,
        entries: 10,
    };
    let small = archive("/a", vec![1; 500]);
    assert!(list(&mut &small[..], &mut budget).problem.is_none());
    assert!(list(&mut &small[..], &mut budget).problem.is_some());
}

#[test]
fn a_window_or_dictionary_beyond_reason_is_refused() {
    // A zstd frame that asks for a window of 2^41 bytes; an xz stream that asks for a dictionary of 4 GiB.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8, 0x01, 0x00, 0x00];
    assert!(matches!(
        listed(&frame).problem,
        Some(RamdiskError::Segment { .. })
    ));
    let mut filters = liblzma::stream::Filters::new();
    let mut options = liblzma::stream::LzmaOptions::new_preset(0).unwrap();
    options.dict_size(1 << 30);
    filters.lzma2(&options);
    let stream = Stream::new_stream_encoder(&filters, liblzma::stream::Check::Crc32).unwrap();
    let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    encoder.write_all(&archive("/a", vec![])).unwrap();
    let listing = listed(&encoder.finish().unwrap());
    assert!(
        matches!(listing.problem, Some(RamdiskError::Segment { .. })),
        "{listing:?}"
    );
}

#[test]
fn truncated_anywhere_or_one_bit_wrong() {
    let good = archive("/a", (0..=255).collect());
    for segment in [good.clone(), gzip(&good), xz(&good), zstd(&good)] {
        for length in 1..segment.len() {
            assert!(listed(&segment[..length]).problem.is_some(), "{length}");
        }
        for at in 0..segment.len() {
            let mut bytes = segment.clone();
            bytes[at] ^= 1 << (at % 8);
            // Never a panic.
            drop(listed(&bytes));
        }
    }
}
