//! One self-contained page about an image: to look at rather than to read.
//!
//! What the page says comes from the bytes of the EIF. Two things cannot be read from those: the bill of materials and the
//! kernel's configuration. They are taken from the files that `build` writes beside the image, and only when registers and
//! digests tie them to this very image; the page says so. It has no script, names no other resource, and its content security
//! policy allows none. The same inputs give the same bytes.
//!
//! - [`facts`]: everything that the page shows, read and checked; [`materials`]: the bill of materials
//! - [`html`]: text that can only be written escaped
//! - [`layout`]: a squarified treemap; `pictures`: what fills the image, and how its registers are composed
//! - `sections`: identity, trust, services; [`kernel`]: the hardening table; `lists`: packages and files
//! - [`compare`]: what changed since another image

pub mod compare;
pub mod facts;
pub mod html;
pub mod kernel;
pub mod layout;
mod lists;
pub mod materials;
mod pictures;
mod sections;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::digest::Sha256;
use facts::Facts;
use html::Html;

const STYLE: &str = include_str!("report/style.css");

/// The page about `image`, compared with `previous` when there is one.
#[must_use]
pub fn page(image: &Facts, previous: Option<&Facts>) -> String {
    let mut html = Html::new();
    head(&mut html, image);
    html.raw("<body><a class=\"skip\" href=\"#main\">Skip to the content</a>");
    sections::banner(&mut html, image);
    html.raw("<main id=\"main\">");
    sections::identity(&mut html, image);
    pictures::composition(&mut html, image);
    pictures::treemap(&mut html, image);
    sections::trust(&mut html, image);
    if let Some(previous) = previous {
        compare::section(&mut html, previous, image);
    }
    sections::services(&mut html, image);
    kernel::section(&mut html, image.kernel.as_ref());
    lists::packages(&mut html, image);
    lists::files(&mut html, image);
    html.raw("</main>");
    sections::footer(&mut html, image);
    html.raw("</body></html>\n");
    html.finish()
}

fn head(html: &mut Html, image: &Facts) {
    let style = STANDARD.encode(Sha256::of(STYLE.as_bytes()).as_bytes());
    html.raw("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")
        .raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-")
        .text(style)
        .raw("'; base-uri 'none'; form-action 'none'\">")
        .raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")
        .raw("<meta name=\"color-scheme\" content=\"light dark\"><meta name=\"referrer\" content=\"no-referrer\">")
        .raw("<title>")
        .text(image.title())
        .raw("</title><style>")
        .raw(STYLE)
        .raw("</style></head>");
}
