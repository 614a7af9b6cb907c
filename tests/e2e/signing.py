"""X-Signature: v2= as docs/AUTHENTICATION.md has it, written from that page alone: Python's hmac and hashlib, none of our
own code. Tests sign with it, and `python3 signing.py` prints the vectors of tests/unit/sidecar/auth/test_signature.c."""
import hashlib
import hmac
import secrets
import time


def hkdf(token, info):
    """RFC 5869 with SHA-256, no salt, one block."""
    prk = hmac.new(b"\0" * 32, token, hashlib.sha256).digest()
    return hmac.new(prk, info + b"\1", hashlib.sha256).digest()


def key(token, role, cluster):
    return hkdf(token.encode(), f"ochopod/v2/{role}/{cluster}".encode())


def phase(target):
    return target.split("?")[0].split("/")[2] if target.startswith("/control/") else ""


def request_text(method, target, body, headers):
    """headers: by the names of the page; one that is missing is an empty line."""
    lines = ["v2", method, target, hashlib.sha256(body).hexdigest(), headers.get("X-Ochopod-Target", ""),
             headers.get("X-Ochopod-Epoch", ""), headers.get("X-Ochopod-Round", ""), phase(target),
             headers.get("X-Ochopod-Time", ""), headers.get("X-Ochopod-Nonce", ""),
             headers.get("X-Ochopod-Budget-Ms", ""), headers.get("X-Shell", ""), headers.get("Content-Type", "")]
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def mac(secret, text):
    return "v2=" + hmac.new(secret, text, hashlib.sha256).hexdigest()


def signed(secret, method, target, body=b"", headers=None, now=None):
    """The headers of a request, with what signs it."""
    headers = {"X-Ochopod-Time": str(int(now or time.time())), "X-Ochopod-Nonce": secrets.token_hex(16), **(headers or {})}
    return {**headers, "X-Signature": mac(secret, request_text(method, target, body, headers))}


def reply_signature(secret, status, body, pod, nonce):
    return mac(secret, "\n".join(["v2 reply", str(status), hashlib.sha256(body).hexdigest(), pod, nonce]).encode())


def vectors():
    token, cluster = "correct horse battery staple", "marathon.zookeeper"
    for role in ("read", "operator", "peer"):
        print(role, key(token, role, cluster).hex())
    print("info", signed(key(token, "read", cluster), "GET", "/info", now=1700000000,
                         headers={"X-Ochopod-Nonce": "00112233445566778899aabbccddeeff"})["X-Signature"])
    print("log", signed(key(token, "read", cluster), "GET", "/log?format=text", now=1700000000,
                        headers={"X-Ochopod-Nonce": "00112233445566778899aabbccddeeff"})["X-Signature"])
    print("check", mac(key(token, "peer", cluster), request_text("POST", "/control/check/60", b'{"pods":{}}', {
        "X-Ochopod-Target": "uuid-1", "X-Ochopod-Epoch": "tree-1/4294967298", "X-Ochopod-Round": "7",
        "X-Ochopod-Nonce": "0123456789abcdef", "X-Ochopod-Budget-Ms": "60000", "Content-Type": "application/json"})))
    print("exec", mac(key(token, "operator", cluster), request_text("POST", "/exec", b"", {
        "X-Ochopod-Target": "uuid-1", "X-Ochopod-Time": "1700000000", "X-Ochopod-Nonce": "0123456789abcdef",
        "X-Shell": "backup --all"})))
    print("reply", reply_signature(key(token, "read", cluster), 200, b"{}", "uuid-1", "0123456789abcdef"))


if __name__ == "__main__":
    vectors()
