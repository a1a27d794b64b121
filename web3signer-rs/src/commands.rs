//! The sub-commands `import`, `export` and `watermark-repair`: one piece of work on the store of slashing protection.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::app::causes;
use crate::cli::option::Level;
use crate::cli::values::Values;
use crate::log::Log;
use crate::slashing::interchange::{Interchange, MAX_FILE_BYTES};
use crate::slashing::watermark::HighWatermark;
use crate::slashing::{ImportBy, Protection};

/// Does what a sub-command says.
///
/// # Errors
/// A text for the operator.
pub async fn run(level: Level, values: &Values, protection: &Protection, log: &Log) -> Result<(), String> {
    let text = |key| Path::new(values.text(key).unwrap_or_default());
    match level {
        Level::Import => import(text("--from"), protection, log).await,
        Level::Export => export(text("--to"), protection, log).await,
        Level::WatermarkRepair => watermark(values, protection, log).await,
        Level::Web3signer | Level::Eth2 => Ok(()),
    }
}

async fn import(path: &Path, protection: &Protection, log: &Log) -> Result<(), String> {
    let file = File::open(path).map_err(|e| format!("Unable to find input file {}: {e}", path.display()))?;
    let interchange =
        Interchange::read(file, MAX_FILE_BYTES).map_err(|e| format!("{}: {}", path.display(), causes(&e)))?;
    let report = protection
        .import(&interchange, ImportBy::Operator)
        .await
        .map_err(|e| causes(&e))?;
    for (key, why) in &report.skipped {
        log.error(format_args!("{key} not imported: {why}"));
    }
    for warning in &report.warnings {
        log.warn(warning);
    }
    log.info(format_args!(
        "imported {} validators, skipped {}",
        report.imported.len(),
        report.skipped.len()
    ));
    Ok(())
}

/// The file appears under its name only when it is complete.
async fn export(path: &Path, protection: &Protection, log: &Log) -> Result<(), String> {
    let interchange = protection.export(None).await.map_err(|e| causes(&e))?;
    let write = || -> io::Result<()> {
        let mut name = path
            .file_name()
            .map(std::ffi::OsStr::to_owned)
            .unwrap_or_default();
        name.push(".new");
        let half = path.with_file_name(name);
        let file = File::create(&half)?;
        interchange.write(&file)?;
        file.sync_all()?;
        std::fs::rename(&half, path)
    };
    write().map_err(|e| format!("Unable to find output target file {}: {e}", path.display()))?;
    log.info(format_args!(
        "exported {} validators",
        interchange.validators.len()
    ));
    Ok(())
}

async fn watermark(values: &Values, protection: &Protection, log: &Log) -> Result<(), String> {
    let mark = values
        .unsigned("--epoch")
        .zip(values.unsigned("--slot"))
        .map(|(epoch, slot)| HighWatermark { epoch, slot });
    if values.flag("--remove-high-watermark") {
        protection
            .set_high_watermark(None)
            .await
            .map_err(|e| causes(&e))?;
        log.info("Removed high watermark for all validators");
    } else if values.flag("--set-high-watermark") {
        protection
            .set_high_watermark(mark)
            .await
            .map_err(|e| causes(&e))?;
        log.info("Updated high watermark for all validators");
    } else if let Some(mark) = mark {
        let count = protection
            .raise_low_watermarks(mark)
            .await
            .map_err(|e| causes(&e))?;
        log.info(format_args!("Updated low watermark for all {count} validators"));
    }
    Ok(())
}
