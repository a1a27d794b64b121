//! The kernel's hardening, as its configuration has it: what is wanted, what is there, and what it is good for.
//!
//! The table follows the recommendations of the Kernel Self Protection Project, as far as they matter to a guest without
//! devices, and adds what an enclave can do without. Source: <https://kspp.github.io/Recommended_Settings>.

use std::collections::BTreeMap;

use super::html::Html;

/// One line: option, wanted value, and why.
type Wanted = (&'static str, &'static str, &'static str);

/// Groups of lines.
pub const HARDENING: &[(&str, &[Wanted])] = &[
    (
        "Memory",
        &[
            (
                "RANDOMIZE_BASE",
                "y",
                "the kernel is at another address at every boot",
            ),
            ("RANDOMIZE_MEMORY", "y", "so are its memory regions"),
            (
                "RANDOMIZE_KSTACK_OFFSET_DEFAULT",
                "y",
                "so is the stack of each system call",
            ),
            (
                "STRICT_KERNEL_RWX",
                "y",
                "no memory is both writable and executable",
            ),
            ("STACKPROTECTOR_STRONG", "y", "an overrun of a stack is noticed"),
            ("VMAP_STACK", "y", "a stack that grows too far hits a guard page"),
            (
                "HARDENED_USERCOPY",
                "y",
                "copies to and from programs are checked",
            ),
            ("FORTIFY_SOURCE", "y", "copies within the kernel are checked"),
            ("INIT_STACK_ALL_ZERO", "y", "stack memory is cleared before use"),
            ("INIT_ON_ALLOC_DEFAULT_ON", "y", "so is allocated memory"),
            (
                "SLAB_FREELIST_HARDENED",
                "y",
                "lists of free memory are hard to forge",
            ),
            ("SLAB_FREELIST_RANDOM", "y", "and hard to guess"),
            ("RANDOM_KMALLOC_CACHES", "y", "objects of one size lie apart"),
            ("LIST_HARDENED", "y", "damaged lists are noticed"),
            ("BUG_ON_DATA_CORRUPTION", "y", "and stop the kernel"),
            ("UBSAN_BOUNDS", "y", "an index out of bounds stops it too"),
            (
                "PANIC_ON_OOPS",
                "y",
                "a kernel that has gone wrong does not go on",
            ),
        ],
    ),
    (
        "Processor",
        &[
            ("MITIGATION_PAGE_TABLE_ISOLATION", "y", "against Meltdown"),
            ("MITIGATION_RETPOLINE", "y", "against Spectre, version 2"),
            ("MITIGATION_SRSO", "y", "against speculative return overflow"),
            ("MITIGATION_MDS", "y", "against sampling of buffers"),
            ("X86_KERNEL_IBT", "y", "indirect calls land where they may"),
            ("X86_UMIP", "y", "programs cannot read descriptor tables"),
            (
                "LEGACY_VSYSCALL_NONE",
                "y",
                "no code at an address that everybody knows",
            ),
            ("IA32_EMULATION", "n", "no second set of system calls"),
            ("MODIFY_LDT_SYSCALL", "n", "no segments of programs"),
        ],
    ),
    (
        "What even root may not do",
        &[
            (
                "LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY",
                "y",
                "nothing reads or changes the running kernel",
            ),
            ("MODULES", "n", "no code can be loaded into it"),
            ("KEXEC", "n", "no other kernel can be started"),
            ("DEVMEM", "n", "no raw memory"),
            ("PROC_KCORE", "n", "no image of its memory"),
            ("COREDUMP", "n", "a program that dies leaves no secrets behind"),
            ("SECCOMP_FILTER", "y", "system calls can be filtered"),
            ("SECURITY_YAMA", "y", "tracing can be forbidden"),
            ("SECURITY_DMESG_RESTRICT", "y", "its log is for root"),
            ("STATIC_USERMODEHELPER", "y", "it starts no helper program"),
            ("LDISC_AUTOLOAD", "n", "no terminal disciplines on request"),
            ("LEGACY_TIOCSTI", "n", "nobody types into another's terminal"),
        ],
    ),
    (
        "What is not there to be attacked",
        &[
            ("PCI", "n", "no bus, so no device that is plugged in"),
            ("BLOCK", "n", "no disks, no file systems on them"),
            ("USB_SUPPORT", "n", "no USB"),
            ("NETFILTER", "n", "no packet filter, no tables to load"),
            ("PACKET", "n", "no raw packets"),
            ("BPF_SYSCALL", "n", "no programs in the kernel"),
            ("IO_URING", "n", "no second way to make system calls"),
            ("USERFAULTFD", "n", "no page faults in programs' hands"),
            ("USER_NS", "n", "nobody becomes root in a corner"),
            ("KALLSYMS", "n", "no list of its symbols"),
            ("KPROBES", "n", "no probes"),
            ("FTRACE", "n", "no tracing"),
            ("DEBUG_FS", "n", "no debugging interfaces"),
            ("MAGIC_SYSRQ", "n", "no commands from the console"),
        ],
    ),
];

/// What a configuration has for an option; what it does not name is off, because it depends on something that is.
fn value<'a>(config: &'a BTreeMap<String, String>, option: &str) -> &'a str {
    config
        .get(&format!("CONFIG_{option}"))
        .map_or("n", String::as_str)
}

pub(super) fn section(html: &mut Html, config: Option<&BTreeMap<String, String>>) {
    html.raw("<section aria-labelledby=\"kernel\"><h2 id=\"kernel\">Kernel hardening</h2>");
    let Some(config) = config else {
        html.raw("<p>Not known: a kernel image does not tell how it was configured, and no configuration that belongs to this image was given.</p></section>");
        return;
    };
    let all = || HARDENING.iter().flat_map(|(_, lines)| *lines);
    let good = all()
        .filter(|(option, wanted, _)| value(config, option) == *wanted)
        .count();
    html.raw("<p class=\"lead\"><strong>")
        .text(good)
        .raw("</strong> of ")
        .text(all().count())
        .raw(" settings are as they should be, in the configuration that the kernel was built with.</p>");
    for (group, lines) in HARDENING {
        html.raw("<h3>")
            .raw(group)
            .raw("</h3><table class=\"cards compact brief of-kernel\">")
            .columns(&["Option", "Value", "So that"])
            .raw("<tbody>");
        for (option, wanted, why) in *lines {
            let is = value(config, option);
            html.raw(if is == *wanted {
                "<tr>"
            } else {
                "<tr class=\"set\">"
            })
            .cell("Option", |html| {
                html.raw("<code>").raw(option).raw("</code>");
            })
            .cell("Value", |html| {
                let word = match is {
                    "y" => "on",
                    "n" => "off",
                    other => other,
                };
                if is == *wanted {
                    html.raw("<span class=\"good\">").text(word).raw("</span>");
                } else {
                    let wanted = if *wanted == "y" { "on" } else { "off" };
                    html.raw("<strong class=\"bad\">")
                        .text(word)
                        .raw("</strong>, should be ")
                        .raw(wanted);
                }
            })
            .cell("So that", |html| {
                html.raw(why);
            })
            .raw("</tr>");
        }
        html.raw("</tbody></table>");
    }
    html.raw("</section>");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shipped kernel must be what the page praises.
    #[test]
    fn the_configuration_of_this_repository_has_every_setting() {
        let text = include_str!("../../../reproducible/kernel/config");
        let asked = |line: &str| text.lines().any(|found| found == line);
        for (option, wanted, _) in HARDENING.iter().flat_map(|(_, lines)| *lines) {
            let said = match *wanted {
                "y" => asked(&format!("CONFIG_{option}=y")),
                _ => asked(&format!("# CONFIG_{option} is not set")),
            };
            assert!(said, "{option}={wanted} is not in reproducible/kernel/config");
        }
    }

    #[test]
    fn what_is_missing_is_told() {
        let mut html = Html::new();
        section(
            &mut html,
            Some(&BTreeMap::from([("CONFIG_MODULES".to_owned(), "y".to_owned())])),
        );
        let text = html.finish();
        assert!(text.contains("<strong class=\"bad\">on</strong>, should be off"));
        assert!(text.contains("<strong class=\"bad\">off</strong>, should be on"));
        let mut html = Html::new();
        section(&mut html, None);
        assert!(html.finish().contains("Not known"));
    }
}
