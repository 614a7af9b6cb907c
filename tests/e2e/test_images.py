"""What is built here keeps its promises: the ZooKeeper image is the official one's equal, the sidecar's is lean."""
import json
import socket

from bed import SIDECAR, ZOOKEEPER, agree, four_letters, wait_until


def config(bed, image):
    return json.loads(bed.docker("image", "inspect", image))[0]["Config"]


def test_zookeeper_image_has_the_official_interface(bed):
    c = config(bed, ZOOKEEPER)
    assert set(c["Volumes"]) == {"/data", "/datalog", "/logs"}
    assert set(c["ExposedPorts"]) == {"2181/tcp", "2888/tcp", "3888/tcp", "8080/tcp"}
    assert c["Entrypoint"] == ["/docker-entrypoint.sh"]
    assert c["Cmd"] == ["zkServer.sh", "start-foreground"]
    owners = bed.docker("run", "--rm", "--entrypoint", "stat", ZOOKEEPER, "-c", "%u:%g", "/conf", "/data", "/datalog",
                        "/logs", "/conf/log4j.properties")
    assert owners.split() == ["1000:1000"] * 5


def test_zookeeper_image_serves_as_its_own_user_and_ends_by_term(bed):
    bed.docker("run", "-d", "--name", "zk", "-e", "ZOO_4LW_COMMANDS_WHITELIST=*", "-e", "ZOO_MY_ID=7",
               "-e", "ZOO_SERVERS=server.7=localhost:2888:3888;2181", ZOOKEEPER)
    address = bed.address("zk")
    wait_until("it serves", lambda: "Mode: standalone" in four_letters(address, "srvr"))
    assert bed.docker("exec", "zk", "cat", "/data/myid") == "7"
    assert bed.docker("exec", "zk", "stat", "-c", "%u", "/proc/1").strip() == "1000"
    bed.docker("stop", "-t", "60", "zk")
    assert bed.inspect("zk")["State"]["ExitCode"] == 143


def test_zookeeper_image_starts_its_admin_server_on_8080(bed):
    """Else the clash with the control port, which the example has to avoid, would go untested."""
    bed.docker("run", "-d", "--name", "zk", ZOOKEEPER)
    address = bed.address("zk")

    def asked():
        with socket.create_connection((address, 8080), timeout=2) as s:
            s.sendall(b"GET /commands/ruok HTTP/1.0\r\n\r\n")
            return b" 200 OK" in s.recv(4096)

    wait_until("the admin server answers", asked)


def test_zookeeper_image_keeps_a_configuration_and_an_id_that_are_there(bed):
    bed.docker("create", "--name", "zk", "-e", "ZOO_MY_ID=9", "-v", "/conf", ZOOKEEPER)
    sh = "echo dataDir=/data >/conf/zoo.cfg; echo clientPort=2199 >>/conf/zoo.cfg; echo 3 >/data/myid"
    bed.docker("run", "--rm", "--volumes-from", "zk", "--entrypoint", "sh", ZOOKEEPER, "-c", sh)
    bed.docker("start", "zk")
    wait_until("it serves on the port it was told", lambda: socket.create_connection((bed.address("zk"), 2199), 1))
    assert bed.docker("exec", "zk", "cat", "/data/myid") == "3"
    assert "log4j.properties" in bed.docker("exec", "zk", "ls", "/conf")


def test_three_of_the_image_form_an_ensemble(bed):
    """The image and the settings of the example, without a sidecar: what fails here is not ours."""
    bed.docker("network", "create", "--subnet", "198.18.30.0/24", "plain")
    servers = " ".join(f"server.{i}=198.18.30.{10 + i}:2888:3888;2181" for i in (1, 2, 3))
    for i in (1, 2, 3):
        bed.docker("run", "-d", "--name", f"z{i}", "--network", "plain", "--ip", f"198.18.30.{10 + i}",
                   "-e", f"ZOO_MY_ID={i}", "-e", f"ZOO_SERVERS={servers}", "-e", "ZOO_4LW_COMMANDS_WHITELIST=*",
                   "-e", "ZOO_ADMINSERVER_ENABLED=false", "-e", "ZOO_TICK_TIME=500", ZOOKEEPER)
    wait_until("one leads, two follow", lambda: agree([(f"198.18.30.{10 + i}", 2181) for i in (1, 2, 3)]))


def test_sidecar_image_is_described_and_checked(bed):
    c = config(bed, SIDECAR)
    assert c["Entrypoint"] == ["/usr/bin/ochopod-sidecar"]
    assert c["Healthcheck"]["Test"] == ["CMD", "ocho", "health"]
    assert "/var/lib/ochopod" in c["Volumes"]
    assert {"org.opencontainers.image.title", "org.opencontainers.image.version",
            "org.opencontainers.image.licenses"} <= set(c["Labels"])


def test_sidecar_image_lists_what_is_in_it(bed):
    """Its SPDX file names the packages that dpkg knows there, and the three programs as they lie there."""
    def inside(*words):
        return bed.docker("run", "--rm", "--entrypoint", words[0], SIDECAR, *words[1:])

    sbom = json.loads(inside("cat", "/usr/share/doc/ochopod-sidecar/sbom.spdx.json"))
    named = {(p["name"], p["versionInfo"]) for p in sbom["packages"][1:]}
    there = {tuple(line.split()) for line in inside("dpkg-query", "-W", "-f", "${Package} ${Version}\n").splitlines()}
    assert named == there and {"libmicrohttpd12", "libcurl3-gnutls", "libzookeeper-mt2"} <= {name for name, _ in named}
    digests = dict(reversed(line.split()) for line in inside(
        "sha256sum", "/usr/bin/ochopod-sidecar", "/usr/bin/ochopod-holder", "/usr/bin/ocho").splitlines())
    assert {f["fileName"]: f["checksums"][0]["checksumValue"] for f in sbom["files"]} == digests


def test_sidecar_image_needs_no_shell(bed):
    """The programs find all their libraries with nothing on PATH and no shell to help."""
    for binary, option in (("ochopod-sidecar", "--version"), ("ochopod-holder", "--help"), ("ocho", "--version")):
        name = f"no-shell-{binary}"
        bed.docker("create", "--name", name, "--entrypoint", f"/usr/bin/{binary}", SIDECAR, option)
        bed.docker("start", "-a", name)
        assert bed.inspect(name)["State"]["ExitCode"] == 0
