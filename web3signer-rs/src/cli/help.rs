//! Usage texts, made from the option tables.

use super::option::{Effect, Level, Opt};
use super::table;

/// Column at which descriptions start.
const INDENT: usize = 8;
const WIDTH: usize = 100;

/// The usage of a command.
#[must_use]
pub fn usage(level: Level) -> String {
    let mut text = String::new();
    let mut words = vec!["web3signer"];
    words.extend(level.path());
    let command = words.join(" ");
    let rest = if level.children().next().is_some() {
        " [COMMAND]"
    } else {
        ""
    };
    text.extend([
        "Usage:\n\n",
        &command,
        " [OPTIONS]",
        rest,
        "\n\nDescription:\n\n",
        about(level),
        "\n",
    ]);
    text.push_str("\nOptions:\n");
    text.push_str("  -h, --help\n        Show this text and stop.\n");
    text.push_str("  -V, --version\n        Show the version and stop.\n");
    let visible = || table::all().filter(|opt| opt.level == level && !opt.hidden);
    for opt in visible().filter(|opt| opt.effect == Effect::Works) {
        option(&mut text, opt);
    }
    section(
        &mut text,
        "Options of this signer, which Web3Signer does not have:",
        visible().filter(|opt| opt.effect == Effect::Own),
    );
    section(
        &mut text,
        "Accepted without effect:",
        visible().filter(|opt| matches!(opt.effect, Effect::Nothing(_))),
    );
    section(
        &mut text,
        "Options of Web3Signer that this signer refuses:",
        visible().filter(|opt| matches!(opt.effect, Effect::Refused(_))),
    );
    let children: Vec<Level> = level.children().collect();
    if !children.is_empty() {
        text.push_str("\nCommands:\n  help [COMMAND]\n        Show the usage of a command and stop.\n");
        for child in children {
            text.extend(["  ", child.name(), "\n"]);
            paragraph(&mut text, about(child));
        }
    }
    text.push_str(&sources(level));
    text
}

fn about(level: Level) -> &'static str {
    match level {
        Level::Web3signer => {
            "Signs for Ethereum validators on behalf of remote clients. A drop-in for Web3Signer's eth2 mode."
        }
        Level::Eth2 => "Handle Ethereum-2 BLS signing operations and public key reporting.",
        Level::Import => {
            "Imports the slashing protection database. For DynamoDB this is what creates the items of keys."
        }
        Level::Export => "Exports the slashing protection database.",
        Level::WatermarkRepair => {
            "Raises the low watermark of every validator, or sets or removes the high watermark. Never lowers a low watermark."
        }
    }
}

fn sources(level: Level) -> String {
    let mut prefix = vec!["WEB3SIGNER"];
    let path: Vec<String> = level
        .path()
        .iter()
        .map(|name| name.replace('-', "_").to_uppercase())
        .collect();
    prefix.extend(path.iter().map(String::as_str));
    format!(
        "\nEach option can also come from the environment ({}_NAME_OF_OPTION)\nor from the YAML file of --config-file (key {}name-of-option).\nThe command line wins, then the environment, then the file.\n",
        prefix.join("_"),
        level
            .path()
            .iter()
            .fold(String::new(), |all, name| all + name + "."),
    )
}

fn section<'a>(text: &mut String, title: &str, options: impl Iterator<Item = &'a Opt>) {
    let mut options = options.peekable();
    if options.peek().is_some() {
        text.extend(["\n", title, "\n"]);
    }
    for opt in options {
        option(text, opt);
    }
}

fn option(text: &mut String, opt: &Opt) {
    let names = opt.names.join(", ");
    let value = if opt.kind == super::option::Kind::Switch {
        format!("[={}]", opt.label)
    } else {
        format!("={}", opt.label)
    };
    text.extend(["  ", &names, &value, "\n"]);
    let mut help = opt.help.to_owned();
    if let Some(default) = opt.default {
        help.extend([" (default: ", default, ")"]);
    }
    if let Effect::Nothing(why) | Effect::Refused(why) = opt.effect {
        help.extend([" Here: ", why, "."]);
    }
    paragraph(text, &help);
}

fn paragraph(text: &mut String, words: &str) {
    let mut column = WIDTH;
    for word in words.split(' ') {
        if column + word.len() >= WIDTH {
            if column < WIDTH || !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(&" ".repeat(INDENT));
            column = INDENT;
        } else {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += word.len();
    }
    text.push('\n');
}
