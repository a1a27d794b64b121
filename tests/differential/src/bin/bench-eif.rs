//! `bench-eif`: our assembly, measuring, `verify` and `describe` of an image against AWS's crate, on the same files, in one
//! run; and `diff` of two such images, which has no peer.
//!
//! Each measurement is a process of its own (this program again, with a task's name), so that peak memory is that
//! task's alone. The two sides take turns; the first turn of each is not counted. What is said is the median.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Seek as _, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use differential::{assemble_with_aws, assembly, ramdisk, read_with_aws, registers};
use eif::{Architecture, EifFile};
use eif_builder::assemble::assemble;
use eif_builder::cpio_read::Budget;
use eif_builder::describe::describe;
use eif_builder::diff::diff;
use eif_builder::verify::{Outcome, Parameters, verify};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

const ROUNDS: usize = 9;
const APP_RAMDISK_BYTES: u64 = 200_000_000;
/// Files of the application ramdisk: an archive, so that `verify` and `describe` have something to read.
const APP_FILES: u64 = 200;
/// `EifReader` is the peer of all that only read: it computes registers and CRC, and looks into no ramdisk.
const TASKS: [[&str; 2]; 4] = [
    ["assemble-ours", "assemble-aws"],
    ["measure-ours", "measure-aws"],
    ["verify-ours", "measure-aws"],
    ["describe-ours", "measure-aws"],
];

/// What one process took.
#[derive(Clone, Copy)]
struct Cost {
    wall: Duration,
    /// User and system time.
    cpu: Duration,
    peak_kib: u64,
}

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => compare(),
        [task, dir] => run(task, Path::new(dir)),
        _ => bail!("usage: bench-eif"),
    }
}

/// One task, in a process of its own; says its CPU time and peak memory.
fn run(task: &str, dir: &Path) -> Result<()> {
    let assembly = assembly(dir, "console=ttyS0", 2, Architecture::X86_64);
    let theirs = dir.join("aws.eif");
    let mut found = match task {
        "assemble-ours" => registers(&assemble(&assembly)?.measurements),
        "assemble-aws" => assemble_with_aws(&assembly, &theirs, None)?,
        "measure-ours" => {
            let mut image = EifFile::open(File::open(theirs)?)?;
            let measured = image.measure()?;
            ensure!(measured.crc == image.header().crc, "wrong CRC");
            registers(&measured.measurements)
        }
        "measure-aws" => {
            let reading = read_with_aws(&theirs)?;
            ensure!(reading.crc_ok, "wrong CRC");
            reading.registers
        }
        "verify-ours" => {
            let at = "2026-06-01T00:00:00Z".parse()?;
            let budget = Budget::default();
            let published = None;
            let report = verify(
                &theirs,
                &Parameters {
                    published,
                    at,
                    budget,
                },
            )?;
            ensure!(
                report
                    .check("init")
                    .is_some_and(|check| check.outcome == Outcome::Ok),
                "{report}"
            );
            from_json(report.measurements.as_ref())
        }
        "describe-ours" => {
            let description = describe(&theirs)?;
            ensure!(description.problems().is_empty(), "{:?}", description.problems());
            from_json(Some(&description.measurements))
        }
        "diff-ours" => {
            let found = diff(&theirs, &dir.join("other.eif"), Budget::default())?;
            ensure!(
                found.to_text().contains("paths are the same"),
                "{}",
                found.to_text()
            );
            differential::Registers::new()
        }
        _ => bail!("no task {task}"),
    };
    found.remove("HashAlgorithm");
    let used = getrusage(UsageWho::RUSAGE_SELF)?;
    let time =
        |value: TimeVal| Duration::from_micros((value.tv_sec() * 1_000_000 + value.tv_usec()).unsigned_abs());
    let cpu = time(used.user_time()) + time(used.system_time());
    // Not ru_maxrss, which a process takes over from the one that started it.
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .context("no VmHWM")?;
    println!("{} {}", cpu.as_micros(), peak.trim().trim_end_matches(" kB"));
    println!("{found:?}");
    Ok(())
}

fn compare() -> Result<()> {
    let dir = tempfile::tempdir()?;
    make_parts(dir.path())?;
    println!(
        "app ramdisk {APP_RAMDISK_BYTES} bytes, median of {ROUNDS} turns, {} CPUs\n",
        cpus()
    );
    println!("{:<10} {:>10} {:>10} {:>12}", "", "wall ms", "CPU ms", "peak MiB");
    for [ours, aws] in TASKS {
        let (mut our_costs, mut aws_costs) = (Vec::new(), Vec::new());
        for turn in 0..=ROUNDS {
            let (aws_cost, aws_found) = spawn(aws, dir.path())?;
            let (our_cost, our_found) = spawn(ours, dir.path())?;
            ensure!(
                our_found == aws_found,
                "other registers: {our_found} and {aws_found}"
            );
            if turn == 0 && ours == "assemble-ours" {
                same_bytes(&dir.path().join("ours.eif"), &dir.path().join("aws.eif"))?;
            }
            if turn > 0 {
                our_costs.push(our_cost);
                aws_costs.push(aws_cost);
            }
        }
        let (our_cost, aws_cost) = (median(&our_costs)?, median(&aws_costs)?);
        row(aws, aws_cost);
        row(ours, our_cost);
        let wall = aws_cost.wall.as_secs_f64() / our_cost.wall.as_secs_f64();
        let memory = ratio(aws_cost.peak_kib, our_cost.peak_kib);
        println!("{:<14} {wall:.1} times as fast, 1/{memory} of the memory\n", "");
    }
    let mut costs = Vec::new();
    make_other(dir.path())?;
    for _ in 0..ROUNDS {
        costs.push(spawn("diff-ours", dir.path())?.0);
    }
    row("diff-ours", median(&costs)?);
    println!(
        "{:<14} two images of {APP_RAMDISK_BYTES} bytes, one file changed",
        ""
    );
    Ok(())
}

fn from_json(measurements: Option<&serde_json::Value>) -> differential::Registers {
    let members = measurements
        .and_then(serde_json::Value::as_object)
        .into_iter()
        .flatten();
    let texts = members.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    texts.collect()
}

/// The same image with one byte of one file changed.
fn make_other(dir: &Path) -> Result<()> {
    let path = ramdisk(dir, 1);
    let mut file = File::options().read(true).write(true).open(&path)?;
    file.seek(SeekFrom::Start(APP_RAMDISK_BYTES / 2))?;
    file.write_all(b"changed")?;
    let mut other = assembly(dir, "console=ttyS0", 2, Architecture::X86_64);
    other.output = dir.join("other.eif");
    assemble(&other)?;
    Ok(())
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn row(task: &str, cost: Cost) {
    let (wall, cpu) = (cost.wall.as_millis(), cost.cpu.as_millis());
    println!("{task:<14} {wall:>6} {cpu:>10} {:>12}", cost.peak_kib / 1024);
}

fn ratio(more: u64, less: u64) -> u64 {
    more.checked_div(less).unwrap_or_default()
}

/// A kernel and a boot ramdisk of the size of ours, an application ramdisk of 200 MB, the last two as plain cpio archives;
/// the same bytes each time.
fn make_parts(dir: &Path) -> Result<()> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = |file: &mut dyn Write, size: u64| -> Result<()> {
        for _ in 0..size / 8 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            file.write_all(&state.to_le_bytes())?;
        }
        Ok(())
    };
    let mut kernel = BufWriter::new(File::create(dir.join("kernel"))?);
    noise(&mut kernel, 3_000_000)?;
    kernel.into_inner()?.sync_all()?;
    for (index, files, bytes) in [(0, 1, 1_000_000), (1, APP_FILES, APP_RAMDISK_BYTES)] {
        let mut file = BufWriter::new(File::create(ramdisk(dir, index))?);
        for number in 0..files {
            let name = if number == 0 {
                "init".to_owned()
            } else {
                format!("{number}")
            };
            let size = bytes / files / 8 * 8;
            entry(&mut file, &name, size)?;
            noise(&mut file, size)?;
        }
        entry(&mut file, "TRAILER!!!", 0)?;
        file.into_inner()?.sync_all()?;
    }
    Ok(())
}

/// The header and name of a program of `size` bytes, a multiple of four.
fn entry(file: &mut dyn Write, name: &str, size: u64) -> Result<()> {
    let fields = [
        0,
        0o100_755,
        0,
        0,
        1,
        0,
        size,
        0,
        0,
        0,
        0,
        name.len() as u64 + 1,
        0,
    ];
    let mut head = "070701".to_owned();
    for field in fields {
        write!(head, "{field:08x}")?;
    }
    head += name;
    head.push('\0');
    while !head.len().is_multiple_of(4) {
        head.push('\0');
    }
    file.write_all(head.as_bytes())?;
    Ok(())
}

/// Runs a task and gives its cost and the registers that it found.
fn spawn(task: &str, dir: &Path) -> Result<(Cost, String)> {
    let output = match task {
        "assemble-ours" => Some(dir.join("ours.eif")),
        "assemble-aws" => Some(dir.join("aws.eif")),
        _ => None,
    };
    // Each starts without an output, and without the other's being written back to the disk meanwhile.
    if let Some(path) = output.as_ref().filter(|path| path.exists()) {
        fs::remove_file(path)?;
    }
    let started = Instant::now();
    let child = Command::new(std::env::current_exe()?)
        .arg(task)
        .arg(dir)
        .stderr(Stdio::inherit())
        .output()?;
    let wall = started.elapsed();
    ensure!(child.status.success(), "{task}: {}", child.status);
    if let Some(path) = output {
        File::open(path)?.sync_all()?;
    }
    let text = String::from_utf8(child.stdout)?;
    let (costs, found) = text.split_once('\n').context("no second line")?;
    let (cpu, peak) = costs.split_once(' ').context("no second figure")?;
    let cost = Cost {
        wall,
        cpu: Duration::from_micros(cpu.parse()?),
        peak_kib: peak.parse()?,
    };
    Ok((cost, found.to_owned()))
}

fn same_bytes(one: &Path, other: &Path) -> Result<()> {
    let equal = Command::new("cmp").arg(one).arg(other).status().context("cmp")?;
    ensure!(equal.success(), "the images differ");
    Ok(())
}

/// Each figure's own median.
fn median(costs: &[Cost]) -> Result<Cost> {
    fn middle<T: Ord + Copy>(costs: &[Cost], figure: impl Fn(&Cost) -> T) -> Option<T> {
        let mut figures: Vec<_> = costs.iter().map(figure).collect();
        figures.sort();
        figures.get(figures.len() / 2).copied()
    }
    let wall = middle(costs, |cost| cost.wall).context("no turns")?;
    let cpu = middle(costs, |cost| cost.cpu).context("no turns")?;
    let peak_kib = middle(costs, |cost| cost.peak_kib).context("no turns")?;
    Ok(Cost { wall, cpu, peak_kib })
}
