//! Who the image is, what it trusts and what it starts.

use services::{Clock, Kind, Limit, Resource, Seccomp, Service, Start, Stdio, Table};

use super::facts::{Facts, Found};
use super::html::{Html, size};

/// Most arguments of a service that are shown.
const MAX_ARGS: usize = 40;
/// `ret` of classic BPF.
const RETURN: u16 = 0x06;

/// What each key of `[trust]` gives up.
const SWITCHES: [(&str, &str); 4] = [
    (
        "allow_any_client",
        "The signer may take requests of clients without a certificate.",
    ),
    (
        "kms_ca",
        "KMS is believed when its certificate chains to a test authority. Who holds that key can read every artefact.",
    ),
    (
        "legacy_no_context",
        "Artefacts without encryption context are accepted, so one of another stack or kind can be fed in.",
    ),
    (
        "memory_slashing",
        "Slashing protection may be in memory only: a restart forgets what was signed.",
    ),
];

pub(super) fn banner(html: &mut Html, image: &Facts) {
    let weakened = image.weakened();
    let problems = image.description.problems();
    html.raw("<header><p class=\"eyebrow\">AWS Nitro Enclave image</p><h1>")
        .text(image.title())
        .raw("</h1><p class=\"facts\">")
        .text(image.description.architecture)
        .raw(" \u{b7} ")
        .text(size(image.description.size))
        .raw(" \u{b7} ")
        .text(size(
            image
                .files
                .iter()
                .map(|file| file.size)
                .fold(0, u64::saturating_add),
        ))
        .raw(" unpacked \u{b7} ")
        .text(image.files.iter().filter(|file| file.content.is_ok()).count())
        .raw(" files</p><ul class=\"verdicts\">");
    let mut verdict = |bad: bool, text: String| {
        html.raw(if bad {
            "<li class=\"bad\">"
        } else {
            "<li class=\"good\">"
        })
        .text(text)
        .raw("</li>");
    };
    if problems.is_empty() {
        verdict(
            false,
            "Sound: CRC, sections and ramdisks could all be read".to_owned(),
        );
    }
    for problem in &problems {
        verdict(true, problem.clone());
    }
    match &image.policy {
        Found::Is(_) if weakened.is_empty() => verdict(false, "No trust switch is set".to_owned()),
        Found::Is(_) => verdict(
            true,
            format!("Trust is weakened: {}. Not for production", weakened.join(", ")),
        ),
        Found::Wrong(_) => verdict(true, "The image policy cannot be read".to_owned()),
        Found::Absent => {}
    }
    html.raw("</ul></header>");
}

pub(super) fn identity(html: &mut Html, image: &Facts) {
    let about = &image.description;
    html.raw("<section aria-labelledby=\"identity\"><h2 id=\"identity\">Identity</h2>")
        .raw("<p class=\"lead\">AWS KMS releases keys to these measurements only. Compare them with those that you rebuilt yourself, ")
        .raw("never with ones that the host shows you.</p><dl class=\"registers\">");
    for (name, value) in image.registers() {
        let class = match name {
            "PCR0" => "<dt class=\"pcr0\">",
            "PCR1" => "<dt class=\"pcr1\">",
            "PCR2" => "<dt class=\"pcr2\">",
            _ => "<dt class=\"pcr8\">",
        };
        html.raw(class)
            .text(name)
            .raw("</dt><dd>")
            .hex(value)
            .raw("</dd>");
    }
    html.raw("<dt>SHA-256 of the file</dt><dd>")
        .hex(&image.sha256.to_string())
        .raw("</dd></dl><dl class=\"plain\">");
    let mut line = |name: &'static str, value: String| {
        html.raw("<div><dt>")
            .raw(name)
            .raw("</dt><dd>")
            .text(value)
            .raw("</dd></div>");
    };
    line("Memory asked for", size(about.default_mem));
    line("Processors asked for", about.default_cpus.to_string());
    line("Format", format!("EIF version {}", about.version));
    let crc = if about.crc.ok {
        "as in the header"
    } else {
        "not as in the header"
    };
    line("CRC-32", format!("{}, {crc}", about.crc.computed));
    let signature = match &about.signature {
        None => "none".to_owned(),
        Some(signature) => format!("{}, not verified by this page", signature.count),
    };
    line("Signatures", signature);
    html.raw("</dl><h3>Kernel command line</h3><p class=\"cmdline\"><code>")
        .text(&about.cmdline)
        .raw("</code></p></section>");
}

pub(super) fn trust(html: &mut Html, image: &Facts) {
    html.raw("<section aria-labelledby=\"trust\"><h2 id=\"trust\">Trust switches</h2>");
    match &image.policy {
        Found::Absent => {
            html.raw("<p>This image has no image policy, so no agent that would read one.</p>");
        }
        Found::Wrong(reason) => {
            html.raw("<p class=\"alarm\">The image policy cannot be read: ")
                .text(reason)
                .raw(".</p>");
        }
        Found::Is(policy) => {
            let weakened = image.weakened();
            html.raw("<p class=\"lead\">What weakens trust is written in the image's manifest, so it is measured: setting one gives other ")
                .raw("registers.</p><table class=\"cards of-trust\">")
                .columns(&["Switch", "State", "What it gives up when set"])
                .raw("<tbody>");
            for (name, meaning) in SWITCHES {
                let set = weakened.contains(&name);
                html.raw(if set { "<tr class=\"set\">" } else { "<tr>" })
                    .cell("Switch", |html| {
                        html.raw("<code>").raw(name).raw("</code>");
                    })
                    .cell("State", |html| {
                        html.raw(if set {
                            "<strong class=\"bad\">set</strong>"
                        } else {
                            "<span class=\"good\">not set</span>"
                        });
                    })
                    .cell("Gives up", |html| {
                        html.raw(meaning);
                    })
                    .raw("</tr>");
            }
            html.raw("</tbody></table><p>")
                .raw(if policy.deployment.is_some() {
                    "The deployment config is part of the image: it cannot be given another at run time."
                } else {
                    "The deployment config is given once at run time and measured into PCR16."
                });
            html.raw("</p>");
        }
    }
    html.raw("</section>");
}

pub(super) fn services(html: &mut Html, image: &Facts) {
    html.raw("<section aria-labelledby=\"services\"><h2 id=\"services\">Services</h2>");
    match &image.services {
        Found::Absent => {
            html.raw("<p>This image has no table of services at <code>/etc/nitro/services</code>.</p>");
        }
        Found::Wrong(reason) => {
            html.raw("<p class=\"alarm\">The table of services cannot be read: ")
                .text(reason)
                .raw(".</p>");
        }
        Found::Is(table) => {
            html.raw("<p class=\"lead\">PID 1 starts these and nothing else, each as its own user, from a table that is measured. ")
                .raw("It has no other configuration.</p>");
            for service in &table.services {
                one(html, image, service);
            }
            mounts(html, table);
        }
    }
    html.raw("</section>");
}

fn one(html: &mut Html, image: &Facts, service: &Service) {
    let user = |id: u32| match image.users.get(&id) {
        Some(name) => format!("{name} ({id})"),
        None => id.to_string(),
    };
    html.raw("<article class=\"service\"><h3>")
        .text(&service.name)
        .raw("</h3><p class=\"cmdline\"><code>");
    for (index, argument) in service.argv.iter().take(MAX_ARGS).enumerate() {
        html.raw(if index > 0 { " " } else { "" })
            .text(String::from_utf8_lossy(argument));
    }
    html.raw(if service.argv.len() > MAX_ARGS {
        " \u{2026}"
    } else {
        ""
    });
    html.raw("</code></p><dl class=\"plain\">");
    let mut line = |name: &'static str, value: String, bad: bool| {
        html.raw("<div><dt>")
            .raw(name)
            .raw("</dt>")
            .raw(if bad { "<dd class=\"bad\">" } else { "<dd>" })
            .text(value)
            .raw("</dd></div>");
    };
    line("User", user(service.uid), service.uid == 0);
    let groups: Vec<String> = service
        .groups
        .iter()
        .chain([&service.gid])
        .map(u32::to_string)
        .collect();
    line("Groups", groups.join(", "), false);
    line("Started", started(service), false);
    line(
        "Capabilities",
        capabilities(service.capabilities),
        service.capabilities != 0,
    );
    line(
        "System calls",
        filter(&service.seccomp),
        service.seccomp == Seccomp::None,
    );
    line("Output", output(service.stdio).to_owned(), false);
    line("Limits", limits(service), false);
    line("File mask", format!("{:04o}", service.umask), false);
    if service.channel {
        line(
            "Requests",
            "may ask PID 1 for what the table allows".to_owned(),
            false,
        );
    }
    html.raw("</dl></article>");
}

fn started(service: &Service) -> String {
    let when = match service.start {
        Start::Boot => "at boot",
        Start::OnRequest => "on request of the agent",
    };
    match service.kind {
        Kind::OneShot => format!("{when}, once"),
        Kind::Daemon(restart) => format!(
            "{when}; restarted at most {} times in {} s",
            restart.max_restarts,
            restart.window_ms / 1000
        ),
    }
}

fn capabilities(bits: u64) -> String {
    if bits == 0 {
        return "none".to_owned();
    }
    let kept = (0..u64::BITS).filter(|bit| bits & (1 << bit) != 0);
    format!(
        "numbers {}",
        kept.map(|bit| bit.to_string()).collect::<Vec<_>>().join(", ")
    )
}

fn filter(seccomp: &Seccomp) -> String {
    let Seccomp::Filter(program) = seccomp else {
        return "not filtered".to_owned();
    };
    // Actions of `linux/seccomp.h`, by the upper half of what a filter answers.
    let name = |answer: u32| match answer & 0xffff_0000 {
        0x8000_0000 => "kill the process",
        0x0000_0000 => "kill the thread",
        0x0003_0000 => "signal",
        0x0005_0000 => "an error",
        0x7ff0_0000 => "trace",
        0x7ffc_0000 => "log",
        0x7fff_0000 => "allow",
        _ => "another action",
    };
    let answers = program
        .iter()
        .filter(|instruction| instruction.code == RETURN)
        .map(|instruction| name(instruction.k));
    let answers: std::collections::BTreeSet<&str> = answers.collect();
    let answers: Vec<&str> = answers.into_iter().collect();
    format!(
        "filter of {} instructions; answers: {}",
        program.len(),
        answers.join(", ")
    )
}

const fn output(stdio: Stdio) -> &'static str {
    match stdio {
        Stdio::Null => "nowhere",
        Stdio::Console => "the console, which the parent sees in debug mode only",
        Stdio::Log => "a pipe that the agent reads",
    }
}

fn limits(service: &Service) -> String {
    let one = |(resource, limit): (&Resource, &Limit)| {
        let name = format!("{resource:?}").to_lowercase();
        let number = |value: u64| {
            if value == u64::MAX {
                "no limit".to_owned()
            } else {
                value.to_string()
            }
        };
        if limit.soft == limit.hard {
            format!("{name} {}", number(limit.hard))
        } else {
            format!("{name} {} to {}", number(limit.soft), number(limit.hard))
        }
    };
    let all: Vec<String> = service.rlimits.iter().map(one).collect();
    if all.is_empty() {
        "PID 1's own".to_owned()
    } else {
        all.join(", ")
    }
}

fn mounts(html: &mut Html, table: &Table) {
    let clock = match table.clock {
        Clock::PtpKvm {
            period_s,
            step_over_ms,
        } => {
            format!(
                "read from the hypervisor every {period_s} s, set when off by more than {step_over_ms} ms"
            )
        }
        Clock::None => "whatever the kernel found at boot".to_owned(),
    };
    html.raw("<p>The clock is ")
        .text(clock)
        .raw(". Ports below ")
        .text(table.ip_unprivileged_port_start)
        .raw(" need a capability. The root is read-only; memory file systems:</p>");
    if table.mounts.is_empty() {
        html.raw("<p>None.</p>");
        return;
    }
    html.raw("<table class=\"cards\">")
        .columns(&["Path", "Size", "Mode", "Owner", "Programs on it"])
        .raw("<tbody>");
    for (path, mount) in &table.mounts {
        html.raw("<tr>")
            .cell("Path", |html| {
                html.path(&String::from_utf8_lossy(path));
            })
            .cell("Size", |html| {
                html.text(size(mount.size_bytes));
            })
            .cell("Mode", |html| {
                html.text(format_args!("{:04o}", mount.mode));
            })
            .cell("Owner", |html| {
                html.text(format_args!("{}:{}", mount.uid, mount.gid));
            })
            .cell("Programs", |html| {
                html.raw(if mount.noexec { "cannot run" } else { "can run" });
            })
            .raw("</tr>");
    }
    html.raw("</tbody></table>");
}

pub(super) fn footer(html: &mut Html, image: &Facts) {
    html.raw("<footer><h2>What this page is</h2><p>It was made from the bytes of <code>").text(&image.file).raw(
        "</code>. Packages and kernel options cannot be read from those; they come from the files beside the image. These name its registers, \
         but whoever wrote them was free in all else. A page proves nothing: build the image again from its source, and compare the \
         registers and the files.</p>",
    );
    if !image.notes.is_empty() {
        html.raw("<ul>");
        for note in &image.notes {
            html.raw("<li>").text(note).raw("</li>");
        }
        html.raw("</ul>");
    }
    html.raw("<p class=\"made\">eif-builder ")
        .raw(env!("CARGO_PKG_VERSION"))
        .raw(". No script, no tracking, nothing fetched.</p></footer>");
}
