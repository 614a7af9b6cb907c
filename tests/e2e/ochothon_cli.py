"""What Ochothon's `ocho cli` puts on the wire, for tests: a word that names a file becomes its last component and the
file a part of that name; a directory becomes a .tgz; the rebuilt line goes into X-Shell, signed when there is a token;
curl posts it to port 9000. It prints `out` and nothing else. The original is Python 2 and goes through a shell."""
import hashlib
import hmac
import json
import os
import subprocess
import sys
import tempfile


def request_of(line, folder, token=None):
    """(X-Shell, X-Signature, {name: path}) of a line as it was typed."""
    files = {}
    words = line.split(" ")
    for i, word in enumerate(words[1:], 1):
        path = os.path.abspath(os.path.expanduser(word))
        name = os.path.basename(path)
        if os.path.isfile(os.path.expanduser(word)):
            files[name] = path
        elif os.path.isdir(os.path.expanduser(word)):
            name += ".tgz"
            files[name] = os.path.join(folder, name)
            subprocess.run(["tar", "zcf", files[name], *sorted(os.listdir(path))], cwd=path, check=True)
        else:
            continue
        words[i] = name
    line = " ".join(words)
    signature = "sha1=" + hmac.new(token.encode(), line.encode(), hashlib.sha1).hexdigest() if token else ""
    return line, signature, files


def post(address, line, token=None, port=9000):
    """The portal's answer."""
    with tempfile.TemporaryDirectory() as folder:
        line, signature, files = request_of(line, folder, token)
        parts = [word for name, path in files.items() for word in ("-F", f"{name}=@{path}")]
        said = subprocess.run(["curl", "-s", "-X", "POST", "-H", f"X-Shell:{line}", "-H", f"X-Signature:{signature}",
                               *parts, f"{address}:{port}/shell"], check=True, capture_output=True, timeout=120).stdout
    return json.loads(said.decode())


if __name__ == "__main__":
    print(post(os.environ.get("OCHOPOD_PROXY") or sys.argv.pop(1), " ".join(sys.argv[1:]),
               os.environ.get("OCHOPOD_TOKEN"))["out"])
