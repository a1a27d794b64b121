//! The two pictures of the page, as SVG within it: how the registers are composed, and what fills the image.
//!
//! Colours come from the page's style, so both follow its dark form. Each tells in a title and a description what it shows.

use super::facts::{Facts, FileFact};
use super::html::{Html, size};
use super::layout::{Rect, squarify};
use crate::describe::SectionFacts;

/// Most tiles of a part of the image; the others are one tile together.
const MAX_TILES: usize = 60;
/// Most sections that are drawn; more are in hostile images only.
const MAX_ROWS: usize = 40;
/// Width of a letter in parts of the size of the type, rather too much.
const LETTER: f64 = 0.62;
/// No picture is wider than this many letters.
const MOST_LETTERS: u16 = 400;

/// A form of the treemap: the class that shows or hides it, and its size.
const FORMS: [(&str, f64, f64); 2] = [("wide", 960.0, 400.0), ("tall", 358.0, 460.0)];

/// What a section is called, and which registers cover it.
struct Row<'a> {
    name: String,
    section: &'a SectionFacts,
    registers: Vec<&'static str>,
}

fn rows(image: &Facts) -> Vec<Row<'_>> {
    let mut ramdisk = 0;
    let sections = image.description.sections.iter().take(MAX_ROWS);
    sections
        .map(|section| {
            let (name, registers) = match section.kind {
                "kernel" => ("Kernel".to_owned(), vec!["PCR0", "PCR1"]),
                "cmdline" => ("Command line".to_owned(), vec!["PCR0", "PCR1"]),
                "ramdisk" => {
                    let name = format!("Ramdisk {ramdisk}");
                    ramdisk += 1;
                    let second = if ramdisk == 1 { "PCR1" } else { "PCR2" };
                    (name, vec!["PCR0", second])
                }
                "signature" => ("Signing certificate".to_owned(), vec!["PCR8"]),
                _ => ("Metadata".to_owned(), Vec::new()),
            };
            Row {
                name,
                section,
                registers,
            }
        })
        .collect()
}

/// How the registers are composed.
pub(super) fn composition(html: &mut Html, image: &Facts) {
    let rows = rows(image);
    let registers: Vec<&str> = image.registers().into_iter().map(|(name, _)| name).collect();
    let height = 54.0 * f64::from(u32::try_from(rows.len().max(registers.len())).unwrap_or(1));
    html.raw("<section aria-labelledby=\"composed\"><h2 id=\"composed\">How the registers are composed</h2><p class=\"lead\">")
        .raw("Each register is a SHA-384 over the parts that lead to it. Change one byte of a part and every register ")
        .raw("it reaches is another.</p><figure><svg class=\"composition\" role=\"img\" viewBox=\"0 0 358 ")
        .text(format_args!("{height:.0}"))
        .raw("\" aria-labelledby=\"composed-t composed-d\"><title id=\"composed-t\">Which part of the image each register covers</title>")
        .raw("<desc id=\"composed-d\">");
    for row in &rows {
        let covers = if row.registers.is_empty() {
            "no register".to_owned()
        } else {
            row.registers.join(" and ")
        };
        html.text(&row.name).raw(": ").text(covers).raw(". ");
    }
    html.raw("</desc>");
    let place = |name: &str| {
        let index = registers.iter().position(|register| *register == name)?;
        Some(middle(index, registers.len(), height))
    };
    for (index, row) in rows.iter().enumerate() {
        let from = middle(index, rows.len(), height);
        for register in &row.registers {
            if let Some(to) = place(register) {
                html.raw("<path class=\"flow ")
                    .raw(class_of(register))
                    .raw("\" d=\"M158 ")
                    .text(format_args!("{from:.1}C210 {from:.1} 218 {to:.1} 270 {to:.1}"))
                    .raw("\"/>");
            }
        }
    }
    for (index, row) in rows.iter().enumerate() {
        let y = middle(index, rows.len(), height);
        html.raw(if row.registers.is_empty() {
            "<g class=\"part unmeasured\">"
        } else {
            "<g class=\"part\">"
        })
        .raw("<rect x=\"0.5\" width=\"157\" height=\"42\" rx=\"4\" y=\"")
        .text(format_args!("{:.1}", y - 21.0))
        .raw("\"/><text x=\"12\" class=\"name\" y=\"")
        .text(format_args!("{:.1}", y - 2.5))
        .raw("\">")
        .text(&row.name)
        .raw("</text><text x=\"12\" class=\"detail\" y=\"")
        .text(format_args!("{:.1}", y + 12.5))
        .raw("\">")
        .text(size(row.section.size));
        if row.registers.is_empty() {
            html.raw(", not measured");
        }
        html.raw("</text></g>");
    }
    for (index, register) in registers.iter().enumerate() {
        let y = middle(index, registers.len(), height);
        html.raw("<g class=\"register ")
            .raw(class_of(register))
            .raw("\"><rect x=\"270\" width=\"87.5\" height=\"42\" rx=\"4\" y=\"")
            .text(format_args!("{:.1}", y - 21.0))
            .raw("\"/><text x=\"313.75\" text-anchor=\"middle\" y=\"")
            .text(format_args!("{:.1}", y + 4.5))
            .raw("\">")
            .text(register)
            .raw("</text></g>");
    }
    html.raw("</svg><figcaption>PCR0 is the whole image. PCR1 is what boots: kernel, command line and the first ramdisk with PID 1. ")
        .raw("PCR2 is the application: all other ramdisks. PCR8, where there is one, is the certificate that signed the ")
        .raw("image. Metadata is in no register: believe nothing because of it.</figcaption></figure></section>");
}

/// The middle of the `index`th of `count` boxes that share a height.
fn middle(index: usize, count: usize, height: f64) -> f64 {
    let index = f64::from(u32::try_from(index).unwrap_or_default());
    let count = f64::from(u32::try_from(count).unwrap_or(1));
    height / count * (index + 0.5)
}

fn class_of(register: &str) -> &'static str {
    match register {
        "PCR0" => "pcr0",
        "PCR1" => "pcr1",
        "PCR2" => "pcr2",
        _ => "pcr8",
    }
}

/// A rectangle of the treemap.
struct Tile {
    label: String,
    title: String,
    bytes: u64,
    class: &'static str,
}

struct Group {
    name: String,
    tiles: Vec<Tile>,
}

impl Group {
    fn bytes(&self) -> u64 {
        self.tiles
            .iter()
            .map(|tile| tile.bytes)
            .fold(0, u64::saturating_add)
    }
}

/// Kinds of tiles: class and what the legend calls it.
const KINDS: [(&str, &str); 5] = [
    ("t-kernel", "kernel"),
    ("t-program", "programs"),
    ("t-library", "shared libraries"),
    ("t-java", "Java archives"),
    ("t-data", "other files"),
];

fn kind_of(file: &FileFact) -> &'static str {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension {
        "so" => "t-library",
        "jar" | "jmod" => "t-java",
        _ if name.contains(".so.") => "t-library",
        // The Java run time's own classes.
        _ if name == "modules" => "t-java",
        _ if file.mode & 0o111 != 0 => "t-program",
        _ => "t-data",
    }
}

fn groups(image: &Facts) -> Vec<Group> {
    let kernel = image
        .description
        .sections
        .iter()
        .find(|section| section.kind == "kernel");
    let mut groups: Vec<Group> = kernel
        .map(|section| Group {
            name: "Kernel".to_owned(),
            tiles: vec![Tile {
                label: "bzImage".to_owned(),
                title: format!("kernel: {}, compressed as it is stored", size(section.size)),
                bytes: section.size,
                class: "t-kernel",
            }],
        })
        .into_iter()
        .collect();
    for ramdisk in 0..image.description.ramdisks.len() {
        let inside = image
            .files
            .iter()
            .filter(|file| file.ramdisk == ramdisk && file.content.is_ok() && file.size > 0);
        let mut inside: Vec<&FileFact> = inside.collect();
        inside.sort_by(|one, other| other.size.cmp(&one.size).then_with(|| one.path.cmp(&other.path)));
        let (shown, rest) = inside.split_at(inside.len().min(MAX_TILES));
        let mut tiles: Vec<Tile> = shown.iter().map(|file| tile(file)).collect();
        if !rest.is_empty() {
            let bytes = rest.iter().map(|file| file.size).fold(0, u64::saturating_add);
            let label = format!("{} smaller files", rest.len());
            let title = format!("{label}: {}", size(bytes));
            tiles.push(Tile {
                label,
                title,
                bytes,
                class: "t-data",
            });
        }
        groups.push(Group {
            name: format!("Ramdisk {ramdisk}"),
            tiles,
        });
    }
    groups.retain(|group| group.bytes() > 0);
    groups.sort_by_key(|group| core::cmp::Reverse(group.bytes()));
    groups
}

fn tile(file: &FileFact) -> Tile {
    Tile {
        label: file.path.rsplit('/').next().unwrap_or_default().to_owned(),
        title: format!("{}: {}", file.path, size(file.size)),
        bytes: file.size,
        class: kind_of(file),
    }
}

/// What fills the image.
pub(super) fn treemap(html: &mut Html, image: &Facts) {
    let groups = groups(image);
    let total = groups.iter().map(Group::bytes).fold(0, u64::saturating_add);
    html.raw(
        "<section aria-labelledby=\"fills\"><h2 id=\"fills\">What fills the image</h2><p class=\"lead\">",
    )
    .text(size(total))
    .raw(" of content in ")
    .text(size(image.description.size))
    .raw(" of file: ramdisks are shown unpacked, the kernel as it is stored. Area is size.</p>");
    if groups.is_empty() {
        html.raw("<p>Nothing could be listed.</p></section>");
        return;
    }
    html.raw("<figure>");
    for (class, width, height) in FORMS {
        picture(html, &groups, class, width, height);
    }
    html.raw("<figcaption><ul class=\"legend\">");
    for (class, name) in KINDS {
        let used = groups
            .iter()
            .flat_map(|group| &group.tiles)
            .any(|tile| tile.class == class);
        if used {
            html.raw("<li><svg class=\"swatch\" viewBox=\"0 0 10 10\" aria-hidden=\"true\"><rect width=\"10\" height=\"10\" rx=\"2\" class=\"")
                .raw(class)
                .raw("\"/></svg>")
                .raw(name)
                .raw("</li>");
        }
    }
    html.raw("</ul></figcaption></figure></section>");
}

fn picture(html: &mut Html, groups: &[Group], class: &'static str, width: f64, height: f64) {
    html.raw("<svg role=\"img\" class=\"treemap ")
        .raw(class)
        .raw("\" viewBox=\"0 0 ")
        .text(format_args!("{width:.0} {height:.0}"))
        .raw("\" aria-labelledby=\"fills-t-")
        .raw(class)
        .raw(" fills-d-")
        .raw(class)
        .raw("\"><title id=\"fills-t-")
        .raw(class)
        .raw("\">What fills the image, by size</title><desc id=\"fills-d-")
        .raw(class)
        .raw("\">");
    for group in groups {
        html.text(&group.name)
            .raw(" ")
            .text(size(group.bytes()))
            .raw(": ");
        for tile in group.tiles.iter().take(5) {
            html.text(&tile.title).raw("; ");
        }
    }
    html.raw("</desc>");
    let sizes: Vec<u64> = groups.iter().map(Group::bytes).collect();
    let space = Rect {
        x: 0.0,
        y: 0.0,
        width,
        height,
    };
    let total = sizes.iter().copied().fold(0, u64::saturating_add);
    for (group, rect) in groups.iter().zip(squarify(&sizes, space)) {
        let outer = rect.inset(1.5, 1.5);
        let header = if outer.height > 44.0 && outer.width > 60.0 {
            20.0
        } else {
            0.0
        };
        if header > 0.0 {
            let whole = format!("{}  {}", group.name, size(group.bytes()));
            // A number is shown whole or not at all.
            let text = if room(outer, 12.0, 0.0) < whole.chars().count() {
                &group.name
            } else {
                &whole
            };
            label(html, "group", text, outer, 14.0, 12.0, 0.0);
        }
        let sizes: Vec<u64> = group.tiles.iter().map(|tile| tile.bytes).collect();
        for (tile, rect) in group.tiles.iter().zip(squarify(&sizes, outer.inset(0.0, header))) {
            draw(html, tile, total, rect);
        }
    }
    html.raw("</svg>");
}

fn draw(html: &mut Html, tile: &Tile, total: u64, rect: Rect) {
    // What is thinner than a line is in the list of files.
    if rect.width < 0.4 || rect.height < 0.4 {
        return;
    }
    let gap = if rect.width > 4.0 && rect.height > 4.0 {
        0.75
    } else {
        0.1
    };
    let inner = rect.inset(gap, gap);
    html.raw("<g><title>")
        .text(&tile.title)
        .raw("</title><rect class=\"")
        .raw(tile.class)
        .raw("\" rx=\"2\" x=\"")
        .text(format_args!("{:.2}", inner.x))
        .raw("\" y=\"")
        .text(format_args!("{:.2}", inner.y))
        .raw("\" width=\"")
        .text(format_args!("{:.2}", inner.width))
        .raw("\" height=\"")
        .text(format_args!("{:.2}", inner.height))
        .raw("\"/>");
    if inner.height > 22.0 {
        label(html, "tile", &tile.label, inner, 17.0, 13.0, 8.0);
    }
    if inner.height > 42.0 {
        let percent = u128::from(tile.bytes) * 100 / u128::from(total.max(1));
        let text = format!("{} \u{b7} {percent} %", size(tile.bytes));
        label(html, "tile small", &text, inner, 33.0, 11.5, 8.0);
    }
    html.raw("</g>");
}

/// How many letters fit beside each other into `rect`, at most [`MOST_LETTERS`].
fn room(rect: Rect, type_size: f64, indent: f64) -> usize {
    let room = (rect.width - 2.0 * indent) / (type_size * LETTER);
    let fitting = (0..=MOST_LETTERS).rev().find(|count| f64::from(*count) <= room);
    usize::from(fitting.unwrap_or_default())
}

/// Text that is cut to what fits into `rect`, or left out.
fn label(
    html: &mut Html,
    class: &'static str,
    text: &str,
    rect: Rect,
    down: f64,
    type_size: f64,
    indent: f64,
) {
    let letters = text.chars().count();
    let fits = room(rect, type_size, indent).min(letters);
    if fits < letters && fits < 5 {
        return;
    }
    let shown: String = if fits < letters {
        text.chars().take(fits - 1).chain(['\u{2026}']).collect()
    } else {
        text.to_owned()
    };
    html.raw("<text class=\"")
        .raw(class)
        .raw("\" x=\"")
        .text(format_args!("{:.2}", rect.x + indent))
        .raw("\" y=\"")
        .text(format_args!("{:.2}", rect.y + down))
        .raw("\">")
        .text(shown)
        .raw("</text>");
}
