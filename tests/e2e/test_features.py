"""Every feature of a pod on the real engine, one short test each; the pods of a module meet in one ZooKeeper."""
import json
import os
import signal

import pytest
from bed import BUSYBOX, wait_until
from pods import NETWORK, Pods, worker_of
from routes import every_route

SHIPS = "ochopod-test/ships:1"
OVERDUE = 3  # the exit status of a sidecar whose time to stop was over: sidecar/app.h
UP = {"exec": ["test", "-e", "/tmp/up"]}  # its traps are set
SHIPS_FILE = f"""
FROM {BUSYBOX}
RUN mkdir /conf /data && echo shipped >/conf/shipped && echo seed >/data/seed
VOLUME /data
HEALTHCHECK --interval=1s --timeout=1s --retries=1 CMD test -e /tmp/healthy
"""


@pytest.fixture(scope="module")
def meeting(module_bed):
    module_bed.docker("build", "-q", "-t", SHIPS, "-", input=SHIPS_FILE)
    return Pods(module_bed)


@pytest.fixture
def pods(meeting):
    yield meeting
    meeting.clear()


def test_files_lie_beside_what_the_image_ships(pods):
    pod = pods.run("ships", {
        "workload": {"image": SHIPS},
        "files": [{"target": "/conf/app/main.conf", "content": "size={{ size }}\n", "mode": "0640", "owner": "1000:1001"},
                  {"target": "/conf/plain", "content": "x"}]})
    pod.until_configured()
    assert pod.sh("cat /conf/shipped /conf/app/main.conf") == "shipped\nsize=1"
    assert pod.sh("stat -c '%a %u:%g' /conf/app/main.conf /conf/plain") == "640 1000:1001\n644 0:0"
    assert pod.sh("ls -A /conf").split() == ["app", "plain", "shipped"]


def test_a_target_outside_every_volume_goes_in_through_the_engine(pods):
    spec = {"files": [{"target": "/etc/app/main.conf", "content": "size={{ size }}\n", "mode": "0600",
                       "owner": "7:8"}]}
    first = pods.run("outside", dict(spec))
    first.until_configured()
    assert first.sh("cat /etc/app/main.conf; stat -c '%a %u:%g' /etc/app/main.conf") == "size=1\n600 7:8"
    before = first.started
    pods.run("outside-2", {"cluster": "outside", **spec})
    first.until_configured(2)
    assert first.sh("cat /etc/app/main.conf") == "size=2"
    assert first.started[1] != before[1]


def test_a_changed_environment_or_command_makes_a_new_container_with_the_old_volumes(pods):
    spec = {"workload": {"image": SHIPS, "environment": {"SIZE": "{{ size }}"}, "volumes": ["/conf"],
                         "command": ["sh", "-c", "echo args {{ size }}; exec sleep 1000000"]}}
    first = pods.run("recreated", dict(spec))
    first.until_configured()
    first.sh("echo kept >/data/mark; echo kept >/conf/mark")
    before = first.started
    volume = [m for m in first.workload["Mounts"] if m["Destination"] == "/data"][0]["Name"]
    pods.run("recreated-2", {"cluster": "recreated", **spec})
    first.until_configured(2)
    assert first.started[0] != before[0]
    assert "SIZE=2" in first.workload["Config"]["Env"]
    assert first.workload["Config"]["Cmd"][2] == "echo args 2; exec sleep 1000000"
    assert first.sh("cat /data/mark /conf/mark /data/seed") == "kept\nkept\nseed"
    assert [m for m in first.workload["Mounts"] if m["Destination"] == "/data"][0]["Name"] == volume
    assert len(first.workloads()) == 1
    # Ours, of this pod, and gone with it only.
    label = json.loads(pods.bed.docker("volume", "inspect", volume))[0]["Labels"]
    assert label["io.ochopod.pod"] == first.info["id"]


@pytest.mark.parametrize("how", ["signal", "exec", "none"])
def test_on_change_tells_the_running_workload(pods, how):
    on_change = {"signal": {"signal": "HUP"}, "exec": {"exec": ["cp", "/conf/size", "/tmp/told"]}, "none": "none"}[how]
    spec = {"workload": {"on_change": on_change,
                         "command": ["sh", "-c", "trap 'cp /conf/size /tmp/told' HUP; while :; do sleep 0.1; done"]},
            "files": [{"target": "/conf/size", "content": "{{ size }}\n"}]}
    first = pods.run("told", dict(spec))
    first.until_configured()
    before = first.started
    pods.run("told-2", {"cluster": "told", **spec})
    first.until_configured(2)
    assert first.sh("cat /conf/size") == "2"
    if how == "none":
        assert first.sh("ls /tmp") == ""
    else:
        wait_until("it was told", lambda: first.sh("cat /tmp/told") == "2")
    assert first.started == before
    assert first.info["workload"]["restarts"] == 0


def test_what_is_unchanged_is_left_alone_unless_strict(pods):
    first = pods.run("alone", {})
    first.until_configured()
    strict = pods.run("alone-strict", {"cluster": "alone", "workload": {"strict": True}})
    first.until_configured(2)
    strict.until_configured(2)
    before = first.started, strict.started
    pods.run("alone-3", {"cluster": "alone"})
    first.until_configured(3)
    strict.until_configured(3)
    assert first.started == before[0]
    assert strict.started[1] != before[1][1]


HOOK = "cat >/conf/$OCHOPOD_HOOK.in; env | sort >/conf/$OCHOPOD_HOOK.env; echo $OCHOPOD_HOOK >>/conf/order; "


def test_hooks_in_their_order_with_environment_and_input(pods):
    def hook(kind, more=""):
        return {kind: ["sh", "-c", HOOK + more], "timeout": "60s"}

    pod = pods.run("hooked", {
        "workload": {"volumes": ["/conf"]},
        "hooks": {"initialize": hook("run"), "can_configure": hook("run"),
                  "configure": hook("run", """echo '{"command": ["sleep", "999999"], "environment": {"FROM": "hook"}}'"""),
                  "configured": hook("exec"), "sanity_check": {**hook("exec", """echo '{"load": 7}'"""), "every": "1s"},
                  "tear_down": hook("exec", "kill -TERM 1; kill $(pidof sleep)"),
                  "signaled": hook("exec", """echo '{"heard": true}'"""), "finalize": hook("run")}},
        "-v", "hooked-state:/var/lib/ochopod")
    pod.until_configured()
    wait_until("configured ran", lambda: "configured" in pod.sh("cat /conf/order").split())
    order = pod.sh("cat /conf/order").split()
    # A first round that is refused, while the engine looks for the image, has asked can_configure as well.
    seen = [o for i, o in enumerate(order) if o != "sanity_check" and not (o == "can_configure" and o in order[:i])]
    assert seen == ["can_configure", "initialize", "configure", "configured"]
    assert pod.workload["Config"]["Cmd"] == ["sleep", "999999"]
    assert "FROM=hook" in pod.workload["Config"]["Env"]
    wait_until("metrics", lambda: pod.info["metrics"] == {"load": 7})
    assert pod.post("/control/signal") == (200, {"heard": True})

    info = pod.info
    for name in ("initialize", "can_configure", "configure", "configured", "signaled"):
        said = json.loads(pod.sh(f"cat /conf/{name}.in"))
        assert info["id"] in json.dumps(said), name
        env = dict(line.split("=", 1) for line in pod.sh(f"cat /conf/{name}.env").splitlines() if "=" in line)
        assert env["OCHOPOD_CLUSTER"] == "hooked" and env["OCHOPOD_NAMESPACE"] == "marathon", name
        assert env["OCHOPOD_SEQ"] == str(info["seq"]) and env["OCHOPOD_SIZE"] == "1", name

    # Another round, a new start of the container: initialize is not run again.
    pods.bed.docker("restart", "hooked")
    wait_until("configured again", lambda: pod.sh("cat /conf/order").split().count("configured") >= 2)
    order = pod.sh("cat /conf/order").split()
    assert order.count("initialize") == 1
    assert "tear_down" in order and order.index("finalize") > order.index("tear_down")
    assert "FROM=hook" in pod.workload["Config"]["Env"]


def test_a_veto_refuses_the_round_with_its_reason(pods):
    pod = pods.run("veto", {"hooks": {"can_configure": {"run": ["sh", "-c", "test -e /conf/go || { echo disk too small >&2; exit 3; }"]}},
                            "workload": {"volumes": ["/conf"]}})
    pod.until_status("disk too small")
    assert pod.info["process"] == "stopped"
    assert not pod.workloads(all_=False)
    pods.bed.docker("exec", "veto", "touch", "/conf/go")
    pod.until_configured()


def test_a_hooks_deadline_really_ends_what_runs_in_the_workload(pods):
    pod = pods.run("deadline", {"hooks": {"signaled": {"exec": ["sh", "-c", "sleep 4242 & wait"], "timeout": "10s"}}})
    pod.until_configured()
    code, said = pod.post("/control/signal")
    assert code == 406 and "signaled" in said["error"], (code, said)
    wait_until("nothing of it is left", lambda: "4242" not in pod.sh("ps -o args | grep -v grep"))
    assert pod.info["process"] == "running"


def test_a_slow_hook_does_not_hold_up_the_control_port(pods):
    pod = pods.run("slow", {"hooks": {"signaled": {"run": ["sleep", "3600"], "timeout": "20s"}}})
    pod.until_configured()
    code, said = pod.post("/control/signal/1")
    assert code == 408, said
    assert pod.get("/info")[0] == 200
    code, said = pod.post("/control/signal/1")
    assert code == 408, said


def test_tools(pods):
    pod = pods.run("tools", {"tools": {"count": {"run": ["sh", "-c", "wc -c <$1; pwd", "count"]},
                                       "inside": {"exec": ["sh", "-c", "echo $*; echo two; exit 3", "inside"]}}})
    pod.until_configured()
    assert pod.post("/exec", headers={"X-Shell": "inside a b"}) == (200, {"code": 3, "stdout": ["a b", "two"]})
    edge = "----edge"
    body = (f"--{edge}\r\nContent-Disposition: form-data; name=\"f\"; filename=\"../../up.sql\"\r\n"
            f"Content-Type: application/octet-stream\r\n\r\nhello\r\n--{edge}--\r\n")
    headers = {"X-Shell": "count up.sql", "Content-Type": f"multipart/form-data; boundary={edge}"}
    code, said = pod.post("/exec", body=body, headers=headers)
    assert code == 200 and said["code"] == 0 and said["stdout"][0] == "5", said
    assert pods.bed.run("/usr/bin/docker", "exec", "tools", "ls", said["stdout"][1], check=False).returncode != 0
    assert pod.post("/exec", headers={"X-Shell": "absent"})[0] == 404
    assert pod.post("/exec")[0] == 400


# ---- the workload's life ----

def test_the_stop_signal_and_then_the_grace(pods):
    trap = "trap 'echo USR1 heard; touch /conf/heard' USR1; trap '' TERM; : >/tmp/up; while :; do sleep 0.1; done"
    pod = pods.run("grace", {"workload": {"command": ["sh", "-c", trap], "volumes": ["/conf"], "ready": UP,
                                          "stop": {"signal": "USR1", "grace": "10s"}}})
    pod.until_configured()
    assert pod.post("/control/off") == (200, {})
    assert pod.info["process"] == "stopped"
    assert pod.workload["State"]["ExitCode"] == 137
    assert not pod.workload["State"]["Running"]
    pod.until_logged("USR1 heard")
    assert pod.post("/control/on") == (200, {})
    assert pod.sh("ls /conf") == "heard"


def test_a_crash_is_followed_by_a_start_and_a_pause_that_grows(pods):
    pod = pods.run("crashing", {"workload": {"command": ["sh", "-c", "cat /proc/uptime >>/conf/starts; exit 7"],
                                             "volumes": ["/conf"]}})
    wait_until("four restarts", lambda: pod.info["workload"]["restarts"] >= 4)
    wait_until("its exit is said", lambda: pod.info["workload"]["exit"] == 7)  # null while it is being started
    assert pod.info["process"] != "dead"
    pod.until_workload("after exit 7")
    at = [float(t) for t in pods.bed.docker("exec", "crashing", "cut", "-d", " ", "-f1", "/conf/starts").split()]
    gaps = [b - a for a, b in zip(at, at[1:])]
    # Doubled, each with its jitter: the last is longer than the first by far.
    assert gaps[3] > 1.2 * gaps[1] or gaps[3] > gaps[0] + 1, gaps


def test_exit_0_is_done_and_on_wakes_it(pods):
    pod = pods.run("done", {"workload": {"command": ["sh", "-c", "echo hello; echo run >>/conf/runs; sleep 1"],
                                         "volumes": ["/conf"]}})
    pod.until(process="dead")
    pod.until_logged("hello")
    assert pod.code("/control/off") == 410
    assert pod.info["workload"]["exit"] == 0
    # Dead over a new start of its container, too.
    pods.bed.docker("restart", "done")
    wait_until("dead again", lambda: pod.says(process="dead"))
    assert pods.bed.docker("exec", "done", "cat", "/conf/runs").split() == ["run"]
    pod.until_workload("until an operator's on")
    assert pod.code("/control/on") in (200, 406)
    wait_until("it ran again", lambda: pods.bed.docker("exec", "done", "cat", "/conf/runs").split() == ["run"] * 2)
    pod.until(process="dead")


def test_restart_always_starts_what_ends_with_0(pods):
    pod = pods.run("always", {"workload": {"command": ["sleep", "0.3"], "restart": "always"}})
    wait_until("three restarts", lambda: pod.info["workload"]["restarts"] >= 3)
    assert pod.info["process"] != "dead"


def test_off_holds_over_a_round_and_a_restart_of_the_worker(pods):
    first = pods.run("off", {"files": [{"target": "/conf/size", "content": "{{ size }}\n"}]})
    first.until_configured()
    assert first.code("/control/off") == 200
    second = pods.run("off-2", {"cluster": "off"})
    wait_until("the second is configured", lambda: second.info["configured"] and second.info["process"] == "running")
    wait_until("the round is over", lambda: pods.bed.docker("exec", "off", "cat", "/conf/size") == "2")
    assert first.info["process"] == "stopped" and first.info["off"]
    worker = worker_of(pods.bed, "off")
    os.kill(worker, signal.SIGKILL)
    wait_until("another worker answers", lambda: worker_of(pods.bed, "off") != worker and first.info)
    first.until(process="stopped", off=True)
    assert not first.workloads(all_=False)
    assert first.code("/control/on") == 200
    assert first.info["process"] == "running"
    assert first.sh("cat /conf/size") == "2"


def test_a_restarted_worker_does_not_touch_its_workload(pods):
    pod = pods.run("worker", {"files": [{"target": "/conf/size", "content": "{{ size }}\n"}]})
    pod.until_configured()
    before, seq, generation = pod.started, pod.info["seq"], pod.info["generation"]
    for _ in range(2):
        worker = worker_of(pods.bed, "worker")
        os.kill(worker, signal.SIGKILL)
        wait_until("another worker answers", lambda w=worker: worker_of(pods.bed, "worker") != w and pod.info)
        pod.until(process="running", ready=True)
    assert pod.started == before
    assert pod.info["seq"] == seq
    wait_until("the generation is known again", lambda: pod.info["generation"] >= generation)
    assert len(pod.workloads()) == 1


def test_kill_ends_the_pod(pods):
    pod = pods.run("killed", {"hooks": {"finalize": {"run": ["sh", "-c", "echo finalized"]}}})
    pod.until_configured()
    assert pod.post("/control/kill")[0] == 200
    assert pod.info["process"] == "dead"
    for task in ("check", "off", "ok", "kill", "signal"):
        assert pod.code(f"/control/{task}") == 410, task
    assert not pod.workloads(all_=False)
    assert pod.get("/livez")[0] == 200 and pod.get("/readyz")[0] == 503


def test_a_check_that_fails_restarts_the_workload(pods):
    pod = pods.run("unwell", {"workload": {"check": {"exec": ["test", "!", "-e", "/tmp/sick"], "every": "200ms",
                                                     "timeout": "20s", "retries": 2}}})
    pod.until_configured()
    before, n = pod.started, pod.info["workload"]["restarts"]
    pod.sh("touch /tmp/sick")
    wait_until("started again", lambda: pod.started[1] != before[1] and pod.info["workload"]["restarts"] > n)
    # The layer of the container is kept: it is still sick, and is started again and again.
    wait_until("again", lambda: pod.info["workload"]["restarts"] >= n + 2)
    wait_until("well", lambda: pod.sh("rm -f /tmp/sick") == "")
    pod.until(process="running", ready=True)


READY = {
    "tcp": ({"tcp": 7000, "send": "srvr", "expect": "Mode: "},
            "while :; do [ -e /tmp/go ] && s='Mode: x' || s=waiting; echo $s | nc -l -p 7000; done"),
    "http": ({"http": ":7000/ok"}, "mkdir /www; httpd -p 7000 -h /www; while [ ! -e /tmp/go ]; do sleep 0.1; done; touch /www/ok"
             "; exec sleep 100000"),
    "exec": ({"exec": ["test", "-e", "/tmp/go"]}, "exec sleep 1000000"),
    "docker": ({"docker": True}, "while [ ! -e /tmp/go ]; do sleep 0.1; done; touch /tmp/healthy; exec sleep 100000"),
}


@pytest.mark.parametrize("kind", READY)
def test_on_answers_when_it_is_ready(pods, kind):
    ready, command = READY[kind]
    pod = pods.run("ready", {"workload": {"image": SHIPS, "command": ["sh", "-c", command],
                                          "ready": {**ready, "timeout": "30s", "every": "100ms"}}})
    pod.until(process="running")
    pod.until_workload("not ready yet")
    assert pod.get("/readyz")[0] == 503
    assert pod.get("/wait?for=ready&timeout=1")[0] == 408
    pod.sh("touch /tmp/go")
    pod.until_configured()
    assert pod.get("/readyz")[0] == 200


def test_what_is_not_ready_in_time_fails_the_round(pods):
    pod = pods.run("never", {"workload": {"ready": {"tcp": 7000, "timeout": "500ms"}}})
    pod.until_status("never #0 refused on: not ready within 500ms")


def test_sequential_each_ready_before_the_next(pods):
    spec = {"cluster": "roll", "sequential": True, "needs": {"pods": 3},
            "workload": {"command": ["sh", "-c", "sleep 3; touch /tmp/go; exec sleep 100000"],
                         "ready": {"exec": ["test", "-e", "/tmp/go"], "every": "100ms"}}}
    three = [pods.run(f"roll-{i}", json.loads(json.dumps(spec)), started=False) for i in (1, 2, 3)]
    for pod in three:
        wait_until("it answers", lambda p=pod: p.info)
        pod.until_configured(3)
    by_seq = sorted(three, key=lambda p: p.info["seq"])
    at = [p.workload["State"]["StartedAt"] for p in by_seq]
    assert at == sorted(at)
    seconds = [float(t[17:-1]) + 60 * float(t[14:16]) for t in at]
    assert all((b - a) % 3600 >= 0.7 for a, b in zip(seconds, seconds[1:])), at


# ---- the cluster ----

def test_needs_refuses_and_says_so(pods):
    spec = {"needs": {"pods": 2}}
    first = pods.run("needs", dict(spec))
    first.until_status("needs 2 pods")
    assert first.info["process"] == "stopped" and not first.workloads(all_=False)
    second = pods.run("needs-2", {"cluster": "needs", **spec})
    first.until_configured(2)
    second.until_configured(2)


def test_a_dependency_appears_changes_and_vanishes(pods):
    user = pods.run("user", {"damper": "5s", "depends_on": ["base"], "needs": {"base": 1},
                             "files": [{"target": "/conf/peers", "content": '{{ grep("base", 7000) }}\n'}]})
    user.until_status("base")
    assert user.info["process"] == "stopped"
    one = pods.run("base-1", {"cluster": "base", "session": "5s"}, "--expose", "7000")
    user.until_configured()
    assert user.sh("cat /conf/peers") == f"{pods.bed.address('base-1')}:7000"
    pods.run("base-2", {"cluster": "base", "session": "5s"}, "--expose", "7000")
    both = f"{pods.bed.address('base-1')}:7000,{pods.bed.address('base-2')}:7000"
    wait_until("both are known", lambda: user.sh("cat /conf/peers") == both)
    user.until(process="running", ready=True)
    before = user.started
    assert one.info["dependencies"] == [] and user.info["dependencies"] == ["base"]
    # At one moment: were one gone a session earlier, the other would lead a round without it.
    pods.bed.docker("kill", "base-1", "base-2")
    pods.bed.docker("rm", "-f", "-v", "base-1", "base-2")
    user.until_status("base")
    assert user.sh("cat /conf/peers") == both
    assert user.started == before
    assert user.info["process"] == "running"


# ---- whose it is ----

def test_an_independent_workload_is_its_own_process_1(pods):
    pod = pods.run("independent", {"workload": {"lifetime": "independent", "network": "host", "stop": {"grace": "1s"}}})
    pod.until_configured()
    assert pod.workload["HostConfig"]["PidMode"] == ""
    assert pod.sh("cat /proc/1/cmdline | tr '\\0' ' '").strip() == "sleep 1000000"
    workload = pod.info["workload"]["container"]
    before = pod.started
    pods.bed.docker("kill", "-s", "KILL", "independent")
    assert pods.bed.inspect(workload)["State"]["Running"]
    pods.bed.docker("start", "independent")
    pod.until_configured()
    assert pods.bed.inspect(workload)["State"]["Running"]
    assert pod.started == before


def test_an_independent_workload_ends_before_its_successor_starts(pods):
    """The sidecar's container is made anew: the labels say another owner, so the workload must be another one, too."""
    bed = pods.bed
    spec = {"workload": {"lifetime": "independent", "network": "host", "volumes": ["/conf"], "stop": {"grace": "9s"},
                         "command": ["sh", "-c", "mkdir /conf/lock || touch /conf/both; trap 'sleep 2; rmdir /conf/lock; exit' TERM;"
                                                 " while :; do sleep 0.1; done"]}}
    volumes = ["-v", "heir-state:/var/lib/ochopod", "-v", "heir-conf:/conf"]
    pod = pods.run("heir", json.loads(json.dumps(spec)), *volumes, volumes=())
    pod.until_configured()
    before = pod.started[0]
    bed.docker("stop", "heir")
    assert bed.inspect(before)["State"]["Running"]
    bed.docker("rm", "heir")
    pod = pods.run("heir", json.loads(json.dumps(spec)), *volumes, volumes=())
    pod.until_configured()
    assert pod.started[0] != before
    wait_until("it alone holds the lock", lambda: pod.sh("ls /conf") == "lock")
    wait_until("the former one is removed", lambda: before not in bed.ids())


def test_adopt_holds_starts_and_never_removes(pods):
    bed = pods.bed
    other = bed.docker("run", "-d", "--name", "theirs", "--network", NETWORK, BUSYBOX, "sh", "-c",
                       "cat /etc/given; trap exit TERM; while :; do sleep 0.1; done")
    bystander = bed.docker("run", "-d", "--name", "theirs-too", "--network", NETWORK, BUSYBOX, "sleep", "1000000")
    pod = pods.run("adopts", {"needs": {"pods": 2}, "workload": {"container": {"name": "theirs"}, "hold": True,
                                                                 "address": bed.address("theirs")},
                              "files": [{"target": "/etc/given", "content": "given {{ size }}\n"}]})
    pod.until_status("needs 2 pods")
    wait_until("it is held", lambda: not bed.inspect(other)["State"]["Running"])
    pods.run("adopts-2", {"cluster": "adopts"})
    pod.until_configured(2)
    assert bed.inspect(other)["State"]["Running"]
    wait_until("it has what it was given", lambda: "given 2" in bed.log("theirs"))
    assert pod.code("/control/off") == 200
    assert not bed.inspect(other)["State"]["Running"]
    assert pod.code("/control/on") == 200
    bed.docker("stop", "-t", "20", "adopts")
    assert bed.inspect(other)["Id"] == other
    assert bed.inspect(bystander)["State"]["Running"] and bed.inspect(bystander)["RestartCount"] == 0


def test_limits_are_those_of_the_sidecar_unless_the_spec_says(pods):
    flags = ["--memory", "200m", "--cpus", "0.8", "--pids-limit", "99", "--ulimit", "nofile=1000:2000",
             "--log-opt", "max-size=3m"]
    pod = pods.run("limits", {}, *flags)
    own = pods.run("limits-own", {"workload": {"limits": {"memory": "64m", "cpus": 0.5, "ulimits": {"nofile": 500}}}},
                   *flags)
    pod.until_configured()
    own.until_configured()
    host = pod.workload["HostConfig"]
    assert host["Memory"] == 200 << 20 and host["NanoCpus"] == 800000000
    assert host["LogConfig"]["Config"] == {"max-size": "3m"}
    assert [(u["Name"], u["Soft"], u["Hard"]) for u in host["Ulimits"]] == [("nofile", 1000, 2000)]
    assert host["RestartPolicy"]["Name"] in ("", "no")
    host = own.workload["HostConfig"]
    assert host["Memory"] == 64 << 20 and host["NanoCpus"] == 500000000
    assert [(u["Name"], u["Soft"], u["Hard"]) for u in host["Ulimits"]] == [("nofile", 500, 500)]


def test_volumes_the_image_declares_are_kept_over_the_sidecars_container_and_go_with_it(pods):
    bed = pods.bed
    pod = pods.run("declares", {"workload": {"image": SHIPS}}, "-v", "declares-state:/var/lib/ochopod")
    pod.until_configured()
    pod.sh("echo kept >/data/mark")
    id_ = pod.info["id"]
    bed.docker("rm", "-f", "declares")
    again = pods.run("declares", {"workload": {"image": SHIPS}}, "-v", "declares-state:/var/lib/ochopod")
    again.until_configured()
    # Its name is the usual one, unless the former workload is still on its way out.
    assert again.info["id"] == id_
    assert again.sh("cat /data/mark") == "kept"


def test_it_does_not_start_before_somebody_says_so(pods):
    pod = pods.run("waits", {}, env={"ochopod_start": "false"})
    pod.until_workload("waits for an operator")
    wait_until("its round", lambda: pod.info["generation"] >= 1)
    assert pod.info["process"] == "stopped" and not pod.workloads(all_=False)
    assert pod.code("/control/on") == 200
    assert pod.info["process"] == "running"


# ---- the control port ----

def test_every_route_and_its_codes(pods):
    every_route(pods)


def test_a_secret_in_the_environment_is_neither_rendered_nor_served(pods):
    pod = pods.run("secret", {"files": [{"target": "/conf/env", "content": '{{ get(env, "DB_PASSWORD", "none") }} {{ env.PLAIN }}'}]},
                   env={"DB_PASSWORD": "hunter2-of-all", "PLAIN": "seen"})
    pod.until_configured()
    assert pod.sh("cat /conf/env") == "none seen"
    assert "hunter2" not in json.dumps([pod.info, pod.get("/log")[1], pod.get("/cluster")[1], pod.workload])


@pytest.mark.parametrize("what", ["socket", "nested", "control port", "not a mount"])
def test_what_must_not_be_shared_is_refused_at_start(pods, what):
    bed = pods.bed
    spec, args = {
        "socket": ({"workload": {"volumes": ["/engine"]}}, ["-v", f"{os.path.dirname(bed.socket)}:/engine"]),
        "nested": ({"workload": {"volumes": ["/data"]}}, ["-v", "/data", "-v", "/data/inner"]),
        "control port": ({"workload": {"ready": {"tcp": 8080}}}, []),
        "not a mount": ({"workload": {"volumes": ["/nowhere"]}}, []),
    }[what]
    pods.run("refused", spec, *args, started=False)
    wait_until("it ends", lambda: not bed.inspect("refused")["State"]["Running"])
    assert bed.inspect("refused")["State"]["ExitCode"] == 2, bed.log("refused")
    word = {"socket": "/engine", "nested": "/data", "control port": "is the control port", "not a mount": "/nowhere"}[what]
    assert word in bed.log("refused")


def test_a_long_grace_is_cut_to_what_the_sidecar_has_itself(pods):
    bed = pods.bed
    pod = pods.run("cut", {"workload": {"command": ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"],
                                        "stop": {"grace": "60s"}}}, "--stop-timeout", "4")
    pod.until_configured()
    assert any("grace" in line and " warn " in line for line in pod.log().splitlines())
    id_ = pod.info["id"]
    # The engine's own patience is longer: else a busy machine decides whether the status or a KILL comes first.
    bed.docker("stop", "-t", "30", "cut")
    # By itself, and not killed: on a busy machine what it left lies about until the next sidecar removes it.
    assert bed.inspect("cut")["State"]["ExitCode"] in (0, OVERDUE), bed.log("cut")
    wait_until("nothing of it runs", lambda: not bed.ids(f"label=io.ochopod.pod={id_}", all_=False))


def test_a_restart_of_the_sidecars_container_restarts_the_workload_once_with_its_data(pods):
    pod = pods.run("again", {"workload": {"command": ["sh", "-c", "cat /proc/uptime >>/conf/starts; exec sleep 9999"],
                                          "volumes": ["/conf"]}})
    pod.until_configured()
    info = pod.info
    pods.bed.docker("kill", "-s", "KILL", "again")
    pods.bed.docker("start", "again")
    wait_until("configured anew", lambda: pod.info["generation"] > info["generation"])
    pod.until_configured()
    assert pod.info["id"] == info["id"] and pod.info["seq"] == info["seq"]
    wait_until("it was started twice", lambda: len(pod.sh("cat /conf/starts").splitlines()) == 2)
    assert len(pod.workloads()) == 1


# ---- what is checked before anything is touched ----

@pytest.mark.parametrize("kind", ["exec", "run"])
def test_a_validator_refuses_and_nothing_is_touched(pods, kind):
    script = "grep -q small {} || { echo too large; exit 1; }"
    spec = {"files": [{"target": "/conf/main.conf", "content": "{{ size == 1 and 'small' or 'large' }}\n",
                       "validate": {kind: ["sh", "-c", script.replace("{}", "$OCHOPOD_FILE")]}}]}
    pod = pods.run("validated", dict(spec))
    pod.until_configured()
    before = pod.started
    pods.run("validated-2", {"cluster": "validated"})
    status = pod.until_status("too large")
    assert "/conf/main.conf" in status
    # The round is tried again, and stages anew each time.
    wait_until("the old file alone", lambda: pod.sh("cat /conf/main.conf; ls -A /conf") == "small\nmain.conf")
    assert pod.started == before and pod.says(process="running", ready=True)
    wait_until("no validator is left", lambda: not pods.bed.ids("label=io.ochopod.role=oneshot"))


def test_a_missing_name_in_a_template_is_said_with_its_place(pods):
    pod = pods.run("missing", {"files": [{"target": "/conf/a", "content": "one\n{{ settings.tick }}\n"}]})
    assert "files[0].content:2" in pod.until_status("tick")
    assert pod.info["process"] == "stopped"


def test_a_probe_is_the_status_line(pods):
    pod = pods.run("probed", {"probe": {"every": "1s", "run": ["sh", "-c", "cat >/dev/null; echo all is well"]}})
    pod.until_configured()
    pod.until_status("all is well")


def test_full_shutdown_all_off_before_any_on(pods):
    log = ["sh", "-c", "trap 'echo off >>/conf/log; exit 0' TERM; echo on >>/conf/log; while :; do sleep 0.1; done"]
    spec = {"cluster": "shut", "full_shutdown": True, "workload": {"command": log, "volumes": ["/conf"]}}
    first = pods.run("shut-1", json.loads(json.dumps(spec)))
    first.until_configured()
    pods.run("shut-2", json.loads(json.dumps(spec)))
    first.until_configured(2)
    wait_until("it was off between two starts", lambda: first.sh("cat /conf/log").split() == ["on", "off", "on"])


# ---- by other hands ----

def test_what_is_off_is_stopped_again_when_somebody_starts_it(pods):
    pod = pods.run("held", {})
    pod.until_configured()
    workload = pod.workload["Id"]
    assert pod.code("/control/off") == 200
    pods.bed.docker("start", workload)
    wait_until("it is stopped again", lambda: not pods.bed.inspect(workload)["State"]["Running"])
    pod.until(process="stopped", off=True)


def test_a_soft_stop_never_kills(pods):
    stubborn = ["sh", "-c", "trap 'test -e /tmp/go && exit 0' TERM; : >/tmp/up; while :; do sleep 0.1; done"]
    pod = pods.run("soft", {"workload": {"command": stubborn, "ready": UP, "stop": {"grace": "500ms", "soft": True}}})
    pod.until_configured()
    before = pod.started
    code, said = pod.post("/control/off")
    assert code in (406, 408) and "soft" in said["error"], (code, said)
    assert pod.started == before and pod.workload["State"]["Running"]
    pod.sh("touch /tmp/go")
    wait_until("it goes when it may", lambda: pod.code("/control/off") == 200)
    assert pod.workload["State"]["ExitCode"] == 0


@pytest.mark.parametrize("what", ["restart policy", "environment"])
def test_adopting_is_refused_where_we_could_not_keep_our_word(pods, what):
    bed = pods.bed
    restart = ["--restart", "always"] if what == "restart policy" else []
    other = bed.docker("run", "-d", "--name", "foreign", "--network", NETWORK, *restart, BUSYBOX, "sleep", "1000000")
    before = bed.inspect(other)["State"]["StartedAt"]
    more = {"environment": {"A": "b"}} if what == "environment" else {}
    pod = pods.run("refuses", {"workload": {"container": {"name": "foreign"}, "address": bed.address("foreign"), **more}},
                   started=False)
    if what == "environment":
        wait_until("it ends", lambda: not bed.inspect("refuses")["State"]["Running"])
        assert bed.inspect("refuses")["State"]["ExitCode"] == 2 and "environment" in bed.log("refuses")
    else:
        wait_until("it says why", lambda: "restart" in pod.info["status"])
    assert bed.inspect(other)["State"]["StartedAt"] == before


def test_an_upload_for_a_tool_that_runs_in_the_workload_is_refused(pods):
    pod = pods.run("upload", {"tools": {"show": {"exec": ["cat"]}}})
    pod.until_configured()
    edge = "----edge"
    body = (f"--{edge}\r\nContent-Disposition: form-data; name=\"f\"; filename=\"up.sql\"\r\n"
            f"Content-Type: application/octet-stream\r\n\r\nhello\r\n--{edge}--\r\n")
    headers = {"X-Shell": "show up.sql", "Content-Type": f"multipart/form-data; boundary={edge}"}
    code, said = pod.post("/exec", body=body, headers=headers)
    assert code == 400 and "run" in said["error"], (code, said)
