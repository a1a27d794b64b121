//! `[[tarball]]` and `[[member]]` of a manifest: releases of other projects, and files out of their archives.

use glob::Pattern;

use super::raw::{RawManifest, RawMember, RawTarball};
use super::{Fault, Filter, patterns, tree_path, value};
use crate::nar::NarHash;
use crate::request::DownloadRequest;
use crate::tree::TreePath;

/// A release of another project in the image.
#[derive(Debug)]
pub struct Tarball {
    /// Name of the download.
    pub download: String,
    /// The folder in the image.
    pub path: TreePath,
    /// How many leading components of its paths are dropped.
    pub strip: usize,
    /// What its files must be.
    pub nar: Option<NarHash>,
    /// Which of its files enter; paths from its own folder.
    pub filter: Filter,
}

/// A file out of a zip archive of the image.
#[derive(Debug)]
pub struct Member {
    /// Matches one archive.
    pub archive: Pattern,
    /// Its name there.
    pub member: String,
    /// Where it goes.
    pub path: TreePath,
}

/// Every `[[tarball]]` has its download, and every download of an image its `[[tarball]]`: nothing is fetched for nothing.
pub(super) fn tarballs(raw: &RawManifest) -> Result<Vec<Tarball>, Fault> {
    let downloads = raw.inputs.downloads();
    let check = |tarball: &RawTarball| {
        if downloads.iter().all(|d| d.name != tarball.download) {
            return Err(value(
                "tarball.download",
                &tarball.download,
                "the name of one of [[inputs.downloads]]",
            ));
        }
        if tarball.strip > 8 {
            return Err(value("tarball.strip", &tarball.strip.to_string(), "at most 8"));
        }
        Ok(Tarball {
            download: tarball.download.clone(),
            path: tree_path("tarball.path", &tarball.path)?,
            strip: tarball.strip,
            nar: tarball.nar_sha256,
            filter: Filter::new("tarball", tarball.keep.as_deref(), &tarball.drop)?,
        })
    };
    let tarballs = raw.tarballs.iter().map(check).collect::<Result<_, _>>()?;
    let unused = |d: &&DownloadRequest| raw.tarballs.iter().all(|t| t.download != d.name);
    if let Some(download) = downloads.iter().find(unused) {
        return Err(value(
            "inputs.downloads",
            &download.name,
            "a [[tarball]] that unpacks it",
        ));
    }
    Ok(tarballs)
}

pub(super) fn member(raw: &RawMember) -> Result<Member, Fault> {
    let archive = core::slice::from_ref(&raw.archive);
    let [archive] = <[Pattern; 1]>::try_from(patterns("member.archive", archive)?)
        .map_err(|_| value("member.archive", &raw.archive, "a pattern"))?;
    if raw.member.is_empty() || raw.member.len() > 4000 {
        return Err(value("member.member", &raw.member, "1 to 4000 bytes"));
    }
    Ok(Member {
        archive,
        member: raw.member.clone(),
        path: tree_path("member.path", &raw.path)?,
    })
}
