//! `eif-builder policy`

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use kms_policy::measurements;
use kms_policy::request::ImagePcrs;

use super::{Outcome, read_limited, write_whole};
use crate::cli::{PolicyArgs, PolicyCommand, PolicyLintArgs};
use crate::lint::{MAX_POLICY_BYTES, report};
use crate::policy::{PolicyParameters, PolicyText, policy_text};

pub(super) fn run(args: &PolicyArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    if let Some(PolicyCommand::Lint(args)) = &args.command {
        return lint(args, out);
    }
    let images = read_images(&args.pcrs)?;
    let text = policy_text(images, &parameters(args))?;
    match &args.output {
        Some(path) => write_whole(path, text.as_str().as_bytes())?,
        None => out.write_all(text.as_str().as_bytes())?,
    }
    if let (PolicyText::Template(_), Some(path)) = (&text, &args.output) {
        writeln!(
            out,
            "{} is a template; fill in its names or give them: --account, --admin, …",
            path.display()
        )?;
    }
    Ok(Outcome::Done)
}

fn lint(args: &PolicyLintArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let images = read_images(&args.pcrs)?;
    let images = (!images.is_empty()).then_some(images);
    let text = read_limited(&args.policy, MAX_POLICY_BYTES)?;
    let found = match report(&text, images.as_deref()) {
        Ok(found) => found,
        Err(error) => {
            let path = args.policy.display();
            writeln!(
                io::stderr(),
                "eif-builder: {path} is no key policy: {:#}",
                anyhow::Error::from(error)
            )?;
            return Ok(Outcome::Refused);
        }
    };
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&found)?)?;
    } else {
        writeln!(out, "{found}")?;
    }
    Ok(if found.clean {
        Outcome::Done
    } else {
        Outcome::Refused
    })
}

fn read_images(paths: &[PathBuf]) -> anyhow::Result<Vec<ImagePcrs>> {
    let mut images = Vec::new();
    for path in paths {
        let bytes = read_limited(path, measurements::MAX_BYTES as u64)?;
        images.push(measurements::read(&label(path), &bytes)?);
    }
    Ok(images)
}

/// `out/native.pcrs.json` is the image `native`.
fn label(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    name.split('.').next().unwrap_or_default().to_owned()
}

fn parameters(args: &PolicyArgs) -> PolicyParameters {
    PolicyParameters {
        account: args.account.clone(),
        partition: args.partition.clone(),
        admins: args.admins.clone(),
        instance_role: args.instance_role.clone(),
        loader_roles: args.loader_roles.clone(),
        pcr3_role: args.pcr3_role.clone(),
        pcr4_instances: args.pcr4_instances.clone(),
        pcr8: args.pcr8,
        pcr16: args.pcr16.clone(),
        danger_admit_debug: args.danger_admit_debug,
    }
}
