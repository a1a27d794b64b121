//! Gathering: what is joined, owned and linked.

use std::fs;

use super::*;
use crate::sbom::source::SourcePackage;
use crate::tree::{Content, Node, Tree, TreePath};

fn node(path: &Path) -> Node {
    let size = fs::metadata(path).unwrap().len();
    let path = path.to_path_buf();
    Node::file(Content::File { path, size }, 0o444)
}

fn locked() -> LockedPackage {
    LockedPackage {
        name: "libx".to_owned(),
        version: "1:2+b1".to_owned(),
        architecture: "amd64".to_owned(),
        archive: crate::lock::Archive::Debian,
        path: "pool/x.deb".to_owned(),
        size: 1,
        sha256: Sha256::of(b"deb"),
    }
}

/// A package's file, a release with a jar and a text, and a file of nobody.
#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one image, told from its parts to its components"
)]
fn every_file_has_an_origin() {
    let dir = tempfile::tempdir().unwrap();
    let (packages, release) = (dir.path().join("packages"), dir.path().join("release"));
    for folder in [&packages.join("usr/lib"), &release.join("lib")] {
        fs::create_dir_all(folder).unwrap();
    }
    let (library, jar) = (
        packages.join("usr/lib/x.so"),
        release.join("lib/example-1.2.3.jar"),
    );
    fs::write(&library, "library").unwrap();
    fs::write(&jar, include_bytes!("../../../tests/data/sbom/example.jar")).unwrap();
    fs::write(release.join("LICENSE"), "free").unwrap();
    let mut tree = Tree::new();
    for (path, node) in [
        ("/usr/lib/x.so", node(&library)),
        ("/opt/x/lib/example-1.2.3.jar", node(&jar)),
        ("/opt/x/LICENSE", node(&release.join("LICENSE"))),
        ("/etc/motd", Node::file(b"hello".to_vec(), 0o444)),
    ] {
        tree.add(TreePath::new(path).unwrap(), node, "the manifest")
            .unwrap();
    }
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../rootfs/e2e/image.toml");
    let ingredients = Ingredients {
        manifest: &crate::manifest::Manifest::load(Path::new(manifest)).unwrap(),
        kernel: PathBuf::new(),
        kernel_version: String::new(),
        nsm_module: None,
        init: PathBuf::new(),
        programs: BTreeMap::new(),
        packages: Some(packages.clone()),
        tarballs: BTreeMap::from([("x.tar.gz".to_owned(), release)]),
    };
    let download = LockedDownload {
        name: "x.tar.gz".to_owned(),
        url: "https://x.invalid/x.tar.gz".to_owned(),
        size: 1,
        at_most: false,
        sha256: Sha256::of(b"release"),
    };
    let lock = CargoLock::parse("version = 4\n").unwrap();
    let control = "Package: libx\nVersion: 1:2+b1\nSource: xx (1:2)\n";
    let mut origins = Origins::default();
    origins.insert(&locked(), SourcePackage::of(&locked(), control).unwrap());
    let (locked, downloads, closures) = ([locked()], [download], BTreeMap::new());
    let sources = |owners| Sources {
        ingredients: &ingredients,
        eif: Path::new(""),
        suite: "trixie",
        packages: &locked,
        owners,
        origins: &origins,
        downloads: &downloads,
        build_root: (&[], Path::new("")),
        kernel: KernelSource::Own,
        closures: &closures,
        lock: &lock,
    };
    let none = Owners::default();
    let nobody = files::files(&sources(&none), &tree, &mut All::default());
    assert!(
        nobody
            .unwrap_err()
            .to_string()
            .starts_with("/usr/lib/x.so is in the image")
    );

    let owners = Owners::from_paths([("/lib/x.so", 0)]);
    let mut all = All::default();
    files::files(&sources(&owners), &tree, &mut all).unwrap();
    let found: Vec<(String, Vec<String>)> = all
        .components
        .values()
        .map(|one| (one.reference(), one.places.iter().map(Place::to_string).collect()))
        .collect();
    let at = |path: &str| format!("ramdisk1:/rootfs{path}");
    let jar = at("/opt/x/lib/example-1.2.3.jar");
    let expected = [
        ("deb:libx@1:2+b1", vec![at("/usr/lib/x.so")]),
        ("release:x.tar.gz", vec![at("/opt/x/LICENSE"), jar.clone()]),
        ("jar:bundled@0.9", vec![jar.clone()]),
        ("jar:example@1.2.3", vec![jar]),
        ("file:/etc/motd", vec![at("/etc/motd")]),
    ];
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(name, places)| (name.to_owned(), places))
        .collect();
    assert_eq!(found, expected);
    let package = all.components.values().next().unwrap();
    assert_eq!(
        package.purl.as_deref(),
        Some("pkg:deb/debian/libx@1:2%2Bb1?arch=amd64&distro=trixie&upstream=xx%401:2")
    );
    assert_eq!(package.source.as_ref().unwrap().to_string(), "xx 1:2");
    let contents: Vec<&BTreeSet<String>> = all.components.values().map(|one| &one.contains).collect();
    assert_eq!(contents[1], &BTreeSet::from(["jar:example@1.2.3".to_owned()]));
    assert_eq!(contents[3], &BTreeSet::from(["jar:bundled@0.9".to_owned()]));
}
