"""Every route of the control port, its methods and codes: the same in a cluster and without one."""
from bed import wait_until

INFO = ("application cluster namespace node ip public port ports process state status task metrics dependencies seq id "
        "workload hash generation").split()


def every_route(pods):
    """A pod of its own, and what each of its routes answers."""
    pod = pods.run("routes", {"tools": {"say": {"run": ["echo", "x"]}}, "workload": {"command": ["sh", "-c", "echo from inside; exec sleep 9999"]}})
    pod.until_configured()
    pod.until_logged("from inside")
    for method in ("GET", "POST"):
        code, info = pod.ask(method, "/info")
        assert code == 200 and not [key for key in INFO if key not in info], info
        code, lines = pod.ask(method, "/log")
        assert code == 200 and any("from inside" in line for line in lines) and any("sidecar" in line for line in lines)
    assert not [key for key in ("image", "container", "started", "exit", "restarts") if key not in info["workload"]]
    assert info["hash"] and info["generation"] >= 1 and info["process"] == "running"
    assert "from inside\n" in pod.get("/log?format=text")[1]
    code, cluster = pod.get("/cluster")
    assert code == 200 and cluster["pods"][info["id"]]["info"]["process"] == "running", cluster
    code, said = pod.get("/wait?for=running&generation=1&pods=1&timeout=60")
    assert code == 200 and said["generation"] >= 1
    assert pod.get("/wait?for=dead&timeout=1")[0] == 408
    assert pod.get("/wait?generation=1000&timeout=0")[0] == 408
    assert pod.get("/livez")[0] == pod.get("/readyz")[0] == 200
    assert "ochopod_pod_running 1" in pod.get("/metrics")[1]
    answers = {("POST", "/control/dance"): 400, ("POST", "/control/on/soon"): 400, ("POST", "/control"): 404,
               ("GET", "/control/on"): 405, ("GET", "/exec"): 405, ("GET", "/reset"): 405, ("POST", "/exec"): 400,
               ("GET", "/nothing"): 404, ("POST", "/livez"): 405, ("GET", "/wait?for=lunch"): 400}
    for (method, path), wanted in answers.items():
        code, said = pod.ask(method, path)
        assert code == wanted and list(said) == ["error"], (method, path, code, said)
    assert pod.post("/control/on", body="x" * (3 << 20))[0] == 413
    assert pod.post("/exec", headers={"X-Shell": "say"}) == (200, {"code": 0, "stdout": ["x"]})
    before = pod.started
    assert pod.post("/reset")[0] == 200
    wait_until("registered again", lambda: pod.info["attached"] and pod.info["seq"] == info["seq"])
    pod.until_configured()
    assert pod.started == before and pod.info["id"] == info["id"]
    # What a leader does to it, an operator may do.
    for task in ("off", "on", "signal"):
        assert pod.code(f"/control/{task}") == 200, task
    assert pod.code("/control/kill") == 200
    pod.until(process="dead")
    assert pod.code("/control/check") == 410
