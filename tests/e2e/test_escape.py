"""Root inside the workload, with the engine's default capabilities, looks for a way to the engine's socket: through
every process's root, through its own mounts, through what it can list. It must find none."""
import os

from bed import BUSYBOX, SIDECAR, wait_until

SPEC = """
cluster: escape
damper: 0s
workload:
  image: busybox:1
  command: [sleep, "1000000"]
  volumes: [/conf]
files:
  - target: /conf/peers
    content: "{{ size }}\\n"
"""

# Every socket file that can be reached, as device:inode and name. busybox's find does not cross into /proc/N/root by
# itself, so each process's root is walked by name; what cannot be entered is counted, so that an empty walk shows.
WALK = r"""
walked=0
for root in / /proc/[0-9]*/root/ /proc/[0-9]*/cwd/ /proc/[0-9]*/fd/; do
    ls "$root" >/dev/null 2>&1 || continue
    walked=$((walked + 1))
    find "$root" -maxdepth 6 -type s 2>/dev/null | while read -r name; do
        stat -c '%i %n' "$name"
    done
done
while read -r _ place _; do
    [ -S "$place" ] && stat -c '%i %n' "$place"
done </proc/mounts
for environ in /proc/[0-9]*/environ; do
    tr '\0' '\n' <"$environ" 2>/dev/null | grep -q '^CANARY=' && echo "canary $environ"
done
echo "walked $walked"
"""


def walk(bed, container):
    return bed.docker("exec", container, "sh", "-c", WALK).splitlines()


def finds_socket(lines, inode):
    return [line for line in lines if line.split()[0] == str(inode)]


def test_root_in_the_workload_finds_no_engine_socket(bed):
    bed.docker("network", "create", "ochopod")
    bed.coordination("ochopod")
    sidecar = bed.docker("run", "-d", "--name", "escape", "--network", "ochopod", "-v", "/conf",
                         "-v", f"{bed.socket}:/var/run/docker.sock", "-e", f"OCHOPOD_SPEC={SPEC}",
                         "-e", "OCHOPOD_ZK=zk://coordination:2181", "-e", "CANARY=of-the-sidecar", SIDECAR)
    workload = wait_until("the workload runs", lambda: bed.ids(
        "label=io.ochopod.role=workload", f"label=io.ochopod.owner={sidecar}", all_=False))[0]
    inode = os.stat(bed.socket).st_ino

    # That the walk can find it at all: the same image beside the sidecar, in the PID namespace that we never give away.
    control = bed.docker("run", "-d", "--pid", f"container:{sidecar}", "-v", f"{bed.socket}:/found/docker.sock",
                         BUSYBOX, "sleep", "1000000")
    assert finds_socket(walk(bed, control), inode)

    said = walk(bed, workload)
    assert int(said[-1].split()[1]) >= 2, said
    assert not finds_socket(said, inode), said
    assert not [line for line in said if line.startswith("canary")], said

    inspected = bed.inspect(workload)
    assert not inspected["HostConfig"]["Privileged"]
    assert not inspected["HostConfig"]["CapAdd"]
    assert not [m for m in inspected["Mounts"] if "docker" in m["Source"] and m["Source"].endswith(".sock")]
    assert inspected["HostConfig"]["PidMode"] != f"container:{sidecar}"


def test_the_workload_ends_with_its_sidecar(bed):
    bed.docker("network", "create", "ochopod")
    bed.coordination("ochopod")
    sidecar = bed.docker("run", "-d", "--name", "tether", "--network", "ochopod", "-v", "/conf",
                         "-v", f"{bed.socket}:/var/run/docker.sock", "-e", f"OCHOPOD_SPEC={SPEC}",
                         "-e", "OCHOPOD_ZK=zk://coordination:2181", SIDECAR)
    owned = f"label=io.ochopod.owner={sidecar}"
    wait_until("the workload runs", lambda: bed.ids("label=io.ochopod.role=workload", owned, all_=False))
    bed.docker("kill", "-s", "KILL", sidecar)
    wait_until("nothing of it runs", lambda: not bed.ids(owned, all_=False), timeout=60)
