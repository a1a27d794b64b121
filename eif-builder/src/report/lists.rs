//! The long lists of the page: what the image is made of, and every file in it.

use super::facts::{Facts, FileFact};
use super::html::{Html, size};
use super::materials::Material;

/// Most files that are listed; the page stays one that a phone can show.
const MAX_FILES: usize = 1500;
/// Most places of one component that are named.
const MAX_PLACES: usize = 3;

/// Kinds of components in the order of the page: their word in the document, the heading, and whether the list is open.
const KINDS: [(&[&str], &str, &str, bool); 7] = [
    (
        &["kernel", "program"],
        "Kernel and programs",
        "Built from Debian's kernel source and from this repository.",
        true,
    ),
    (
        &["deb"],
        "Debian packages",
        "Files of these are in the image.",
        true,
    ),
    (
        &["linked"],
        "Linked into every program",
        "Libraries of the build root that end up in static programs.",
        true,
    ),
    (
        &["release"],
        "Releases of other projects",
        "Locked by the digest of their archive.",
        true,
    ),
    (
        &["jar"],
        "Java archives",
        "With those that are bundled in others.",
        false,
    ),
    (
        &["member"],
        "Crates of this repository",
        "What its programs are compiled from.",
        false,
    ),
    (
        &["crate"],
        "Published crates",
        "Compiled into a program: without build scripts, procedural macros and tests.",
        false,
    ),
];

pub(super) fn packages(html: &mut Html, image: &Facts) {
    html.raw("<section aria-labelledby=\"packages\"><h2 id=\"packages\">What it is made of</h2>");
    let Some(materials) = &image.materials else {
        html.raw("<p>Not known: no bill of materials of this image was given.</p></section>");
        return;
    };
    let count = |kinds: &[&str]| {
        materials
            .all
            .iter()
            .filter(|one| kinds.contains(&one.kind.as_str()))
            .count()
    };
    html.raw("<ul class=\"counts\">");
    for (kinds, title, _, _) in KINDS {
        if count(kinds) > 0 {
            html.raw("<li><strong>")
                .text(count(kinds))
                .raw("</strong> ")
                .raw(title)
                .raw("</li>");
        }
    }
    html.raw("</ul>");
    for (kinds, title, lead, open) in KINDS {
        if count(kinds) == 0 {
            continue;
        }
        html.raw(if open {
            "<details open><summary>"
        } else {
            "<details><summary>"
        })
        .raw(title)
        .raw(" <span class=\"count\">")
        .text(count(kinds))
        .raw("</span></summary><p>")
        .raw(lead)
        .raw("</p>")
        .raw(if open {
            "<table class=\"cards of-materials\">"
        } else {
            "<table class=\"cards compact of-materials\">"
        })
        .columns(&["Name", "Version", "Licence", "In"])
        .raw("<tbody>");
        for one in materials
            .all
            .iter()
            .filter(|one| kinds.contains(&one.kind.as_str()))
        {
            row(html, one, open);
        }
        html.raw("</tbody></table></details>");
    }
    html.raw("</section>");
}

/// Short lists have a line for each place; hundreds of rows would be a book that way.
fn row(html: &mut Html, one: &Material, airy: bool) {
    html.raw("<tr>")
        .cell("Name", |html| {
            html.raw("<strong>").text(&one.name).raw("</strong>");
            if !one.source.is_empty() && one.source != one.name {
                html.raw("<br><span class=\"muted\">from ")
                    .text(&one.source)
                    .raw("</span>");
            }
        })
        .cell("Version", |html| {
            html.text(if one.version.is_empty() {
                "\u{2013}"
            } else {
                &one.version
            });
        })
        .cell("Licence", |html| licence(html, &one.licence))
        .cell("In", |html| {
            let between = if airy { "<br>" } else { ", " };
            for (index, place) in one.places.iter().take(MAX_PLACES).enumerate() {
                html.raw(if index > 0 { between } else { "" }).path(&short(place));
            }
            let more = one.places.len().saturating_sub(MAX_PLACES);
            if more > 0 {
                html.raw(if airy { "<br>and " } else { " and " })
                    .text(more)
                    .raw(" more");
            }
        })
        .raw("</tr>");
}

/// Licences of whole distributions' packages are long; their beginning is enough here.
fn licence(html: &mut Html, licence: &str) {
    let terms: Vec<&str> = licence.split(" AND ").collect();
    match licence {
        "" | "NOASSERTION" => {
            html.raw("<span class=\"muted\">not known</span>");
        }
        _ if terms.len() > 5 => {
            let (first, rest) = terms.split_at(4);
            html.text(first.join(" AND "))
                .raw(" <span class=\"muted\">and ")
                .text(rest.len())
                .raw(" more</span>");
        }
        _ => {
            html.text(licence);
        }
    }
}

/// `ramdisk1:/rootfs/usr/bin/agent` is `/usr/bin/agent` to whoever runs there.
fn short(place: &str) -> String {
    let path = place
        .strip_prefix("ramdisk1:/rootfs/")
        .map(|path| format!("/{path}"));
    path.or_else(|| place.strip_prefix("ramdisk0:").map(str::to_owned))
        .unwrap_or_else(|| place.to_owned())
}

pub(super) fn files(html: &mut Html, image: &Facts) {
    html.raw("<section aria-labelledby=\"files\"><h2 id=\"files\">Files</h2><details><summary>Every file, link and folder <span class=\"count\">")
        .text(image.files.len())
        .raw("</span></summary>");
    if image.files.len() > MAX_FILES {
        html.raw("<p>The first ")
            .text(MAX_FILES)
            .raw(" are shown; <code>eif-builder describe</code> has all.</p>");
    }
    html.raw("<table class=\"cards compact of-files\">")
        .columns(&["Path", "Size", "Mode", "Owner", "SHA-256"])
        .raw("<tbody>");
    for file in image.files.iter().take(MAX_FILES) {
        one(html, file);
    }
    html.raw("</tbody></table></details></section>");
}

fn one(html: &mut Html, file: &FileFact) {
    let dangerous = file.mode & 0o6000 != 0 || (file.content.is_ok() && file.mode & 0o002 != 0);
    html.raw(if dangerous { "<tr class=\"set\">" } else { "<tr>" })
        .cell("Path", |html| {
            html.path(&file.path);
        })
        .cell("Size", |html| {
            if file.content.is_ok() {
                html.text(size(file.size));
            } else {
                html.raw("\u{2013}");
            }
        })
        .cell("Mode", |html| {
            html.text(format_args!("{:04o}", file.mode));
        })
        .cell("Owner", |html| {
            html.text(format_args!("{}:{}", file.owner.0, file.owner.1));
        })
        .cell("SHA-256", |html| match &file.content {
            Ok(sha256) => {
                let digits = sha256.to_string();
                html.raw("<span class=\"digest\" title=\"")
                    .text(&digits)
                    .raw("\"><code>")
                    .text(digits.get(..16).unwrap_or_default())
                    .raw("</code></span>");
            }
            Err(other) => {
                html.text(other);
            }
        })
        .raw("</tr>");
}
