#!/usr/bin/env python3
"""The reproducibility matrix: the same image, built in surroundings that differ, must have the same bytes in every cell.

    scripts/repro.py IMAGE EIF_BUILDER OUT [--cells NAME,...] [--work DIR]

OUT/IMAGE.eif, which `make eif` built, is what every cell is compared with. A cell gets a copy of the source and a store of its own:
inputs are linked (a store hashes them again when it uses them), vendored crates are taken over, and so is the kernel except where a cell
says that it builds everything. Build root, programs, ramdisks and EIF are always made anew. The table names what was compiled in each.

The last cell proves that the matrix can fail: its source writes the clock into init, and two builds of it must differ.
Exit codes: 0 all as it must be; 1 a cell could not be built; 3 a cell has other bytes, or the last cell has not.
"""

import argparse
import glob
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
OTHER_USER = "65534"
# What a host's compiler, and whoever runs it, must not change.
NOISE = {"NOISE": "x" * 999, "LD_LIBRARY_PATH": "/nonexistent", "MAKEFLAGS": "-k", "CFLAGS": "-O0 -g", "RUSTFLAGS": "-C opt-level=0",
         "KCFLAGS": "-g", "KBUILD_BUILD_USER": "somebody", "SOURCE_DATE_EPOCH": "12345", "PERL_HASH_SEED": "7", "PYTHONHASHSEED": "7"}


class Failed(Exception):
    pass


def run(command, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **more)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))[:300]}: exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done


def copy_tree(into, seed=None):
    """What git knows, as a clone would have it; with a seed, made in an order of chance."""
    listed = run(["git", "-C", TOP, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]).stdout
    names = sorted(name for name in listed.split("\0") if name and (TOP / name).is_file())
    if seed is not None:
        random.Random(seed).shuffle(names)
    for name in names:
        to = into / name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(TOP / name, to)
        shutil.copymode(TOP / name, to)


def recipe_name(part):
    """Of a compiled part; None for packages, crates and images."""
    try:
        return json.loads((part / "part.json").read_text())["recipe"]["name"]
    except (OSError, ValueError, KeyError):
        return None


def seed_store(main, store, compiled):
    """Inputs, vendored crates, and the compiled parts whose names `compiled` admits."""
    for name in ("parts", "locks", "tmp"):
        (store / name).mkdir(parents=True)
    parts = [main / "blobs"]
    for part in sorted((main / "parts").iterdir()):
        name = recipe_name(part)
        vendored = (part / "crates").is_dir() and not (part / "image.eif").exists()
        if compiled(name) if name else vendored:
            parts.append(part)
    for part in parts:
        into = store if part.name == "blobs" else store / "parts"
        if subprocess.run(["cp", "-al", part, into], capture_output=True, check=False).returncode != 0:
            shutil.rmtree(into / part.name, ignore_errors=True)
            run(["cp", "-a", part, into])


class Place:
    """A source tree, a store and a folder for the result."""

    def __init__(self, matrix, name, folder=None, compiled=lambda name: name == "kernel", seed=None):
        self.dir = Path(tempfile.mkdtemp(prefix=f"{name} ", dir=folder or matrix.work))
        self.tree, self.store, self.out = self.dir / "tree", self.dir / "store", self.dir / "out"
        copy_tree(self.tree, seed)
        seed_store(matrix.store, self.store, compiled)
        self.out.mkdir()
        self.matrix = matrix

    def build(self, program=None, before=(), env=None, jobs=None):
        manifest = self.tree / "rootfs" / self.matrix.image / "image.toml"
        command = [*before, program or self.matrix.builder, "build", manifest, "--out", self.out, "--store", self.store]
        surroundings = {"PATH": os.environ["PATH"], "HOME": str(self.dir)} | (env or {})
        done = run(command + (["--jobs", str(jobs)] if jobs else []), env=surroundings, cwd="/")
        return self.result(done.stderr)

    def result(self, said):
        image = self.out / f"{self.matrix.image}.eif"
        built = sorted({line.split()[1] for line in said.splitlines() if line.startswith("building ")})
        return {"sha256": hashlib.sha256(image.read_bytes()).hexdigest(), "built": built, "pcrs": pcrs(self.out, self.matrix.image)}

    def drop(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def pcrs(out, image):
    measured = json.loads((out / f"{image}.pcrs.json").read_text())["Measurements"]
    return [measured[name] for name in ("PCR0", "PCR1", "PCR2")]


class Matrix:
    def __init__(self, image, builder, out, work, carry):
        self.carry = carry
        self.image, self.builder, self.work = image, Path(builder).resolve(), Path(work)
        kernel = Path(run([self.builder, "recipe", "kernel", "--tree", TOP]).stdout.strip())
        self.store = next(dir for dir in kernel.parents if (dir / "blobs").is_dir())
        eif = Path(out) / f"{image}.eif"
        self.reference = {"sha256": hashlib.sha256(eif.read_bytes()).hexdigest(), "built": [], "pcrs": pcrs(Path(out), image)}

    # Each cell: what differs from the reference, and its result.

    def elsewhere(self):
        """path with a space, user without rights, umask 077, time zone, locale, home, environment noise, one job"""
        place = Place(self, "another place")
        before = ["sh", "-c", 'umask 077; exec "$@"', "sh"]
        program = place.dir / "builder"
        shutil.copy(self.builder, program)
        if os.getuid() == 0:
            before = ["setpriv", "--reuid", OTHER_USER, "--regid", OTHER_USER, "--clear-groups", "--", *before]
            run(["chown", "-R", OTHER_USER, place.tree, place.out])
            run(["chown", OTHER_USER, place.dir, place.store, *(place.store / name for name in ("blobs", "parts", "locks", "tmp"))])
            os.chmod(place.dir, 0o755)
        noise = NOISE | {"TZ": "Asia/Kathmandu", "LC_ALL": "tr_TR.UTF-8", "HOME": "/nonexistent"}
        return place, place.build(program, before, noise, jobs=1)

    def clock(self):
        """clock of the host at 2038-02-01, behind the end of 32-bit time"""
        libraries = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
        if not libraries:
            raise Failed("libfaketime is missing: run scripts/host-deps.sh bench")
        place = Place(self, "clock")
        fake = {"LD_PRELOAD": libraries[0], "FAKETIME": "@2038-02-01 00:00:00", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        year = run(["date", "+%Y"], env=os.environ | fake).stdout.strip()
        if year != "2038":
            raise Failed(f"libfaketime does not work here: the year is {year}")
        return place, place.build(env=fake)

    def cpus(self):
        """one CPU for seven jobs"""
        place = Place(self, "cpus")
        first = min(os.sched_getaffinity(0))
        return place, place.build(before=["taskset", "--cpu-list", str(first)], jobs=7)

    def order(self):
        """source and store on tmpfs, made in an order of chance: folders list their files in another order"""
        place = Place(self, "order", folder="/dev/shm", seed=2026)
        moved = sum(os.listdir(TOP / dir) != os.listdir(place.tree / dir) for dir in ("rootfs/native", "init/src", "crates", "reproducible"))
        if moved == 0:
            raise Failed("no folder lists its files in another order on /dev/shm: this cell would show nothing")
        return place, place.build()

    def debian13(self):
        """host Debian 13 (extracted root, no network): eif-builder compiled there by Debian's rustc, kernel and all built by it (but for what --carry names)"""
        place = Place(self, "debian13", compiled=lambda name: name == "kernel" and "kernel" in self.carry)
        root = Path(run([self.builder, "recipe", "build-root", "--tree", TOP]).stdout.strip())
        host = place.dir / "host"
        run(["cp", "-a", "--reflink=auto", root, host])
        tool = [self.builder] if "tool" in self.carry else []
        done = run(["bash", TOP / "reproducible/other-host.sh", host, place.dir, cargo_home(), self.image, *tool])
        versions = [line for line in done.stdout.splitlines() if line.startswith("host: ")]
        print("\n".join(versions), file=sys.stderr)
        return place, place.result(done.stderr)

    def can_fail(self):
        """the source writes the clock into init: two builds of it must differ"""
        results = []
        for _ in range(2):
            place = Place(self, "seeded", compiled=lambda name: name != "init")
            init = place.tree / "init"
            (init / "build.rs").write_text(
                "//! Seeded.\nfn main() { let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();\n"
                'println!("cargo::rustc-env=SEEDED={}", now.as_nanos()); }\n')
            with (init / "src/main.rs").open("a") as main:
                main.write('\n#[used]\nstatic SEEDED: &str = env!("SEEDED");\n')
            results.append(place.build())
            place.drop()
        one, other = results
        if "init" not in one["built"] or "init" not in other["built"]:
            raise Failed("init was not compiled in the seeded cell")
        return None, other | {"differs": one["sha256"] != other["sha256"] and one["pcrs"] != other["pcrs"]}


def cargo_home():
    return os.environ.get("CARGO_HOME") or Path.home() / ".cargo"


CELLS = ["elsewhere", "clock", "cpus", "order", "debian13", "can_fail"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image")
    parser.add_argument("builder", metavar="EIF_BUILDER")
    parser.add_argument("out", metavar="OUT")
    parser.add_argument("--cells", default=",".join(CELLS))
    parser.add_argument("--work", help="folder for the cells; on the store's file system its inputs are linked, not copied")
    parser.add_argument("--carry", default="", help="debian13: what is taken along from this host: tool, kernel, or both with a comma")
    flags = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="nitro-repro-", dir=flags.work))
    # Another user must get through.
    os.chmod(work, 0o755)
    matrix = Matrix(flags.image, flags.builder, flags.out, work, flags.carry.split(","))
    rows, worst = [], 0
    for name in flags.cells.split(","):
        if name not in CELLS:
            parser.error(f"no cell is called {name}; there are {', '.join(CELLS)}")
        cell, start = getattr(matrix, name), time.monotonic()
        print(f"{name}: {cell.__doc__}", file=sys.stderr, flush=True)
        try:
            place, result = cell()
        except Failed as error:
            print(f"{name}: {error}", file=sys.stderr)
            rows.append({"cell": name, "what": cell.__doc__, "verdict": "NOT BUILT", "built": [], "seconds": round(time.monotonic() - start)})
            worst = worst or 1
            continue
        if name == "can_fail":
            good, verdict = result["differs"], "differ, as they must" if result["differs"] else "SAME, BUT MUST DIFFER"
        else:
            good = all(result[key] == matrix.reference[key] for key in ("sha256", "pcrs"))
            verdict = "same bytes" if good else "OTHER BYTES"
        if place and good:
            place.drop()
        elif place:
            print(f"{name}: kept in {place.dir}", file=sys.stderr)
        worst = worst if good else 3
        rows.append({"cell": name, "what": cell.__doc__, "verdict": verdict, "seconds": round(time.monotonic() - start)} | result)
        print(f"{name}: {verdict}", file=sys.stderr, flush=True)
    show(matrix, rows)
    (Path(flags.out) / f"{flags.image}.repro.json").write_text(json.dumps({"reference": matrix.reference, "cells": rows}, indent=2) + "\n")
    if not any(work.iterdir()):
        work.rmdir()
    return worst


def show(matrix, rows):
    print(f"reference: {matrix.image}.eif sha256 {matrix.reference['sha256']}")
    print(f"{'cell':<10} {'verdict':<22} {'sha256':<17} {'PCR0':<17} {'PCR1':<17} {'PCR2':<17} {'min':>5}  compiled anew / what differs")
    for row in rows:
        short = [text[:16] for text in [row.get("sha256", "-"), *row.get("pcrs", ["-"] * 3)]]
        built = ", ".join(row["built"]) or "-"
        print(f"{row['cell']:<10} {row['verdict']:<22} " + " ".join(f"{text:<17}" for text in short) + f" {row['seconds'] / 60:5.1f}  {built} / {row['what']}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as error:
        print(error, file=sys.stderr)
        sys.exit(1)
