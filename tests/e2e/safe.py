"""Pods with a token, most of them with TLS as well: asked with signed requests, and every signed answer is checked.
Signatures are signing.py's, certificates of a throw-away CA."""
import http.client
import json
import os
import ssl
import subprocess

from bed import TOP
from pods import Pod
from signing import key, reply_signature, signed

MOUNTED = "/run/ochopod"
FILES = {"token_file": f"{MOUNTED}/token",
         "tls": {"certificate_file": f"{MOUNTED}/tls.pem", "key_file": f"{MOUNTED}/tls.key", "ca_file": f"{MOUNTED}/ca.pem"}}


class SafePod(Pod):
    """cluster, token and secrets (a folder) are set on a class of the test's own."""
    cluster = token = secrets = None
    tls = True

    def _connection(self, timeout):
        if not self.tls:
            return http.client.HTTPConnection(self.bed.address(self.name), 8080, timeout=timeout)
        context = ssl.create_default_context(cafile=f"{self.secrets}/ca.pem")
        context.check_hostname = False  # the name is the cluster's; test_auth looks at it
        return http.client.HTTPSConnection(self.bed.address(self.name), 8080, timeout=timeout, context=context)

    def ask(self, method, path, body=None, headers=None, timeout=60, role=None, token=None):
        role = role or ("read" if method == "GET" else "operator")
        secret = key(token or self.token, role, self.cluster)
        if method != "GET":
            headers = {"X-Ochopod-Target": self.info["id"], **(headers or {})}
        sent = headers if "X-Signature" in (headers or {}) else signed(secret, method, path, as_bytes(body), headers)
        connection = self._connection(timeout)
        try:
            connection.request(method, path, body=body, headers=sent)
            answer = connection.getresponse()
            said = answer.read()
        except http.client.HTTPException as error:
            raise OSError(repr(error)) from error
        finally:
            connection.close()
        if answer.status == 200 and sent["X-Signature"].startswith("v2="):
            pod = json.loads(said)["id"] if path == "/info" else self.info["id"]
            assert answer.headers["X-Signature"] == reply_signature(secret, 200, said, pod, sent["X-Ochopod-Nonce"])
        try:
            return answer.status, json.loads(said)
        except ValueError:
            return answer.status, said.decode()


def as_bytes(body):
    return body if isinstance(body, bytes) else (body or "").encode()


def certificates(directory, *names):
    subprocess.run([TOP / "tests/lib/certificates", directory, *names], check=True)


def write(path, text):
    """As an administrator would: the new file takes the old one's place at once."""
    following = path.with_suffix(".next")
    following.write_text(text + "\n", encoding="ascii")
    os.chmod(following, 0o400)
    os.rename(following, path)
