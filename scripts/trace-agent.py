#!/usr/bin/env python3
"""Lists the system calls that the static agent makes under test traffic, each with its number of calls.

    cargo build -p agent --release --target x86_64-unknown-linux-gnu     (RUSTFLAGS="-C target-feature=+crt-static")
    sudo scripts/trace-agent.py target/x86_64-unknown-linux-gnu/release/agent

Needs root, strace and Python; no enclave. Where there is no vsock, strace answers socket, bind and listen itself and
puts an inherited Unix socket in their place: every client there is named so that its address reads as one of CID 3.
/dev/nsm is an empty file, so the module's ioctl is made and fails. Everything happens in a mount namespace.
"""
import collections, json, os, re, socket, subprocess, sys, tempfile, threading, time

FD = 9
EVENT = "nitro-init uptime_ms=%d stage=nsm event=ok bytes=1024\n"
SETUP = """
mount --make-rprivate / && mount -t tmpfs none /run && mount -t tmpfs none /sys && mount -t tmpfs none /dev || exit 1
mkdir -p /run/nitro /sys/class/misc/hw_random && cp "$1/boot" /run/nitro/boot || exit 1
echo nsm-hwrng > /sys/class/misc/hw_random/rng_current && : > /dev/nsm && mknod /dev/null c 1 3 || exit 1
shift
exec "$@"
"""


def client(path, number, pieces, wait=0.0, half_close=False):
    s = socket.socket(socket.AF_UNIX)
    # As sockaddr_vm: 2 bytes that are reserved, 4 of port, 4 of CID (3).
    s.bind(b"\0a" + number.to_bytes(4, "little") + (3).to_bytes(4, "little") + b"\0\0\0\0")
    s.connect(path)
    try:
        for piece in pieces:
            s.sendall(piece)
            time.sleep(wait)
        if half_close:
            s.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := s.recv(65536):
            answer += piece
    except (BrokenPipeError, ConnectionResetError):
        answer = b""
    s.close()
    return answer


def traffic(path):
    status, attest = b'{"operation":"status"}', b'{"operation":"attest","nonce":"00ff"}'
    number = iter(range(1, 1 << 30))
    ask = lambda *a, **k: client(path, next(number), *a, **k)
    seen = collections.Counter()
    for message in (status, attest, b"{}", b"\x16\x03\x01", b"{" + b" " * 5000):
        seen[json.loads(ask([message]))["status"]] += 1
    ask([bytes([b]) for b in status], wait=0.005)
    ask([b'{"oper'], half_close=True)
    ask([], half_close=True)
    seen[json.loads(ask([b'{"operation":']))["status"]] += 1  # the deadline
    numbers = [next(number) for _ in range(64)]
    threads = [threading.Thread(target=client, args=(path, n, [status if n % 2 else attest])) for n in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    time.sleep(11)  # the thread beside the event loop ends after 10 s without work
    ask([status])
    return seen


def main():
    agent = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        path, log = folder + "/socket", folder + "/log"
        with open(folder + "/boot", "w") as boot:
            boot.write("".join(EVENT % n for n in range(1000)))
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(128)
        os.dup2(listener.fileno(), FD, inheritable=True)
        ours, theirs = socket.socketpair()
        strace = ["strace", "-f", "-o", log, "-e", "trace=all", "-e", f"inject=socket:retval={FD}",
                  "-e", "inject=bind:retval=0", "-e", "inject=listen:retval=0", agent]
        child = subprocess.Popen(["unshare", "-m", "sh", "-c", SETUP, "sh", folder, *strace], stdin=theirs,
                                 pass_fds=[FD], stderr=subprocess.PIPE)
        first = child.stderr.readline().decode()
        if "event=listening" not in first:
            sys.exit(f"the agent did not start: {first}{child.stderr.read().decode()}")
        print("answers by status:", dict(traffic(path)), file=sys.stderr)
        subprocess.run(["pkill", "-TERM", "-P", str(child.pid)], check=False)
        child.wait()
        calls = collections.Counter()
        examples = {}
        for line in open(log):
            if found := re.match(r"\d+ +([a-z0-9_]+)\(", line):
                calls[found[1]] += 1
                examples.setdefault(found[1], set()).add(re.sub(r"^\d+ +", "", line.strip())[:150])
        for name, count in sorted(calls.items()):
            print(f"{count:6} {name}")
            if "-v" in sys.argv:
                print("".join(f"         {e}\n" for e in sorted(examples[name])[:8]), end="")


main()
