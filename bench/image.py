#!/usr/bin/env python3
"""What an image costs: `make eif` with nothing changed, what each part weighs, and the boot of it.

Prints figures and judges nothing: machines are shared and noisy. Run by `make bench`, which gives it the emulator.
"""
import json
import statistics
import subprocess
import sys
import time

ROUNDS = 5
BOOTS = 5


def unchanged_build(builder: str) -> None:
    command = [builder, "build", "rootfs/native/image.toml", "--out", "out"]
    times = []
    for _ in range(ROUNDS):
        start = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.monotonic() - start)
    print(f"eif-builder build, nothing changed: median {statistics.median(times):.2f} s of {ROUNDS}, worst {max(times):.2f} s")


def weights() -> None:
    with open("out/native.weights.json", encoding="utf-8") as file:
        parts = json.load(file)
    total = parts["image"]["packed_bytes"]
    for name in ("kernel", "boot", "app", "image"):
        packed = parts[name]["packed_bytes"]
        print(f"{name:8} {packed:9} bytes {100 * packed / total:5.1f} %")
        for path, size in sorted(parts[name].get("files", {}).items(), key=lambda item: -item[1])[:5]:
            print(f"           {size:9} bytes before compression  {path}")


def boot(simulator: str, emulator: str) -> dict[str, float]:
    command = [simulator, "run", "--json", "--emulator", emulator, "out/native.eif"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    seen: dict[str, float] = {}
    for line in child.stdout:
        event = json.loads(line)
        words = event.get("text", "").split()
        if event["kind"] == "stage":
            seen.setdefault("host " + event["text"], event["at_ms"])
        if event["kind"] == "console" and words[:1] == ["nitro-init"]:
            fields = dict(word.split("=", 1) for word in words[1:])
            seen.setdefault("guest " + fields["stage"], float(fields["uptime_ms"]))
            if fields["stage"] == "running":
                break
    child.terminate()
    child.wait(timeout=30)
    return seen


def main() -> None:
    builder, simulator, emulator = sys.argv[1:]
    unchanged_build(builder)
    weights()
    boots = [boot(simulator, emulator) for _ in range(BOOTS)]
    init = [run["guest heartbeat"] - run["guest start"] for run in boots]
    ready = [run["guest running"] for run in boots]
    print(f"init, from its first line to the heartbeat, guest clock: median {statistics.median(init):.0f} ms of {BOOTS}, worst {max(init):.0f} ms")
    print(f"kernel start to all services started, guest clock: median {statistics.median(ready):.0f} ms")


if __name__ == "__main__":
    main()
