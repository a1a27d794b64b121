#!/usr/bin/env python3
"""Asks a vulnerability database about everything that an image is made of.

    scripts/sbom-scan.py IMAGE.cdx.json [--api URL] [--accepted FILE]

Crates and Maven artefacts are asked for by their package URL, Debian packages by name and version of their source package, because that
is what Debian's data is kept by. A finding counts when it is not in FILE (`ID reason`, one a line; reproducible/accepted-vulnerabilities.txt). Debian lists hundreds of findings that nobody
can act on: of a Debian package only those count for which its release has a fixed version newer than ours, and the mend is `make lock`.
Exit codes: 0 nothing counts; 1 the database cannot be asked; 2 wrong usage; 3 something counts.
"""

import argparse
import concurrent.futures
import json
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

RELEASES = {"bookworm": "Debian:12", "trixie": "Debian:13"}
# Bounds of what a server may send, and of how many questions are asked.
MAX_ANSWER = 32 << 20
MAX_QUERIES = 20_000
BATCH = 500
MAX_PAGES = 200
PARALLEL = 8


def questions(document):
    """What to ask for each component, with the component's name."""
    for component in document.get("components", []):
        purl = component.get("purl", "")
        facts = {p["name"].split(":")[-1]: p["value"] for p in component.get("properties", [])}
        base, _, rest = purl.partition("?")
        qualifiers = dict(urllib.parse.parse_qsl(rest))
        if base.startswith(("pkg:cargo/", "pkg:maven/")):
            yield f"{component['name']} {component.get('version', '')}", {"package": {"purl": base}}, None
        elif base.startswith("pkg:deb/"):
            source, version = facts.get("source"), facts.get("source-version")
            if not source or not version or qualifiers.get("distro") not in RELEASES:
                # Asked for by another name it would be found free of faults.
                raise ValueError(f"{purl} names no source package with its version, or a release other than {', '.join(RELEASES)}")
            package = {"ecosystem": RELEASES[qualifiers["distro"]], "name": source}
            yield f"{source} {version}", {"package": package, "version": version}, package


def ask(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"content-type": "application/json", "user-agent": "nitro-web3signer"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read(MAX_ANSWER + 1)
    if len(text) > MAX_ANSWER:
        raise ValueError(f"{url} answers more than {MAX_ANSWER} bytes")
    return json.loads(text)


def newer(one, other):
    """Whether a Debian version is newer, by dpkg's own rules."""
    return subprocess.run(["dpkg", "--compare-versions", one, "gt", other], check=False).returncode == 0


def fixed(vulnerability, package, version):
    """A fixed version of the same release that is newer than ours, or None."""
    for affected in vulnerability.get("affected", []):
        if affected.get("package", {}).get("name") != package["name"] or affected["package"].get("ecosystem") != package["ecosystem"]:
            continue
        for events in (span.get("events", []) for span in affected.get("ranges", [])):
            for event in events:
                if "fixed" in event and newer(event["fixed"], version):
                    return event["fixed"]
    return None


def accepted(path):
    lines = (line.split("#")[0].split(None, 1) for line in path.read_text().splitlines()) if path.exists() else []
    entries = [line for line in lines if line]
    for entry in entries:
        if len(entry) != 2:
            raise SystemExit(f"{path}: {entry[0]} has no reason")
    return {entry[0] for entry in entries}


def scan(document, api, known):
    asked = list({json.dumps(query, sort_keys=True): (name, query, package) for name, query, package in questions(document)}.values())
    if not asked or len(asked) > MAX_QUERIES:
        raise ValueError(f"the document names {len(asked)} packages: it is none of ours")
    findings = {}
    # The kernel has more findings than one page holds.
    left = [(one, {}) for one in asked]
    for _ in range(MAX_PAGES):
        part, left = left[:BATCH], left[BATCH:]
        if not part:
            break
        results = ask(f"{api}/v1/querybatch", {"queries": [query | page for (_, query, _), page in part]}).get("results", [])
        if len(results) != len(part):
            raise ValueError(f"{api} answers {len(results)} of {len(part)} questions")
        for (one, _), result in zip(part, results):
            for entry in result.get("vulns", []):
                findings.setdefault(entry["id"], []).append(one)
            if result.get("next_page_token"):
                left.append((one, {"page_token": result["next_page_token"]}))
    if left:
        raise ValueError(f"{api} has more than {MAX_PAGES} pages of answers")
    counted = []
    wanted = sorted(findings.keys() - known)
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        texts = pool.map(lambda identity: ask(f"{api}/v1/vulns/{urllib.parse.quote(identity)}"), wanted)
        texts = list(zip(wanted, texts))
    for identity, vulnerability in texts:
        if known & set(vulnerability.get("aliases", [])):
            continue
        for name, query, package in findings[identity]:
            mend = "see the advisory"
            if package:
                version = fixed(vulnerability, package, query["version"])
                if version is None:
                    continue
                mend = f"{version} has the fix: make lock"
            counted.append(f"{identity} {name}: {vulnerability.get('summary') or 'no summary'}; {mend}")
    print(f"{len(asked)} packages asked about, {len(findings)} findings, {len(counted)} count", file=sys.stderr)
    return counted


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("document", type=Path)
    parser.add_argument("--api", default="https://api.osv.dev")
    parser.add_argument("--accepted", type=Path, default=Path(__file__).resolve().parent.parent / "reproducible/accepted-vulnerabilities.txt")
    flags = parser.parse_args()
    try:
        counted = scan(json.loads(flags.document.read_text()), flags.api, accepted(flags.accepted))
    except (OSError, ValueError, KeyError, urllib.error.URLError) as error:
        print(f"sbom-scan.py: {error}", file=sys.stderr)
        return 1
    for line in counted:
        print(line)
    return 3 if counted else 0


if __name__ == "__main__":
    sys.exit(main())
