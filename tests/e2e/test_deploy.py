"""`ocho deploy`, `scale`, `bump` and `kill` against the stand-in of Marathon: an unmodified ZooKeeper image becomes an
ensemble of tasks on remapped ports, grows, moves to another tag and is gone. ocho runs in a container of the sidecar's
image on the engine's own network, as a user's laptop would."""
import http.client
import http.server
import json
import re
import ssl
import subprocess
import threading
import urllib.error
import urllib.request

import pytest
import yaml
from bed import BUSYBOX, SIDECAR, TOP, wait_until
from marathon import Marathon, Tasks, sidecar_app
from pods import Pod
from safe import write


class Ocho:
    def __init__(self, bed, marathon, zk):
        self.bed = bed
        self.zk = zk
        self.marathon = [f"MARATHON_MASTER={marathon.netloc}"]
        self.words = ["run", "--rm", "--network", "host", "-e", f"MARATHON_MASTER={marathon.netloc}",
                      "-e", f"OCHOPOD_ZK={zk}", "-e", "TZ=UTC"]

    def run(self, *args, folder=TOP / "compose/zookeeper"):
        words = [*self.words, "-v", f"{folder}:/spec:ro", "--entrypoint", "ocho", SIDECAR, *args]
        return self.bed.run("/usr/bin/docker", *words, check=False, timeout=600)

    def do(self, *args, **more):
        done = self.run(*args, **more)
        assert done.returncode == 0, f"ocho {args}: {done.returncode}\n{done.stdout}{done.stderr}"
        return json.loads(done.stdout), done.stderr


@pytest.fixture
def world(bed):
    zk = f"zk://{bed.coordination('bridge')}:2181"
    gateway = bed.inspect("coordination")["NetworkSettings"]["Networks"]["bridge"]["Gateway"]
    with Marathon(bed, "--listen", gateway, "--docker_remove_delay", "0.5", "--zk", f"{zk}/mesos") as marathon:
        yield bed, marathon, Ocho(bed, marathon, zk)


def only_app(marathon):
    app, = marathon.do("GET", "/v2/apps")["apps"]
    return app


def left(bed):
    return bed.ids("name=^/mesos-") + bed.ids("label=io.ochopod.role")


def test_an_ensemble_is_deployed_scaled_bumped_and_killed(world):
    bed, marathon, ocho = world
    base = bed.docker("create", "zookeeper:3.9")
    bed.docker("commit", "--change", "LABEL release=3.9.1", base, "zookeeper:3.9.1")
    bed.docker("rm", base)
    image = bed.docker("image", "inspect", "-f", "{{.Id}}", "zookeeper:3.9.1")
    assert image != bed.docker("image", "inspect", "-f", "{{.Id}}", "zookeeper:3.9")
    said, _ = ocho.do("deploy", "/spec/pod.yaml", "-p", "3", "--strict", "-t", "300", "-j")
    assert said["/spec/pod.yaml"]["ok"] and len(said["/spec/pod.yaml"]["up"]) == 3
    app = only_app(marathon)
    assert app["id"].startswith("/ochopod.marathon.zookeeper-")
    tasks = Tasks(marathon, app["id"])
    tasks.wait(3)
    assert all(port >= 31000 for _, port in tasks.hosts())
    said, _ = ocho.do("scale", "zookeeper", "@5", "-t", "300", "-j")
    assert said == {"zookeeper": {"ok": True, "delta": 2}}
    tasks.wait(5)
    said, told = ocho.do("bump", "zookeeper", "-v", "3.9.1", "--strict", "-t", "400", "-j")
    assert said["zookeeper"]["ok"] and len(said["zookeeper"]["up"]) == 5 and min(said["zookeeper"]["up"]) > 4
    assert "the workload's image zookeeper:3.9 -> zookeeper:3.9.1" in told
    assert "warning: what is in /datalog, /logs goes with the pods" in told
    tasks.wait(5)  # what mntr says on the ports below
    assert all(port >= 31000 for _, port in tasks.hosts())
    assert {tasks.workload(t)["Config"]["Image"] for t in tasks.all()} == {"zookeeper:3.9.1"}
    assert {tasks.workload(t)["Image"] for t in tasks.all()} == {image}
    said, _ = ocho.do("kill", "zookeeper", "--force", "-t", "120", "-j")
    assert said["zookeeper"]["ok"] and len(said["zookeeper"]["down"]) == 5
    assert marathon.do("GET", "/v2/apps")["apps"] == []
    wait_until("nothing is left on the host", lambda: not left(bed), 120)


def web(folder, verbatim=None, **workload):
    spec = {"cluster": "web", "damper": "200ms", "ports": [80],
            "workload": {"image": BUSYBOX, "command": ["sh", "-c", "mkdir -p /w; exec httpd -f -p 80 -h /w"],
                         "ready": {"tcp": 80}, "stop": {"grace": "20s"}, **workload},
            **({"verbatim": verbatim} if verbatim else {})}
    (folder / "web.yaml").write_text(json.dumps(spec), encoding="utf-8")
    return folder


def test_a_file_of_ochothons_with_its_switches(world, tmp_path):
    """As it was written for an image with Ochopod in it; here it is one with the sidecar."""
    bed, marathon, ocho = world
    bed.docker("tag", SIDECAR, "ochopod/sidecar:9")
    spec = {"damper": "200ms", "workload": {"image": BUSYBOX, "command": ["sleep", "9999"]},
            "files": [{"target": "/said", "content": "{{ settings.deep.word }} {{ settings.deep.kept }} {{ port(9000) > 0 }}"}]}
    written = {"cluster": "proxy", "image": "ochopod/sidecar:latest", "ports": [9000, "9001 udp"],
               "settings": {"deep": {"word": "the file's", "kept": "kept"}},
               "verbatim": {"cpus": 0.5, "env": {"OCHOPOD_ZK": ocho.zk, "OCHOPOD_SPEC": json.dumps(spec)}, "container": {
                   "volumes": [{"hostPath": "/var/run/docker.sock", "containerPath": "/var/run/docker.sock", "mode": "RW"}]}}}
    (tmp_path / "proxy.yaml").write_text(yaml.safe_dump(written), encoding="utf-8")
    (tmp_path / "over.yaml").write_text("eu.proxy-blue: {deep: {word: overridden}}\n", encoding="utf-8")
    said, _ = ocho.do("deploy", "/spec/proxy.yaml", "-p", "2", "-n", "eu", "-s", "blue", "-r", "9", "-o", "/spec/over.yaml",
                      "--pull", "missing", "--strict", "-t", "120", "-j", folder=tmp_path)
    assert said == {"/spec/proxy.yaml": {"ok": True, "up": [0, 1]}}
    app = only_app(marathon)
    assert re.fullmatch(r"/ochopod\.eu\.proxy-blue-\d{4}(-\d\d){5}", app["id"]) and app["cpus"] == 0.5
    assert app["container"]["docker"]["image"] == "ochopod/sidecar:9"
    assert [(m["containerPort"], m["protocol"]) for m in app["container"]["portMappings"]] == [
        (8080, "tcp"), (9000, "tcp"), (9001, "udp")]
    tasks = Tasks(marathon, app["id"])
    for task in tasks.all():
        info = tasks.info(task)
        assert info["cluster"] == "proxy-blue" and info["namespace"] == "eu"
        assert info["ports"] == {"8080": tasks.port(task, 8080), "9000": tasks.port(task, 9000), "9001": tasks.port(task, 9001)}
        said = bed.docker("exec", tasks.workload(task)["Id"], "cat", "/said")
        assert said == "overridden kept true", said
    ocho.do("kill", "eu.proxy-blue", "--force", "-t", "60", "-j")
    assert marathon.do("GET", "/v2/apps")["apps"] == []


def test_fewer_pods_are_the_oldest_and_others_stay(world, tmp_path):
    _, marathon, ocho = world
    ocho.do("deploy", "/spec/web.yaml", "-p", "3", "--strict", "-t", "120", "-j", folder=web(tmp_path))
    said, _ = ocho.do("scale", "web", "@2", "--fifo", "-t", "120", "-j")
    assert said == {"web": {"ok": True, "delta": -1}}
    assert only_app(marathon)["instances"] == 2
    listed, _ = ocho.do("grep", "web", "-j")
    assert sorted(listed) == ["marathon.web #1", "marathon.web #2"]
    said, _ = ocho.do("kill", "web", "-i", "1", "-t", "60", "-j")
    assert said["web"]["down"] == [1] and only_app(marathon)["instances"] == 1


def test_no_pod_is_killed_for_instances_that_do_not_run(world, tmp_path):
    _, marathon, ocho = world
    web(tmp_path, verbatim={"constraints": [["hostname", "MAX_PER", "3"]]})
    ocho.do("deploy", "/spec/web.yaml", "-p", "3", "--strict", "-t", "120", "-j", folder=tmp_path)
    done = ocho.run("scale", "web", "@5", "-t", "30", "-j")
    assert done.returncode == 4 and "3 of 5 pods running" in done.stderr, done.stderr
    # The deployment of five never ends: nothing is killed in its way.
    done = ocho.run("scale", "web", "@2", "-t", "15", "-j")
    assert done.returncode == 4 and "locked by deployment" in done.stderr, done.stderr
    assert json.loads(done.stdout) == {"web": {"ok": False, "delta": 0}}
    assert {p["process"] for p in ocho.do("grep", "web", "-j")[0].values()} == {"running"}
    said, _ = ocho.do("scale", "web", "@3", "--force", "-t", "60", "-j")
    assert said == {"web": {"ok": True, "delta": -2}} and only_app(marathon)["instances"] == 3
    listed, _ = ocho.do("grep", "web", "-j")
    assert {name: p["process"] for name, p in listed.items()} == {f"marathon.web #{i}": "running" for i in range(3)}


def test_a_locked_app_is_not_bumped_to_death(world, tmp_path):
    _, marathon, ocho = world
    web(tmp_path, verbatim={"constraints": [["hostname", "MAX_PER", "1"]]})
    ocho.do("deploy", "/spec/web.yaml", "--strict", "-t", "120", "-j", folder=tmp_path)
    marathon.do("PUT", f"/v2/apps{only_app(marathon)['id']}", {"instances": 2})
    done = ocho.run("bump", "web", "-v", "2", "-t", "5")
    assert done.returncode == 4 and "--force overrides" in done.stderr, done.stderr
    assert done.stdout == "0% success (0 pods)\n"
    assert {p["process"] for p in ocho.do("grep", "web", "-j")[0].values()} == {"running"}


def test_what_never_registered_is_killed_by_its_name(world):
    bed, marathon, ocho = world
    app = sidecar_app("/ochopod.marathon.web-2026-11-25-18-00-00", {"cluster": "web", "workload": {"image": BUSYBOX}})
    app["container"]["docker"]["image"] = "ochopod/no-sidecar:1"
    marathon.do("POST", "/v2/apps", app)
    done = ocho.run("kill", "web", "-i", "0", "-t", "10")
    assert done.returncode == 1 and only_app(marathon)["id"] == app["id"], done.stderr
    said, told = ocho.do("kill", "web", "--force", "-t", "60", "-j")
    assert said == {"web": {"ok": True, "down": []}} and "is removed, no pod of it has registered" in told
    assert marathon.do("GET", "/v2/apps")["apps"] == []
    done = ocho.run("kill", "web", "--force", "-t", "10")
    assert done.returncode == 1 and "web: no pod is meant" in done.stderr
    wait_until("nothing is left on the host", lambda: not left(bed), 60)


def test_a_cancelled_deploy_leaves_nothing_behind(world, tmp_path):
    bed, marathon, ocho = world
    web(tmp_path, image="ochopod/nobody-has-it:1")
    words = [w for w in ocho.words if w != "--rm"]
    job = bed.docker(*words, "-d", "-v", f"{tmp_path}:/spec:ro", "--entrypoint", "ocho", SIDECAR,
                     "deploy", "/spec/web.yaml", "--strict", "-t", "300")
    wait_until("the app is there", lambda: marathon.do("GET", "/v2/apps")["apps"])
    wait_until("its sidecar runs", lambda: marathon.tasks(only_app(marathon)["id"]))
    bed.docker("kill", "-s", "TERM", job)
    assert bed.docker("wait", job, timeout=60) == "143"
    done = bed.run("/usr/bin/docker", "logs", job)
    assert "interrupted" in done.stderr and "is removed" in done.stderr, done.stderr
    assert marathon.do("GET", "/v2/apps")["apps"] == []
    bed.docker("rm", job)
    wait_until("nothing is left on the host", lambda: not left(bed), 60)


def test_on_the_hosts_network_ports_are_allotted(world, tmp_path):
    """Nothing is mapped there: two of one agent have the same port by two numbers."""
    _, marathon, ocho = world
    spec = {"cluster": "web", "damper": "200ms", "ports": [80], "verbatim": {"networks": [{"mode": "host"}]},
            "workload": {"image": BUSYBOX, "command": ["sleep", "1000000"], "stop": {"grace": "20s"}}}
    (tmp_path / "web.yaml").write_text(json.dumps(spec), encoding="utf-8")
    ocho.do("deploy", "/spec/web.yaml", "-p", "2", "--strict", "-t", "120", "-j", folder=tmp_path)
    app = only_app(marathon)
    assert app["networks"] == [{"mode": "host"}] and not app["container"].get("portMappings"), app
    assert [port["port"] for port in app["portDefinitions"]] == [8080, 80] and not app["requirePorts"], app
    ports, _ = ocho.do("port", "80", "web", "-j")
    assert sorted(int(p["ports"]) for p in ports.values()) == sorted(t["ports"][1] for t in marathon.tasks(app["id"]))
    assert ocho.do("kill", "web", "--force", "-t", "60", "-j")[0]["web"]["ok"]
    assert marathon.do("GET", "/v2/apps")["apps"] == []


def test_what_never_comes_up_is_removed_and_says_why(world, tmp_path):
    bed, marathon, ocho = world
    done = ocho.run("deploy", "/spec/web.yaml", "--strict", "-t", "30", "-j",
                    folder=web(tmp_path, image="ochopod/nobody-has-it:1"))
    assert done.returncode == 4, done.stdout + done.stderr
    assert json.loads(done.stdout) == {"/spec/web.yaml": {"ok": False, "up": []}}
    assert "0 of 1 pods running" in done.stderr and "is removed" in done.stderr
    done = ocho.run("deploy", "/spec/web.yaml", "-t", "30", "--image", "ochopod/no-sidecar:1", folder=tmp_path)
    assert done.returncode == 4 and "last task: TASK_FAILED" in done.stderr, done.stderr
    assert done.stdout == "0% success (+0 pods)\n"
    assert marathon.do("GET", "/v2/apps")["apps"] == []
    wait_until("nothing is left on the host", lambda: not left(bed), 60)


def web_at(folder, zk):
    spec = json.loads((web(folder) / "web.yaml").read_text(encoding="utf-8"))
    (folder / "web.yaml").write_text(json.dumps({**spec, "zk": zk}), encoding="utf-8")
    return folder


def test_pods_alone_are_asked_by_their_tasks(world, tmp_path):
    """In no ZooKeeper: each is a cluster of its own, and ocho says so."""
    _, marathon, ocho = world
    said, told = ocho.do("deploy", "/spec/web.yaml", "-p", "2", "--strict", "-t", "120", "-j", folder=web_at(tmp_path, "none"))
    assert said == {"/spec/web.yaml": {"ok": True, "up": [0, 0]}}, told
    assert "these are 2 clusters of one pod each" in told
    tasks = Tasks(marathon, only_app(marathon)["id"])
    assert [tasks.info(t)["process"] for t in tasks.all()] == ["running", "running"]


def test_what_meets_in_another_zookeeper_stays(world, tmp_path):
    _, marathon, ocho = world
    done = ocho.run("deploy", "/spec/web.yaml", "-p", "2", "-t", "45", folder=web_at(tmp_path, f"{ocho.zk}/elsewhere"))
    assert done.returncode == 4 and done.stdout == "0% success (+0 pods)\n", done.stderr
    assert "stays: 2 of its tasks running, not registered in the ZooKeeper" in done.stderr, done.stderr
    tasks = Tasks(marathon, only_app(marathon)["id"])
    wait_until("both run", lambda: [tasks.info(t)["process"] for t in tasks.all()] == ["running", "running"])


def test_a_token_comes_from_a_folder_of_the_agents(world, tmp_path):
    """The example of docs/DEPLOY.md, with a folder of this machine's in the place of the agent's."""
    _, marathon, ocho = world
    page = (TOP / "docs/DEPLOY.md").read_text(encoding="utf-8")
    example, = re.findall(r"```yaml\n(cluster: web\ntoken_file: .*?)```", page, re.S)
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    write(secrets / "token", "canary-token-0123456789abcdef")
    (tmp_path / "web.yaml").write_text(example.replace("/etc/ochopod/web", str(secrets)), encoding="utf-8")
    bare = yaml.safe_load(example)
    del bare["verbatim"]
    (tmp_path / "bare.yaml").write_text(json.dumps(bare), encoding="utf-8")
    done = ocho.run("deploy", "/spec/bare.yaml", "--dry-run", folder=tmp_path)
    assert done.returncode == 0 and "token_file: /run/secrets/token is in no volume" in done.stderr, done.stderr
    ocho.words += ["-e", "OCHOPOD_TOKEN_FILE=/spec/secrets/token"]
    said, told = ocho.do("deploy", "/spec/web.yaml", "--strict", "-t", "120", "-j", folder=tmp_path)
    assert said["/spec/web.yaml"]["ok"] and "is in no volume" not in told, told
    task, = marathon.tasks(only_app(marathon)["id"])
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"http://{task['host']}:{task['ports'][0]}/info", timeout=10)


# ---- from where Marathon and ZooKeeper are not at hand ----

def sidecar(ocho, name, **spec):
    """A pod on the bridge where ZooKeeper is."""
    bed = ocho.bed
    spec = {"cluster": name, "damper": "0s", "workload": {"image": BUSYBOX, "command": ["sleep", "1000000"],
                                                          "stop": {"grace": "20s"}}, **spec}
    words = [w for word in (f"OCHOPOD_SPEC={json.dumps(spec)}", f"OCHOPOD_ZK={ocho.zk}", *ocho.marathon) for w in ("-e", word)]
    bed.docker("run", "-d", "--name", name, *words, "-v", f"{bed.socket}:/var/run/docker.sock", SIDECAR)
    pod = Pod(ocho, name)
    wait_until(f"{name} answers", lambda: pod.info)
    pod.until_configured()
    return f"http://{bed.address(name)}:8080"


def test_curl_alone_deploys_through_the_portal(world, tmp_path):
    """What a CI job without any of our tools types."""
    bed, marathon, ocho = world
    portal = sidecar(ocho, "portal", portal=True)
    web(tmp_path)

    def shell(line, *more):
        done = bed.run("curl", "-sS", "--fail", "-X", "POST", "-H", f"X-Shell: {line}", *more, f"{portal}/shell")
        said = json.loads(done.stdout)
        assert said["ok"], said
        return json.loads(said["out"])

    said = shell("deploy web.yaml -p 2 --strict -t 120 -j", "-F", f"web.yaml=@{tmp_path}/web.yaml")
    assert said["web.yaml"]["ok"] and len(said["web.yaml"]["up"]) == 2
    assert {p["process"] for p in shell("grep web -j").values()} == {"running"}
    assert shell("kill web --force -t 60 -j")["web"]["ok"]
    assert marathon.do("GET", "/v2/apps")["apps"] == []


def test_one_pod_is_the_way_to_all_of_them(world, tmp_path):
    """--url: no ZooKeeper within reach of who deploys."""
    bed, marathon, ocho = world
    url = ["--url", sidecar(ocho, "first")]
    ocho.words[ocho.words.index(f"OCHOPOD_ZK={ocho.zk}")] = "LANG=C"
    folder = web(tmp_path)
    said, _ = ocho.do("deploy", "/spec/web.yaml", "-p", "2", "--strict", "-t", "120", "-j", *url, folder=folder)
    assert said["/spec/web.yaml"]["ok"] and len(said["/spec/web.yaml"]["up"]) == 2
    # What a pod knows is its own cluster.
    task = marathon.tasks(only_app(marathon)["id"])[0]
    url = ["--url", f"http://{task['host']}:{task['ports'][0]}"]
    assert ocho.do("scale", "web", "@3", "-t", "120", "-j", *url)[0] == {"web": {"ok": True, "delta": 1}}
    assert ocho.do("kill", "web", "--force", "-t", "60", "-j", *url)[0]["web"]["ok"]


class Tls:
    """Terminates TLS before the stand-in, with a certificate of an authority of its own."""

    def __init__(self, folder, target):
        self.ca = folder / "ca.pem"
        key = folder / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=marathon",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(self.ca)],
                       check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca, key)
        host, port = target.rsplit(":", 1)

        class Proxy(http.server.BaseHTTPRequestHandler):
            def relay(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                up = http.client.HTTPConnection(host, int(port), timeout=60)
                up.request(self.command, self.path, body or None, {"Content-Type": "application/json"} if body else {})
                answer = up.getresponse()
                said = answer.read()
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.headers.get("Content-Type", "text/plain"))
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            do_GET = do_POST = do_PUT = do_DELETE = relay

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.netloc = f"127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def test_a_master_over_https(world, tmp_path):
    bed, marathon, ocho = world
    folder = web(tmp_path)
    with Tls(tmp_path, marathon.netloc) as tls:
        ocho.words = [w.replace(f"MARATHON_MASTER={marathon.netloc}", f"MARATHON_MASTER=https://{tls.netloc}")
                      for w in ocho.words]
        stranger = ocho.run("deploy", "/spec/web.yaml", "-t", "60", folder=folder)
        assert stranger.returncode == 3 and "certificate" in stranger.stderr, stranger.stderr
        assert marathon.do("GET", "/v2/apps")["apps"] == []
        ocho.words += ["-e", "MARATHON_CA=/spec/ca.pem"]
        said, _ = ocho.do("deploy", "/spec/web.yaml", "-p", "1", "--strict", "-t", "120", "-j", folder=folder)
        assert said["/spec/web.yaml"]["ok"]
        assert ocho.do("kill", "web", "--force", "-t", "60", "-j", folder=folder)[0]["web"]["ok"]
