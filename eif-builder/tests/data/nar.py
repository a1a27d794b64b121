"""The NAR hash of a folder, written from the format's description alone: what `tests/nar.rs` holds the builder's against."""
import base64, hashlib, os, stat, sys


def words(*texts):
    out = b""
    for text in texts:
        raw = text if isinstance(text, bytes) else os.fsencode(text)
        out += len(raw).to_bytes(8, "little") + raw + b"\0" * (-len(raw) % 8)
    return out


def node(path):
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        inner = words("type", "symlink", "target", os.readlink(path))
    elif stat.S_ISREG(mode):
        flag = ("executable", "") if mode & stat.S_IXUSR else ()
        inner = words("type", "regular", *flag, "contents", open(path, "rb").read())
    else:
        inner = words("type", "directory")
        for name in sorted(os.listdir(os.fsencode(path))):
            child = node(os.path.join(os.fsencode(path), name))
            inner += words("entry", "(", "name", name, "node") + child + words(")")
    return words("(") + inner + words(")")


nar = words("nix-archive-1") + node(os.fsencode(sys.argv[1]))
print(base64.b64encode(hashlib.sha256(nar).digest()).decode())
