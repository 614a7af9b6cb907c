"""A cluster with a token and TLS, as those see it who have not got its ZooKeeper: CI at a portal, by curl alone, and
`ocho --url`. One cluster of two for the module, both of them portals, the second one hears Ochothon's signatures too."""
import hashlib
import hmac
import json
import os
import re

import pytest
from bed import TOP, wait_until
from pods import Pods
from safe import FILES, MOUNTED, SafePod, certificates, write
from signing import key, signed

CLUSTER = "marathon.web"
TOKEN, OTHER, LEGACY = "canary-token-0123456789abcdef", "canary-token-of-another-cluster", "canary-legacy-token"
TOOLS = {"tools": {"count": {"run": ["sh", "-c", 'wc -c <"$1"', "count"]}, "say": {"exec": ["echo"]}}}


class Web(SafePod):
    cluster, token = CLUSTER, TOKEN


@pytest.fixture(scope="module")
def web(module_bed, tmp_path_factory):
    secrets = Web.secrets = tmp_path_factory.mktemp("secrets")
    os.chmod(secrets, 0o700)
    certificates(secrets, CLUSTER)
    write(secrets / "token", TOKEN)
    write(secrets / "other", OTHER)
    pods = Pods(module_bed)
    pods.secrets, pods.seen = secrets, []
    pods.all = []
    for name, more in (("web-1", {}), ("web-2", {"legacy_sha1": True})):
        pods.run(name, {"cluster": "web", "portal": True, **FILES, **TOOLS, **more}, "-v", f"{secrets}:{MOUNTED}:ro",
                 env={"ochopod_token": LEGACY, "DB_PASSWORD": "canary-db-password",
                      "OCHOPOD_ZK": "zk://canary-zk-user:canary-zk-password@coordination:2181"}, started=False)
        pods.all.append(Web(pods, name))
    for pod in pods.all:
        pod.until_configured(2)
    pods.labels = sorted(f"{CLUSTER} #{pod.info['seq']}" for pod in pods.all)
    yield pods
    pods.clear()


# ---- the portal ----

def shell(web, line, at=0, body=None, headers=None, status=200, **more):
    """A portal's answer to a line that is signed v2, unless the headers say otherwise."""
    code, said = web.all[at].ask("POST", "/shell", body=body, headers={"X-Shell": line, **(headers or {})}, **more)
    web.seen.append(json.dumps(said))
    assert code == status, said
    return said


def ci(web, at, line, *more, signature):
    """What a CI job sends with curl, signed as Ochothon does: (status, answer)."""
    pod = web.all[at]
    said = web.bed.run("curl", "-sS", "--cacert", web.secrets / "ca.pem", "-w", "\n%{http_code}", "--connect-to",
                       f"{CLUSTER}:8080:{web.bed.address(pod.name)}:8080", "-X", "POST", "-H", f"X-Shell: {line}",
                       "-H", f"X-Signature: {signature}", *more, f"https://{CLUSTER}:8080/shell").stdout
    web.seen.append(said)
    body, code = said.rsplit("\n", 1)
    return int(code), json.loads(body)


def sha1(line, token=LEGACY):
    return "sha1=" + hmac.new(token.encode(), line.encode(), hashlib.sha1).hexdigest()


def running(web):
    return all(pod.says(process="running") for pod in web.all)


def test_the_commands_of_the_page(web, tmp_path):
    """CI has curl, openssl and a file."""
    text = (TOP / "docs/PORTAL.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- v2 -->\n```sh\n(.*?)^```$", text, re.M | re.S)[1]
    (tmp_path / "size.txt").write_text("1234567", encoding="ascii")
    for pod in web.all:
        said = web.bed.run("bash", "-euo", "pipefail", "-c", block, cwd=tmp_path, env={
            "OCHOPOD_TOKEN_FILE": f"{web.secrets}/token", "OCHOPOD_CA": f"{web.secrets}/ca.pem", "TMPDIR": str(tmp_path),
            "CLUSTER": CLUSTER, "POD": f"{web.bed.address(pod.name)}:8080"})
        web.seen.append(said.stdout)
        answer = json.loads(said.stdout)
        assert answer["ok"] is True, said.stdout + said.stderr
        assert json.loads(answer["out"]) == {label: {"code": 0, "stdout": ["7"]} for label in web.labels}


def test_its_ocho_has_the_token_and_the_authority(web):
    """Both of its own cluster's pods answer it, and are steered."""
    assert set(json.loads(shell(web, "grep -j web")["out"])) == set(web.labels)
    for line in ("ls", "info -j", "cluster -j", "log -l", "check", "wait web --for ready --pods 2 -t 60"):
        said = shell(web, line)
        assert said["ok"] is True, (line, said)
    assert shell(web, "off -j web --force")["ok"] is True
    for pod in web.all:
        pod.until(process="stopped")
    assert shell(web, "on -j web --force", at=1)["ok"] is True
    for pod in web.all:
        pod.until(process="running")
    wait_until("all is well again", lambda: shell(web, "check web")["ok"])


def test_a_wrong_signature_runs_nothing(web):
    pod, line = web.all[0], "off web --force"
    path, target = "/shell", pod.info["id"]
    good = signed(key(TOKEN, "operator", CLUSTER), "POST", path, headers={"X-Shell": line, "X-Ochopod-Target": target})
    refused = {
        "no signature": {"X-Signature": ""},
        "Ochothon's, where it was not asked for": {"X-Signature": sha1(line)},
        "no hex": {"X-Signature": "v2=nothing"},
        "of other digits": {"X-Signature": "v2=" + "0" * 64},
        "of another line": {"X-Shell": line + " -t 9"},
        "of another time": {"X-Ochopod-Time": str(int(good["X-Ochopod-Time"]) - 1)},
        "of another file": {"Content-Type": "multipart/form-data; boundary=x"},
    }
    for why, changed in refused.items():
        said = shell(web, line, headers={**good, **changed}, status=401)
        assert "error" in said and "out" not in said, why
    shell(web, line, token=OTHER, status=401)
    shell(web, line, role="read", status=403)
    shell(web, line, role="peer", status=403)
    shell(web, line, headers={"X-Ochopod-Target": web.all[1].info["id"]}, status=421)
    # What was used is not taken again.
    once = signed(key(TOKEN, "operator", CLUSTER), "POST", path, headers={"X-Shell": "version", "X-Ochopod-Target": target})
    assert shell(web, "version", headers=once)["ok"] is True
    shell(web, "version", headers=once, status=401)
    assert running(web)


def test_ochothons_signature_where_it_is_asked_for(web, tmp_path):
    (tmp_path / "five").write_text("12345", encoding="ascii")
    line = "exec -j web --force count five"
    code, said = ci(web, 1, line, "-F", f"five=@{tmp_path}/five", signature=sha1(line))
    assert code == 200 and said["ok"] is True, said
    assert json.loads(said["out"]) == {label: {"code": 0, "stdout": ["5"]} for label in web.labels}
    off = "off web --force"
    for signature in (sha1(off, TOKEN), sha1(off + " "), sha1("ls"), "sha1=" + "0" * 40):
        code, said = ci(web, 1, off, signature=signature)
        assert (code, said["ok"], said["out"]) == (200, False, "failure -> SHA1 signature mismatch (check your token)")
    assert ci(web, 1, off, signature="")[0] == 401
    assert ci(web, 0, off, signature=sha1(off))[0] == 401
    # And for no other route.
    for path in ("/control/off", "/exec", "/reset"):
        assert web.all[1].ask("POST", path, headers={"X-Shell": "say x", "X-Signature": sha1("say x")})[0] == 401, path
    assert running(web)


def test_no_answer_has_a_secret(web):
    """After the tests above: of all that the portals have answered, and where a user would look for them."""
    for line in ("info -j", "cluster -j", "log -l -j", "nothing", "--help", "sign GET https://127.0.0.1:8080/info",
                 "validate", "render", "exec web --force say $OCHOPOD_TOKEN_FILE", "ls --zk zk://127.0.0.1:1 -t 1"):
        shell(web, line)
    secrets = [TOKEN, OTHER, LEGACY, "canary-zk-password", "canary-db-password",
               *(key(TOKEN, role, CLUSTER).hex() for role in ("read", "operator", "peer")),
               *(line for line in (web.secrets / "tls.key").read_text(encoding="ascii").split("\n") if line and "-----" not in line)]
    seen = "\n".join(web.seen + [pod.log() for pod in web.all])
    assert "marathon.web" in seen and [secret for secret in secrets if secret in seen] == []


def test_a_pod_alone_is_its_own_portal(web):
    """Without ZooKeeper it asks itself by https, under its cluster's name."""
    web.run("lonely", {"cluster": "web", "zk": "none", "portal": True, **FILES, **TOOLS}, "-v", f"{web.secrets}:{MOUNTED}:ro",
            env={"OCHOPOD_ZK": "none", "HOST": "localhost"}, started=False)
    pod = Web(web, "lonely")
    try:
        pod.until_configured()
        code, said = pod.ask("POST", "/shell", headers={"X-Shell": "grep -j"})
        assert code == 200 and said["ok"] is True and list(json.loads(said["out"])) == [f"{CLUSTER} #0"], said
        assert CLUSTER in web.bed.docker("exec", "lonely", "ocho", "ls")
        assert "heard" in web.bed.docker("exec", "lonely", "ocho", "exec", "web", "--force", "say", "heard")
    finally:
        web.bed.docker("rm", "-f", "-v", "lonely")


# ---- ocho --url, from a machine that reaches the pods and no ZooKeeper ----

def ocho(web, *words, status=0, at=0, token="token", **env):
    build = os.environ.get("OCHOPOD_BUILD", TOP / "build")
    done = web.bed.run(f"{build}/ocho", *words, "--url", f"https://{web.bed.address(web.all[at].name)}:8080", check=False, env={
        "OCHOPOD_ZK": "zk://127.0.0.1:1", "OCHOPOD_TOKEN_FILE": f"{web.secrets}/{token}",
        "OCHOPOD_CA": f"{web.secrets}/ca.pem", "OCHOPOD_TLS_NAME": CLUSTER, **env})
    assert done.returncode == status, f"ocho {words}: {done.returncode}\n{done.stdout}{done.stderr}"
    assert TOKEN not in done.stdout + done.stderr and OTHER not in done.stdout + done.stderr
    return done


def test_through_one_pod_all_are_asked_signed(web):
    for at in (0, 1):
        wait_until("all answer through it", lambda at=at: set(json.loads(ocho(web, "grep", "-j", at=at).stdout)) == set(web.labels))
        ocho(web, "wait", "web", "--for", "ready", "--pods", 2, "-t", 60, at=at)
        assert json.loads(ocho(web, "exec", "web", "--force", "-j", "say", "heard", at=at).stdout) == {
            label: {"code": 0, "stdout": ["heard"]} for label in web.labels}
    assert json.loads(ocho(web, "off", "web", "-j", "-i", web.all[1].info["seq"]).stdout)["web"]["ok"] is True
    web.all[1].until(process="stopped")
    ocho(web, "on", "web", "--force")
    ocho(web, "wait", "web", "--for", "ready", "--pods", 2, "-t", 60)


def test_a_wrong_token_is_said(web):
    for words in (("grep",), ("exec", "web", "--force", "say", "x"), ("off", "web", "--force"),
                  ("wait", "web", "--for", "ready", "-t", 2)):  # it goes on until then: a pod may come back with another
        said = ocho(web, *words, token="other", status=1).stderr
        assert "/cluster answered 401" in said and "another token" in said, said
    said = ocho(web, "grep", status=1, OCHOPOD_TOKEN_FILE="").stderr
    assert "/cluster answered 401" in said and "OCHOPOD_TOKEN_FILE names" in said, said
    # A file that is no token is the user's mistake, as ever.
    (web.secrets / "short").write_text("short\n", encoding="ascii")
    for name, why in (("short", "16 to 512 characters"), ("absent", "cannot read")):
        said = ocho(web, "grep", token=name, status=2).stderr
        assert said.startswith("ocho: OCHOPOD_TOKEN_FILE: ") and f"{web.secrets}/{name}" in said and why in said, said
    assert running(web)


def test_a_certificate_of_another_name_is_not_trusted(web):
    for name in ("", "marathon.another"):
        assert "its certificate is not of" in ocho(web, "grep", status=3, OCHOPOD_TLS_NAME=name).stderr, name
    assert "OCHOPOD_CA must name" in ocho(web, "grep", status=2, OCHOPOD_CA="").stderr
