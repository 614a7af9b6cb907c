"""The portal: curl and nothing else steers clusters, and so does what Ochothon's own client sends."""
import json
import subprocess

import pytest
from bed import wait_until
from ochothon_cli import post
from pods import Pods

TOKEN = "hush-hush"


@pytest.fixture(scope="module")
def meeting(module_bed):
    """A web cluster of two with a tool, and two portals: 8080 unsigned, 9000 signed."""
    pods = Pods(module_bed)
    tools = {"tools": {"count": {"run": ["sh", "-c", 'wc -c <"$1"', "count"]}}}
    pods.web = [pods.run(name, {"cluster": "web", **tools}) for name in ("web-1", "web-2")]
    pods.portal = pods.run("portal", {"portal": True})
    pods.run("signed", {"portal": True, "port": 9000}, env={"ochopod_token": TOKEN, "DB_PASSWORD": "s3cret"}, started=False)
    pods.web[0].until_configured(2)
    yield pods


def curl(pod, line, *more):
    """curl as a CI job has it."""
    url = f"http://{pod.bed.address(pod.name)}:8080/shell"
    said = subprocess.run(["curl", "-sS", "--fail", "-X", "POST", "-H", f"X-Shell: {line}", *more, url], check=True,
                          capture_output=True, text=True, timeout=120).stdout
    return json.loads(said)


def test_clusters_and_pods_are_seen(meeting):
    said = curl(meeting.portal, "ls")
    assert said["ok"] is True and "marathon.web" in said["out"] and isinstance(said["ms"], float)
    said = curl(meeting.portal, "grep -j web")
    pods = json.loads(said["out"])
    assert {name.split(" #")[0] for name in pods} == {"marathon.web"} and len(pods) == 2
    assert {p["process"] for p in pods.values()} == {"running"}
    assert curl(meeting.portal, "help")["ok"] is True


def test_a_cluster_is_steered(meeting):
    said = curl(meeting.portal, "off web --force")
    assert said["ok"] is True, said
    for pod in meeting.web:
        pod.until(process="stopped")
    said = curl(meeting.portal, "on web --force")
    assert said["ok"] is True, said
    for pod in meeting.web:
        pod.until(process="running")


def test_a_tool_gets_an_upload(meeting, tmp_path):
    (tmp_path / "seven.txt").write_text("1234567", encoding="utf-8")
    said = curl(meeting.portal, "exec -j web --force count seven.txt", "-F", f"seven.txt=@{tmp_path}/seven.txt")
    assert said["ok"] is True, said
    answers = json.loads(said["out"])
    assert [a["stdout"] for a in answers.values()] == [["7"], ["7"]]
    # By the field's name, as the original did; nothing of it is left.
    said = curl(meeting.portal, "exec -j web --force count n.txt", "-F", f"n.txt=@{tmp_path}/seven.txt")
    assert said["ok"] is True, said
    assert "exec-" not in meeting.bed.docker("exec", "portal", "ls", "/var/lib/ochopod")


def test_mistakes_reach_the_user(meeting):
    said = curl(meeting.portal, "frobnicate")
    assert said["ok"] is False and "no such verb: frobnicate" in said["out"] and said["code"] == 2
    said = curl(meeting.portal, "off web")  # neither -i nor --force
    assert said["ok"] is False and said["out"]
    code, said = meeting.portal.post("/shell")
    assert (code, said["out"]) == (200, "failure -> X-Shell header missing")
    assert meeting.web[0].code("/shell") == 404


@pytest.mark.parametrize("line", ["ls; touch /tmp/x", "ls $(touch /tmp/x)", "ls `touch /tmp/x`", "; touch /tmp/x",
                                  "ls | touch /tmp/x", "ls && touch /tmp/x", "ls > /tmp/x", "ls \"$(touch /tmp/x)\""])
def test_no_shell_sees_the_line(meeting, line):
    curl(meeting.portal, line)
    assert meeting.bed.run("/usr/bin/docker", "exec", "portal", "test", "-e", "/tmp/x", check=False).returncode == 1


def test_metacharacters_are_arguments(meeting):
    said = curl(meeting.portal, "$(touch /tmp/x) `id`")
    assert said["ok"] is False and "no such verb: $(touch" in said["out"]


def test_ochothons_client_works(meeting, tmp_path):
    address = meeting.bed.address("signed")
    wait_until("the portal answers", lambda: post(address, "ls", TOKEN)["ok"])
    said = post(address, "grep web", TOKEN)
    assert said["ok"] is True and "marathon.web" in said["out"]
    (tmp_path / "five").write_text("12345", encoding="utf-8")
    said = post(address, f"exec web --force -j count {tmp_path}/five", TOKEN)
    assert said["ok"] is True and '"5"' in said["out"], said
    assert post(address, "ls")["out"] == "failure -> signature missing (make sure you define $OCHOPOD_TOKEN)"
    assert post(address, "ls", "another")["out"] == "failure -> SHA1 signature mismatch (check your token)"


def test_the_token_is_nowhere_to_be_seen(meeting):
    bed = meeting.bed
    address = bed.address("signed")
    wait_until("the portal answers", lambda: post(address, "ls", TOKEN)["ok"])
    curl_ = ["curl", "-s", f"{address}:9000/"]
    seen = "".join(subprocess.run([*curl_[:-1], curl_[-1] + route], check=True, capture_output=True, text=True,
                                  timeout=60).stdout for route in ("info", "log", "cluster", "metrics"))
    seen += bed.log("signed") + post(address, "info signed", TOKEN)["out"]
    seen += bed.docker("exec", "signed", "sh", "-c", "cat /var/lib/ochopod/*.json")
    seen += bed.docker("inspect", json.loads(post(address, "info -j signed", TOKEN)["out"])["marathon.signed #0"]
                       ["workload"]["container"])
    assert "signed" in seen and TOKEN not in seen
    from kazoo.client import KazooClient
    from kazoo.exceptions import NoNodeError
    client = KazooClient(hosts=f"{bed.address('coordination')}:2181", timeout=10)
    client.start(timeout=60)
    try:
        def walk(path):
            try:
                data, names = client.get(path)[0], client.get_children(path)
            except NoNodeError:
                return  # it went meanwhile
            yield data or b""
            for name in names:
                yield from walk(f"{path}/{name}")
        said = b"".join(walk("/ochopod"))
        assert b"signed" in said and TOKEN.encode() not in said
    finally:
        client.stop()
        client.close()


def test_a_pod_alone_is_its_own_portal(meeting):
    pod = meeting.run("lonely", {"zk": "none", "portal": True}, env={"OCHOPOD_ZK": "none"})
    pod.until_configured()
    said = curl(pod, "grep -j")
    assert said["ok"] is True and list(json.loads(said["out"])) == ["marathon.lonely #0"], said
