"""(b) Forming with three real sidecars and workloads, less what the engine itself needs for three workloads: create and
start of three containers of the same HostConfig, side by side, in the same run."""
import time

from stand import Failed, Round, median, say, together, twin, wait_until

PODS = 3


def engine_alone(stand, workloads):
    """ms for create and start of one twin for each workload, all at once."""
    ids = []

    def one(body):
        id_ = stand.api("POST", "/containers/create", body)["Id"]
        ids.append(id_)
        stand.api("POST", f"/containers/{id_}/start")

    bodies = [twin(w, []) for w in workloads]
    began = time.monotonic()
    together([lambda body=body: one(body) for body in bodies])
    took = (time.monotonic() - began) * 1000
    for id_ in ids:
        stand.api("DELETE", f"/containers/{id_}?force=1")
    return took


def once(stand):
    cluster = f"real{stand.number()}"
    names = [f"bench-{cluster}-{n}" for n in range(PODS)]
    try:
        ids = [stand.container(name, cluster, needs={"pods": PODS}) for name in names]
        stand.start_all(ids)
        wanted = Round(stand.zk, cluster, PODS)
        try:
            formed = wanted.wait(90) - wanted.last_pod()
        except AssertionError as error:
            raise Failed(f"form_real: {error}\n{stand.bed.logs(20)}") from None
        workloads = [wait_until("its workload", lambda id_=id_: stand.workload_of(id_), 10) for id_ in ids]
        return formed, engine_alone(stand, workloads)
    finally:
        stand.remove(names)


def measure(stand, quick):
    assert stand.zk
    repeats = 2 if quick else 9
    say(f"form_real: {PODS} pods, {repeats} times")
    took = [once(stand) for _ in range(repeats)]
    formed, engine = median([t[0] for t in took]), median([t[1] for t in took])
    return {"form_real_over_engine_ms": formed - engine}, [
        ("3 real pods: last record -> /hash", f"{formed:.0f} ms"),
        ("the engine alone: 3 creates and starts side by side", f"{engine:.0f} ms"),
    ]
