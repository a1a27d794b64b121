#!/usr/bin/env bash
# Checks .github/workflows and action.yml: their form by schema, what is dangerous in them with zizmor, their shell steps with shellcheck, and
# that every action of others is named by its whole commit with the version behind it. Nothing is asked of the network.
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top"
venv=$(scripts/python-tool.sh workflows)
"$venv/bin/check-jsonschema" --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
"$venv/bin/check-jsonschema" --quiet --builtin-schema vendor.github-actions action.yml
"$venv/bin/zizmor" --quiet --offline --no-config --persona pedantic --min-severity low .github/workflows action.yml

# `uses: OWNER/NAME@40 hexadecimal digits # vN…`, or an action of this tree.
wrong=$(grep -nE '^ *(- )?uses:' .github/workflows/*.yml action.yml |
    grep -vE 'uses: (\./( #.*)?$|[A-Za-z0-9_.-]+/[A-Za-z0-9_./-]+@[0-9a-f]{40} # v[0-9]+\.[0-9]+\.[0-9]+$)' || true)
if [ -n "$wrong" ]; then
    printf 'not pinned to a whole commit with its version:\n%s\n' "$wrong" >&2
    exit 1
fi

# Each shell step as a script. Expressions of the runner would be pasted into it: there must be none.
"$venv/bin/python" - .github/workflows/*.yml action.yml <<'END'
import pathlib, subprocess, sys
from ruamel.yaml import YAML

def steps(document):
    jobs = document.get("jobs", {}).values()
    yield from (step for job in jobs for step in job.get("steps", []))
    yield from document.get("runs", {}).get("steps", [])

for name in sys.argv[1:]:
    for step in steps(YAML(typ="safe").load(pathlib.Path(name))):
        script = step.get("run")
        if script is None:
            continue
        if "${{" in script:
            sys.exit(f"{name}: a shell step has an expression in it: {script!r}")
        command = ["shellcheck", "--shell=bash", "-"]
        if subprocess.run(command, input=script, text=True, check=False).returncode != 0:
            sys.exit(f"{name}: shellcheck refuses a step")
END
