//! `eif-builder assemble`

use std::io::Write;

use eif::{Architecture, BuildInfo, Metadata};
use serde_json::{Value, json};

use super::Outcome;
use crate::assemble::{Assembly, assemble, assemble_signed, custom_metadata};
use crate::cli::{Arch, AssembleArgs};
use crate::host::Host;

pub(super) fn run(args: &AssembleArgs, host: &Host, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let custom = args
        .metadata
        .as_deref()
        .map_or(Ok(Value::Null), custom_metadata)?;
    let assembly = Assembly {
        kernel: args.kernel.clone(),
        cmdline: args.cmdline.clone(),
        ramdisks: args.ramdisks.clone(),
        output: args.output.clone(),
        architecture: match args.arch {
            Arch::X86_64 => Architecture::X86_64,
            Arch::Aarch64 => Architecture::Aarch64,
        },
        default_mem: args.default_mem,
        default_cpus: args.default_cpus,
        metadata: Metadata {
            image_name: args.name.clone(),
            image_version: args.image_version.clone(),
            build: BuildInfo {
                build_time: crate::image::BUILD_TIME.to_owned(),
                build_tool: env!("CARGO_PKG_NAME").to_owned(),
                build_tool_version: env!("CARGO_PKG_VERSION").to_owned(),
                operating_system: "Linux".to_owned(),
                kernel_version: "unknown".to_owned(),
            },
            docker_info: Value::Null,
            custom,
        },
        signature: None,
    };
    if let Some(signer) = super::sign::signer(&args.signing, host)? {
        let done = assemble_signed(&assembly, &signer)?;
        return super::sign::print(&done, &args.output, args.json, out);
    }
    let written = assemble(&assembly)?;
    if args.json {
        writeln!(
            out,
            "{:#}",
            json!({"Measurements": written.measurements.to_json()})
        )?;
    } else {
        super::print_pcrs(&written.measurements, out)?;
        writeln!(out, "{}: {} bytes", args.output.display(), written.size)?;
    }
    Ok(Outcome::Done)
}
