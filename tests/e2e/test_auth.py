"""A cluster of three with a token and TLS, on the real engine: who is let in, what is seen of the secrets, and how they
are changed while it runs. Signatures are made by signing.py (Python's hmac), by ocho, and by openssl and curl as
docs/AUTHENTICATION.md has them."""
import contextlib
import json
import os
import re
import time
from pathlib import Path

import pytest
from bed import SIDECAR, TOP, wait_until
from pods import Pods, epoch_of, worker_of
from safe import FILES, MOUNTED, SafePod, certificates, write

CLUSTER = "marathon.safe"
TOKEN, NEXT = "canary-token-0123456789abcdef", "canary-token-fedcba9876543210"


class Safe(SafePod):
    cluster, token = CLUSTER, TOKEN


ENV = {f"CANARY_{i}_{kind}": f"canary-env-{i}-{kind.lower()}"
       for i, kind in enumerate(["PASSWORD", "SECRET", "TOKEN", "API_KEY", "CREDENTIAL", "PRIVATE", "PASSWD", "APIKEY"] * 3)}
WORKLOAD_ENV = {f"DB_PASSWORD_{i}": f"canary-workload-{i}" for i in range(12)}
HEADERS = {"Authorization": "Bearer canary-header-bearer", "Cookie": "canary-header-cookie",
           "X-Shell": "tool canary-header-shell", "X-Ochopod-Target": "canary-header-target",
           "X-Ochopod-Epoch": "canary-header-epoch/1", "X-Signature": "v2=canary-header-signature",
           "X-Other": "canary-header-other", "Proxy-Authorization": "canary-header-proxy"}
# What it prints last is the reason why it failed. The token is told as `printed` once pods know it: one that a hook
# prints before its pod has looked at the file cannot be recognised.
HOOK = "cat /run/ochopod/tls.key; echo; cat /run/ochopod/printed; exit 7"
ZK_PASSWORD = "canary-zk-password"
SIDECAR_ENV = {**ENV, "ochopod_token": "canary-legacy-token", "MARATHON_PASSWORD": "canary-marathon-password",
               "MARATHON_TOKEN": "canary-marathon-token", "OCHOPOD_DEBUG": "true",
               "OCHOPOD_ZK": f"zk://canary-zk-user:{ZK_PASSWORD}@coordination:2181"}


@pytest.fixture(scope="module")
def safe(module_bed, tmp_path_factory):
    secrets = tmp_path_factory.mktemp("secrets")
    os.chmod(secrets, 0o700)
    Safe.secrets = secrets
    certificates(secrets, CLUSTER)
    write(secrets / "token", TOKEN)
    pods = Pods(module_bed)
    pods.secrets = secrets
    pods.all = []
    for i in (1, 2, 3):
        name = f"safe-{i}"
        spec = {"cluster": "safe", **FILES, "needs": {"pods": 3},
                "hooks": {"sanity_check": {"run": ["sh", "-c", HOOK], "every": "2s"}},
                "tools": {"say": {"run": ["sh", "-c", "echo said"]}},
                "workload": {"environment": WORKLOAD_ENV},
                "files": [{"target": "/conf/size", "content": "{{ size }}\n"}]}
        pods.run(name, spec, "-v", f"{secrets}:{MOUNTED}:ro", started=False, env=SIDECAR_ENV)
        pods.all.append(Safe(pods, name))
    for pod in pods.all:
        pod.until_configured(3, timeout=120)
    yield pods
    pods.clear()


def curl(bed, *args, **more):
    return bed.run("curl", "-sS", *args, **more)


def url(pod, path):
    return f"https://{pod.bed.address(pod.name)}:8080{path}"


def plain(pod, path, *args):
    """(status, body) of an unsigned request by curl."""
    said = curl(pod.bed, "-k", "-w", "\n%{http_code}", *args, url(pod, path)).stdout
    body, code = said.rsplit("\n", 1)
    return int(code), body


def ocho(pod, *words, token="token", check=True, **env):
    build = os.environ.get("OCHOPOD_BUILD", TOP / "build")
    return pod.bed.run(f"{build}/ocho", *words, check=check, env={
        "OCHOPOD_TOKEN_FILE": f"{Safe.secrets}/{token}", "OCHOPOD_CA": f"{Safe.secrets}/ca.pem",
        "OCHOPOD_TLS_NAME": CLUSTER, **env})


def test_unsigned_is_not_let_in_and_only_liveness_is_open(safe):
    pod = safe.all[0]
    for path in ("/info", "/log", "/cluster", "/metrics", "/wait"):
        assert plain(pod, path)[0] == 401, path
    for path in ("/control/off", "/control/kill", "/reset", "/exec"):
        assert plain(pod, path, "-X", "POST")[0] == 401, path
    assert plain(pod, "/control/on", "-X", "POST", "-d", '{"pods": {}}')[0] == 401
    assert plain(pod, "/livez")[0] == 200 and plain(pod, "/readyz")[0] == 200 and plain(pod, "/nonce")[0] == 200
    assert pod.says(process="running")
    with pytest.raises(AssertionError):  # plain HTTP gets nothing at all
        curl(pod.bed, "--fail", f"http://{pod.bed.address(pod.name)}:8080/livez")


def test_roles_hold(safe):
    pod = safe.all[0]
    assert pod.ask("POST", "/control/off", role="read")[0] == 403
    assert pod.ask("POST", "/control/off", role="peer")[0] == 403
    assert pod.ask("POST", "/control/off", headers={"X-Ochopod-Target": safe.all[1].info["id"]})[0] == 421
    assert pod.ask("POST", "/control/on", body='{"pods": {}}')[0] == 403
    assert pod.says(process="running")


def test_the_certificate_is_the_clusters_and_tls_is_1_3(safe):
    pod = safe.all[0]
    at = f"{CLUSTER}:8080:{pod.bed.address(pod.name)}:8080"
    livez = f"https://{CLUSTER}:8080/livez"
    assert curl(pod.bed, "--cacert", Safe.secrets / "ca.pem", "--connect-to", at, livez).stdout == "{}"
    assert curl(pod.bed, livez, "--connect-to", at, check=False).returncode == 60
    assert curl(pod.bed, "-k", "--tls-max", "1.2", "--connect-to", at, livez, check=False).returncode != 0


def test_ocho_sees_and_steers(safe):
    pod, other = safe.all[:2]

    def running():
        seen = json.loads(ocho(pod, "info", "-j", "--url", url(pod, "")).stdout)
        return len(seen) == 3 and {p["process"] for p in seen.values()} == {"running"}
    wait_until("ocho sees three that run", running)
    seq = str(other.info["seq"])

    def does(what, verb, *words):  # ZooKeeper may be away for a moment on a busy machine
        return wait_until(what, lambda: ocho(pod, verb, "--url", url(pod, ""), *words).stdout)
    assert "3" in does("ocho lists", "ls")
    does("ocho turns it off", "off", "safe", "-i", seq)
    other.until(process="stopped")
    does("ocho turns it on", "on", "safe", "-i", seq)
    other.until(process="running")
    said = json.loads(does("ocho runs a tool", "exec", "safe", "-j", "-i", seq, "say"))
    assert [a["stdout"] for a in said.values()] == [["said"]]
    assert "/cluster answered 401" in ocho(pod, "ls", "--url", url(pod, ""), check=False, OCHOPOD_TOKEN_FILE="").stderr
    # In the container the spec says where token and CA are, and the health check comes over TLS.
    wait_until("ocho in the container", lambda: "marathon.safe" in pod.bed.docker("exec", pod.name, "ocho", "grep", "safe"))
    pod.bed.docker("exec", pod.name, "ocho", "health", "-t", "20")


def documented(fence):
    """The commands of the page, as they stand."""
    text = (TOP / "docs/AUTHENTICATION.md").read_text(encoding="utf-8")
    return re.search(rf"<!-- {fence} -->\n```sh\n(.*?)^```$", text, re.M | re.S)[1]


@pytest.mark.parametrize("fence", ["ocho sign", "openssl"])
def test_the_commands_of_the_page(safe, fence):
    pod = safe.all[2]
    build = os.environ.get("OCHOPOD_BUILD", TOP / "build")
    for task, state in (("off", "stopped"), ("on", "running")):
        said = pod.bed.run("bash", "-euo", "pipefail", "-c", documented(fence), env={
            "PATH": f"{build}:/usr/bin:/bin", "OCHOPOD_TOKEN_FILE": f"{Safe.secrets}/token",
            "OCHOPOD_CA": f"{Safe.secrets}/ca.pem", "POD": f"{pod.bed.address(pod.name)}:8080",
            "CLUSTER": CLUSTER, "TASK": task})
        assert said.stdout.strip().endswith("200"), said.stdout + said.stderr
        pod.until(process=state)


def started(safe):
    return [pod.started for pod in safe.all]


def test_the_token_is_changed_while_it_runs(safe):
    before = started(safe)
    path = Safe.secrets / "token"

    def heard(token):
        Safe.token = token
        try:
            return all(pod.get("/info")[0] == 200 for pod in safe.all)
        finally:
            Safe.token = TOKEN
    write(path, f"{TOKEN}\n{NEXT}")
    wait_until("both are heard", lambda: heard(NEXT) and heard(TOKEN))
    write(path, f"{NEXT}\n{TOKEN}")
    time.sleep(5)  # each pod looks every two seconds: all sign with the new one
    write(path, NEXT)
    wait_until("the old one is not heard", lambda: not heard(TOKEN) and heard(NEXT))
    Safe.token = NEXT
    assert started(safe) == before
    # Rounds go on, signed with the new one.
    generation = safe.all[0].info["generation"]
    assert safe.all[0].post("/reset")[0] == 200
    safe.all[0].until_configured(3)
    assert safe.all[0].info["generation"] >= generation and started(safe) == before
    wait_until("ocho comes with the new one",
               lambda: len(json.loads(ocho(safe.all[0], "info", "-j", "--url", url(safe.all[0], "")).stdout)) == 3)


def test_the_certificate_is_changed_while_it_runs(safe):
    before = started(safe)
    certificates(Safe.secrets, CLUSTER, "renewed")

    def renewed(pod):
        at = f"renewed:8080:{pod.bed.address(pod.name)}:8080"
        return curl(pod.bed, "--cacert", Safe.secrets / "ca.pem", "--connect-to", at, "https://renewed:8080/livez",
                    check=False).returncode == 0
    for pod in safe.all:
        wait_until(f"{pod.name} shows the new one", lambda pod=pod: renewed(pod))
    # And the leader still reaches all: a round, asked for by a pod that comes back.
    assert safe.all[1].post("/reset")[0] == 200
    for pod in safe.all:
        pod.until_configured(3)
    assert started(safe) == before


def test_a_worker_that_crashes_comes_back_with_it(safe):
    before = started(safe)
    pod = safe.all[0]
    os.kill(worker_of(safe.bed, pod.name), 9)
    wait_until("it answers", lambda: pod.info["attached"], timeout=60)
    pod.until_configured(3)
    assert started(safe) == before


def core_sizes(bed, name):
    """{process and command line: limit} of what runs in it; a health check may have ended meanwhile."""
    sizes = {}
    for line in bed.docker("top", name, "-eo", "pid,args").split("\n")[1:]:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            limits = Path(f"/proc/{line.split()[0]}/limits").read_text(encoding="ascii")
            sizes[line] = re.search(r"Max core file size +(\S+)", limits)[1]
    return sizes


def memory_of(bed, name):
    """{process: what may be written of its memory}, of the sidecar's own."""
    memory = {}
    for line in bed.docker("top", name, "-eo", "pid,comm").split("\n")[1:]:
        pid, comm = line.split()[:2]
        if not comm.startswith("ochopod-"):
            continue
        with contextlib.suppress(OSError):  # a job, which has ended meanwhile
            parts = [m for m in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines() if m.split()[1].startswith("rw")]
            with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
                for part in parts:
                    begin, end = (int(n, 16) for n in part.split()[0].split("-"))
                    with contextlib.suppress(OSError):  # it was given back meanwhile
                        file.seek(begin)
                        memory[comm] = memory.get(comm, b"") + file.read(end - begin)
    return memory


def test_who_looks_names_up_holds_no_secret(safe):
    """Neither of the spec, which is inline here, nor of the environment: what others hold it never had, or forgot."""
    for pod in safe.all:
        memory = memory_of(safe.bed, pod.name)
        assert ZK_PASSWORD.encode() in memory["ochopod-runner"], sorted(memory)
        assert memory["ochopod-names"]
        found = re.findall(rb"[ -~]{0,40}canary-[ -~]{0,40}", memory["ochopod-names"])
        assert not found, (pod.name, found)


@contextlib.contextmanager
def zookeeper_of(bed):
    from kazoo.client import KazooClient

    zk = KazooClient(hosts=f"{bed.address('coordination')}:2181")
    zk.start(timeout=60)
    zk.add_auth("digest", f"canary-zk-user:{ZK_PASSWORD}")  # nodes are for who has it
    try:
        yield zk
    finally:
        zk.stop()
        zk.close()


def canaries_of(*folders):
    return {*ENV.values(), *WORKLOAD_ENV.values(), TOKEN, NEXT, "canary-legacy-token", "canary-marathon-password",
            "canary-marathon-token", ZK_PASSWORD, "canary-header-bearer", "canary-header-cookie",
            "canary-header-shell", "canary-header-signature", "canary-header-other", "canary-header-proxy",
            "canary-body-password",
            *(line for folder in folders for line in (folder / "tls.key").read_text(encoding="ascii").split("\n")
              if line and "-----" not in line)}


def test_no_secret_is_seen_anywhere(safe):
    """S18: 50 canaries; what the sidecar says, serves, registers, writes and is started with has none of them."""
    bed, pod = safe.bed, safe.all[0]
    for path in ("/info", "/control/on", "/exec", "/canary"):
        args = [w for name, value in HEADERS.items() for w in ("-H", f"{name}: {value}")]
        plain(pod, path, "-X", "POST", "-d", '{"password": "canary-body-password"}', *args)
        pod.ask("POST", path, headers={"Authorization": "Bearer canary-header-bearer",
                                       "Cookie": "canary-header-cookie"})
    write(Safe.secrets / "printed", f"{Safe.token} {ENV['CANARY_0_PASSWORD']} {WORKLOAD_ENV['DB_PASSWORD_3']}")
    for it in safe.all:
        wait_until("the hook has printed the token", lambda it=it: "sanity_check: exit 7: *** *** ***" in it.log())
    canaries = canaries_of(Safe.secrets)
    assert len(canaries) >= 50, len(canaries)
    seen = {}
    for it in safe.all:
        seen[f"log of {it.name}"] = it.log()
        for path in ("/info", "/log?format=text", "/cluster", "/metrics"):
            seen[f"{path} of {it.name}"] = json.dumps(it.get(path)[1])
        inspected = bed.inspect(it.name)
        seen[f"argv of {it.name}"] = bed.docker("top", it.name, "-eo", "pid,args") + json.dumps(inspected["Args"])
        seen[f"state of {it.name}"] = bed.docker("exec", it.name, "sh", "-c", "cat /var/lib/ochopod/*.json")
        assert it.get("/info")[1]["id"] in seen[f"state of {it.name}"]
        sizes = core_sizes(bed, it.name)
        assert len(sizes) >= 4 and set(sizes.values()) == {"0"}, f"{it.name} may write a core file: {sizes}"
    from kazoo.exceptions import NoNodeError

    with zookeeper_of(bed) as zk:
        def walk(path):
            try:
                data, names = zk.get(path)[0], zk.get_children(path)
            except NoNodeError:
                return  # it went meanwhile
            seen[f"znode {path}"] = data.decode()
            for name in names:
                walk(f"{path}/{name}")
        walk("/ochopod")
    records = [text for name, text in seen.items() if "/pods/" in name]
    assert len(records) == 3 and all('"signed":true' in r.replace(" ", "") for r in records), records
    found = [(name, canary) for name, text in seen.items() for canary in canaries if canary in text]
    assert not found, found


# ---- what goes wrong ----

ROUTES = ["/info", "/log", "/reset", "/control/check", "/control/on", "/control/nothing", "/control/on/x", "/control/on/1/2",
          "/exec", "/shell", "/cluster", "/wait?timeout=0", "/livez", "/readyz", "/metrics", "/nonce", "/nowhere"]
OPEN = [("GET", "/livez"), ("GET", "/readyz"), ("GET", "/nonce")]
BODY = '{"password": "canary-body-password"'  # which is no JSON


def tell_apart(found):
    """{"what 401": body, ...} without what went well, and which codes there were."""
    found = list(found)
    return {f"{what} {code}": str(said) for what, code, said in found if code >= 400}, {code for _, code, _ in found}


def refused(pod, epoch):
    """(what, code, body) of requests that are refused, each for another reason."""
    odd = [w for name, value in HEADERS.items() for w in ("-H", f"{name}: {value}")]
    for path in ROUTES:
        for method in ("GET", "POST", "PUT"):
            yield f"{method} {path} unsigned", *plain(pod, path, "-X", method, "-d", BODY, *odd)
            for role in ("read", "operator", "peer"):
                # What is open is answered without a signature, and a reset ends the session.
                if (method, path, role) != ("POST", "/reset", "operator") and (method, path) not in OPEN:
                    yield f"{method} {path} as {role}", *pod.ask(method, path, body=BODY, role=role)
    for words in (["-H", "Transfer-Encoding: chunked"], ["-H", f"X-Long: {'canary-header-other' * 500}"],
                  ["-H", "Content-Length: 99000000"], ["-H", "Content-Length: x"], ["-H", "Expect: 100-continue"]):
        yield f"POST /control/on {words[1][:30]}", *plain(pod, "/control/on", "-X", "POST", "-d", BODY, *odd, *words)
    yield "a long line", *plain(pod, f"/{'p' * 2500}", *odd)
    for query in ("/wait?for=canary", "/wait?for=dead&timeout=0", "/wait?pods=x", "/log?format=x"):
        yield query, *pod.get(query)
    for name, value in HEADERS.items():
        if name != "X-Signature":
            for path, role in (("/control/on", "operator"), ("/control/on", "peer"), ("/exec", "operator")):
                yield f"{path} with {name}", *pod.ask("POST", path, body=BODY, role=role, headers={name: value})
    yield "a large body", *pod.post("/reset", body="canary-body-password" * 5000)
    yield "another token", *pod.ask("GET", "/info", token="canary-token-of-nobody-at-all")
    tree, czxid = epoch.split("/")
    for of in (f"{tree}/1", f"{'0' * 8}-0000-4000-8000-{'0' * 12}/{czxid}", epoch):
        yield f"check of {of}", *pod.ask("POST", "/control/check", body=BODY, role="peer", headers={
            "X-Ochopod-Epoch": of, "X-Ochopod-Round": "1000000"})


def wrong_words(folder, spec):
    """Of ocho, each of them in vain: (words, environment)."""
    nowhere = f"zk://canary-zk-user:{ZK_PASSWORD}@127.0.0.1"
    for name in ("none", "short", "tls.key", "another"):  # as the token
        for words in (["ls"], ["info", "safe"], ["exec", "safe", "say"], ["sign", "POST", "https://127.0.0.1:8080/exec"]):
            yield words, {"OCHOPOD_TOKEN_FILE": f"{folder}/{name}"}
    for name in ("none", "token", "tls.key"):  # as who signs certificates
        yield ["ls"], {"OCHOPOD_CA": f"{folder}/{name}"}
    yield ["exec", "safe", "nothing"], {}
    yield ["nothing"], {}
    for zk in (f"{nowhere}:1", f"{nowhere}:x", f"{nowhere}:1/..", f"zk://canary-zk-user:{ZK_PASSWORD}", f"{nowhere}:1:2"):
        yield ["ls", "-t", "1"], {"OCHOPOD_ZK": zk}
    yield ["validate", spec], {}
    yield ["render", spec], {}


# What stands in a spec by a slip. Each is refused.
SLIPS = [{"environment": [f"DB_PASSWORD: {WORKLOAD_ENV['DB_PASSWORD_0']}"]}, {"environment": [WORKLOAD_ENV["DB_PASSWORD_1"]]},
         {"environment": [f"DB_PASSWORD:{WORKLOAD_ENV['DB_PASSWORD_2']}="]},
         {"environment": WORKLOAD_ENV["DB_PASSWORD_3"]}, {"environment": {"DB_PASSWORD": [WORKLOAD_ENV["DB_PASSWORD_4"]]}},
         {"environment": {"DB_PASSWORD": "{{ " + WORKLOAD_ENV["DB_PASSWORD_5"]}}]


# All that a template sees and must not, as the reason why it fails.
TELLTALE = """{%
local seen = {}
for name, value in pairs(env) do
    if value:find("canary-", 1, true) then table.insert(seen, name .. "=" .. value) end
end
fail("it has seen " .. table.concat(seen, ", "))
%}
"""


@pytest.fixture(name="failing")
def fixture_failing(safe, tmp_path):
    """Pods with the same secrets whose rounds fail, with the word that tells that they have."""
    write(tmp_path / "token", Safe.token)
    write(tmp_path / "printed", f"{Safe.token} {ENV['CANARY_0_PASSWORD']} {WORKLOAD_ENV['DB_PASSWORD_3']}")
    certificates(tmp_path, "marathon.template", "marathon.hook")
    specs = {"template": ({"files": [{"target": "/conf/all", "content": TELLTALE}]}, "it has seen"),
             "hook": ({"hooks": {"configure": {"run": ["sh", "-c", HOOK]}}}, "exit 7")}
    pods = {}
    try:
        for name, (spec, word) in specs.items():
            safe.run(name, {"cluster": name, **FILES, "workload": {"environment": WORKLOAD_ENV}, **spec},
                     "-v", f"{tmp_path}:{MOUNTED}:ro", started=False, env=SIDECAR_ENV)
            pod = type("Failing", (SafePod,), {"cluster": f"marathon.{name}", "token": Safe.token, "secrets": tmp_path})
            pods[name] = pod(safe, name)
        for name, pod in pods.items():
            wait_until(f"{name} answers", lambda pod=pod: pod.info)
            pod.until_status(specs[name][1])
        yield pods
    finally:
        safe.bed.docker("rm", "-f", "-v", *pods, check=False)


def test_no_refusal_tells_a_secret(safe, failing, tmp_path):
    """Bodies of 4xx, what a round was refused for, stderr of ocho and of a sidecar that does not start. None is a 5xx."""
    bed, pod = safe.bed, safe.all[0]
    with zookeeper_of(bed) as zk:
        epochs = {name: epoch_of(zk, name) for name in ("safe", *failing)}
        proposal = json.loads(zk.get("/ochopod/clusters/marathon.template/proposal")[0])
    seen, codes = tell_apart(refused(pod, epochs["safe"]))
    assert {400, 401, 403, 404, 405, 406, 408, 409, 411, 412, 413, 414, 421, 431} <= codes, sorted(codes)
    body = json.dumps({**proposal, "key": failing["template"].info["id"]})
    code, said = failing["template"].ask("POST", "/control/check", body=body, role="peer", headers={
        "X-Ochopod-Epoch": epochs["template"], "X-Ochopod-Round": "1000000"})
    assert code == 406 and "it has seen" in said["error"], (code, said)
    seen["check of a template"] = str(said)
    for name, it in failing.items():
        seen[f"{name}'s /info"] = json.dumps(it.info)
        seen[f"{name}'s /cluster"] = json.dumps(it.get("/cluster")[1])
        seen[f"{name}'s log"] = it.log()

    for name, text in (("short", "canary-header-other"[:9]), ("another", "canary-token-of-nobody-at-all")):
        write(tmp_path / name, text)
    for i, slip in enumerate(SLIPS):
        spec = {"cluster": "slip", "workload": {"image": "a", **slip}}
        write(tmp_path / f"{i}.yaml", json.dumps(spec))
        said = bed.run("/usr/bin/docker", "run", "--rm", "-e", f"OCHOPOD_SPEC={json.dumps(spec)}", SIDECAR, check=False)
        assert said.returncode == 2 and said.stderr, said
        seen[f"a sidecar of slip {i}"] = said.stdout + said.stderr
        for words, env in wrong_words(tmp_path, tmp_path / f"{i}.yaml") if i == 0 else [
                ((verb, tmp_path / f"{i}.yaml"), {}) for verb in ("validate", "render")]:
            said = ocho(pod, *words, *(["--url", url(pod, "")] if words[0] in ("ls", "info", "exec") and "OCHOPOD_ZK" not in env
                                       else []), check=False, **env)
            assert said.returncode and said.stderr, (words, env, said)
            seen[f"ocho {words} {env}"] = said.stdout + said.stderr
    assert len(seen) > 200, sorted(seen)
    canaries = canaries_of(Safe.secrets, tmp_path)
    found = [f"{name}: {canary}" for name, text in seen.items() for canary in canaries if canary in text]
    assert not found, "\n".join(found)
