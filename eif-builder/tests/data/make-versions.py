#!/usr/bin/env python3
"""Writes versions.tsv: pairs of versions and how `dpkg --compare-versions` orders them.

Usage: make-versions.py PACKAGES > versions.tsv, where PACKAGES is the Packages file of a suite.
"""
import random
import subprocess
import sys

versions = sorted({line[9:].strip() for line in open(sys.argv[1]) if line.startswith("Version: ")})
chosen = random.Random(1)
real = chosen.sample(versions, 400)
parts = ["0", "00", "1", "10", "9", "~", "~~", "+", "-", ".", "a", "Z", "~rc1", "+b1", "+deb13u1", "1:", "0:"]
made = []
while len(made) < 400:
    text = chosen.choice("0123456789") + "".join(chosen.choice(parts) for _ in range(chosen.randrange(5)))
    if chosen.random() < 0.3:
        text = chosen.choice(["0:", "1:"]) + text
    if subprocess.run(["dpkg", "--validate-version", text], stderr=subprocess.DEVNULL).returncode == 0:
        made.append(text)
near = [v + s for v in real[:100] for s in ("", "~", "+b1", ".0", "~bpo13+1", "a")]
for pool, count in ((real, 400), (made, 800), (near, 400)):
    for _ in range(count):
        a, b = chosen.choice(pool), chosen.choice(pool)
        order = next(
            name for name, op in (("<", "lt"), ("=", "eq"), (">", "gt"))
            if subprocess.run(["dpkg", "--compare-versions", a, op, b]).returncode == 0
        )
        print(a, order, b, sep="\t")
