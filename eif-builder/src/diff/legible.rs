//! Contents that are not made of lines, told as lines so that a difference can be read: the table of services, JSON on one line.

use std::fmt::Write as _;

use serde::de::IgnoredAny;
use services::codec::MAGIC;
use services::{Clock, Instruction, Kind, Limit, Restart, Seccomp, Service, Table, TmpfsMount};

use super::anatomy::MAX_LINES;
use crate::cpio_read::printable;

/// Deepest JSON that is indented.
const MAX_DEPTH: usize = 64;

/// Every value of a table of services, one a line; lines of a service begin with its name. `None` for whatever is no table.
pub(super) fn services(bytes: &[u8]) -> Option<String> {
    if !bytes.starts_with(&MAGIC) {
        return None;
    }
    let table = Table::decode(bytes).ok()?;
    let mut text = String::new();
    write_table(&mut text, &table).ok()?;
    Some(text)
}

fn write_table(out: &mut String, table: &Table) -> std::fmt::Result {
    let Table {
        nsm_gid,
        ip_unprivileged_port_start,
        clock,
        mounts,
        services,
    } = table;
    writeln!(out, "group of /dev/nsm: {nsm_gid}")?;
    writeln!(out, "ports for everybody: from {ip_unprivileged_port_start}")?;
    match clock {
        Clock::None => writeln!(out, "clock: as the kernel found it")?,
        Clock::PtpKvm {
            period_s,
            step_over_ms,
        } => {
            writeln!(
                out,
                "clock: of the KVM host every {period_s} s, set when off by more than {step_over_ms} ms"
            )?;
        }
    }
    for (path, mount) in mounts {
        let TmpfsMount {
            size_bytes,
            mode,
            uid,
            gid,
            noexec,
        } = mount;
        let exec = if *noexec { "noexec" } else { "exec" };
        writeln!(
            out,
            "tmpfs {}: {size_bytes} bytes, {mode:04o} {uid}:{gid}, {exec}",
            printable(path)
        )?;
    }
    services
        .iter()
        .try_for_each(|service| write_service(out, service))
}

fn write_service(out: &mut String, service: &Service) -> std::fmt::Result {
    let Service {
        name,
        argv,
        env,
        cwd,
        uid,
        gid,
        groups,
        capabilities,
        rlimits,
        umask,
        start,
        kind,
        grace_ms,
        oom_score_adj,
        channel,
        stdio,
        seccomp,
    } = service;
    for argument in argv {
        writeln!(out, "{name}: argument {}", printable(argument))?;
    }
    for (variable, value) in env {
        writeln!(
            out,
            "{name}: environment {}={}",
            printable(variable),
            printable(value)
        )?;
    }
    writeln!(out, "{name}: folder {}", printable(cwd))?;
    writeln!(out, "{name}: user {uid}")?;
    writeln!(out, "{name}: group {gid}")?;
    for group in groups {
        writeln!(out, "{name}: further group {group}")?;
    }
    writeln!(out, "{name}: capabilities {capabilities:#x}")?;
    for (resource, Limit { soft, hard }) in rlimits {
        writeln!(
            out,
            "{name}: limit {resource:?} {} {}",
            limit(*soft),
            limit(*hard)
        )?;
    }
    writeln!(out, "{name}: umask {umask:04o}")?;
    writeln!(out, "{name}: start {start:?}")?;
    match kind {
        Kind::OneShot => writeln!(out, "{name}: runs once")?,
        Kind::Daemon(Restart {
            backoff_initial_ms,
            backoff_max_ms,
            max_restarts,
            window_ms,
        }) => writeln!(
            out,
            "{name}: restarted after {backoff_initial_ms} to {backoff_max_ms} ms, at most {max_restarts} times in {window_ms} ms"
        )?,
    }
    writeln!(out, "{name}: grace {grace_ms} ms")?;
    writeln!(out, "{name}: oom_score_adj {oom_score_adj}")?;
    writeln!(out, "{name}: may ask PID 1: {channel}")?;
    writeln!(out, "{name}: output {stdio:?}")?;
    match seccomp {
        Seccomp::None => writeln!(out, "{name}: no system call filter"),
        Seccomp::Filter(program) => program.iter().try_for_each(|Instruction { code, jt, jf, k }| {
            writeln!(out, "{name}: filter {code:#06x} {jt} {jf} {k:#x}")
        }),
    }
}

fn limit(value: u64) -> String {
    if value == u64::MAX {
        "none".to_owned()
    } else {
        value.to_string()
    }
}

/// A JSON object or array that stands on one line, with line ends and indents put between its tokens and nothing else changed;
/// `None` for any other text, and for what is too deep or would be too many lines.
pub(super) fn indented(text: &str) -> Option<String> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let looks = line.starts_with(['{', '[']) && !line.contains('\n');
    if !looks || serde_json::from_str::<IgnoredAny>(line).is_err() {
        return None;
    }
    let mut spread = Spread {
        out: String::new(),
        depth: 0,
        lines: 1,
    };
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                spread.out.push('"');
                let mut escaped = false;
                for inner in characters.by_ref() {
                    spread.out.push(inner);
                    match inner {
                        '"' if !escaped => break,
                        '\\' => escaped = !escaped,
                        _ => escaped = false,
                    }
                }
            }
            '{' | '[' => {
                spread.out.push(character);
                spread.depth += 1;
                if spread.depth > MAX_DEPTH {
                    return None;
                }
                if !matches!(characters.peek(), Some('}' | ']')) {
                    spread.line()?;
                }
            }
            '}' | ']' => {
                spread.depth = spread.depth.checked_sub(1)?;
                if !spread.out.ends_with(['{', '[']) {
                    spread.line()?;
                }
                spread.out.push(character);
            }
            ',' => {
                spread.out.push(',');
                spread.line()?;
            }
            _ => spread.out.push(character),
        }
    }
    spread.out.push_str(text.get(line.len()..)?);
    Some(spread.out)
}

struct Spread {
    out: String,
    depth: usize,
    lines: usize,
}

impl Spread {
    /// Begins a line, if there may be one more.
    fn line(&mut self) -> Option<()> {
        self.lines += 1;
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n("  ", self.depth));
        (self.lines < MAX_LINES).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_on_one_line_is_spread_and_nothing_of_it_is_lost() {
        let text = r#"{"a":[1,{"b\\":"x,{\"}]"},[],{}],"a":null}"#;
        let expected = [
            "{",
            r#"  "a":["#,
            "    1,",
            "    {",
            r#"      "b\\":"x,{\"}]""#,
            "    },",
            "    [],",
            "    {}",
            "  ],",
            r#"  "a":null"#,
            "}",
        ];
        assert_eq!(indented(text).unwrap(), expected.join("\n"));
        assert_eq!(
            indented(&format!("{text}\n")).unwrap(),
            expected.join("\n") + "\n"
        );
        // Without its end it is no JSON, whatever is missing.
        for end in 0..text.len() {
            assert_eq!(indented(text.get(..end).unwrap()), None, "cut at {end}");
        }
        // Spaces of its own stay where they are.
        assert_eq!(indented(r#"{"a" : "" }"#).unwrap(), "{\n  \"a\" : \"\" \n}");
    }

    #[test]
    fn what_is_no_json_or_has_lines_already_stays() {
        for text in [
            "",
            "{",
            "{]",
            "7",
            "text",
            "{\"a\":1}\n{\"a\":2}\n",
            "{\n\"a\":1}",
            "{\"a\":1}}",
        ] {
            assert_eq!(indented(text), None, "{text:?}");
        }
        assert_eq!(indented(&format!("[{}0]", "0,".repeat(MAX_LINES))), None);
        for (depth, told) in [(MAX_DEPTH, true), (MAX_DEPTH + 1, false), (100_000, false)] {
            let nested = "[".repeat(depth) + &"]".repeat(depth);
            assert_eq!(indented(&nested).is_some(), told, "{depth}");
        }
    }
}
