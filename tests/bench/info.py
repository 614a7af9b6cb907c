"""(d) /info beside nginx: one worker, a static file of the same bytes with the same headers. Server on one core, wrk on the
other, both servers in turn."""
import http.client
import re
import subprocess
import time

from stand import Failed, Round, Sidecar, Sidecars, end, median, say, tail, wait_until

CONNECTIONS = (1, 64, 512)
OURS, WRK = "0", "1"  # cores
NGINX = """user root; daemon off; master_process on; worker_processes 1; pid %(dir)s/nginx.pid; error_log %(dir)s/nginx.log;
worker_rlimit_nofile 8192;
events { worker_connections 4096; }
http {
    access_log off; sendfile on; tcp_nopush on; keepalive_timeout 75s; keepalive_requests 1000000000; etag off;
    open_file_cache max=16; server_tokens off; max_ranges 0; types {} default_type "%(type)s";
    client_body_temp_path %(dir)s; proxy_temp_path %(dir)s; fastcgi_temp_path %(dir)s; uwsgi_temp_path %(dir)s;
    scgi_temp_path %(dir)s;
    server { listen %(listen)s:%(port)d backlog=4096; root %(dir)s/www; add_header Last-Modified ""; }
}
"""


def fetch(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/info")
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise Failed(f"info: {answer.status} {body[:200]!r}")
    return body, answer.getheaders()


class Nginx:
    def __init__(self, stand, body, content_type, listen="127.0.0.1"):
        self.port = stand.port()
        self.dir = stand.dir / f"nginx-{self.port}"
        (self.dir / "www").mkdir(parents=True)
        (self.dir / "www/info").write_bytes(body)
        (self.dir / "nginx.conf").write_text(
            NGINX % {"dir": self.dir, "port": self.port, "listen": listen, "type": content_type or "application/json"})
        self.process = None

    def __enter__(self):
        with open(self.dir / "out", "wb") as out:
            self.process = subprocess.Popen(
                ["taskset", "-c", OURS, "/usr/sbin/nginx", "-p", str(self.dir), "-e", str(self.dir / "nginx.log"),
                 "-c", str(self.dir / "nginx.conf")], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            wait_until("nginx serves", lambda: fetch(self.port), 10)
        except AssertionError as error:
            raise Failed(f"info: {error}\n{tail(self.dir / 'out')}{tail(self.dir / 'nginx.log')}") from None
        return self

    def __exit__(self, *_):
        end(self.process)


def wrk(port, connections, seconds):
    done = subprocess.run(["taskset", "-c", WRK, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s",
                           f"http://127.0.0.1:{port}/info"], capture_output=True, text=True, check=True)
    wrong = re.search(r"(Non-2xx.*|Socket errors.*)", done.stdout)
    if wrong:
        raise Failed(f"info: port {port}, {connections} connections: {wrong[1]}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1])


def measure(stand, quick):
    seconds, repeats = (1, 2) if quick else (3, 5)
    values, rows = {}, []
    with Sidecars([Sidecar(stand, "info", stand.fake_engine, before=["taskset", "-c", OURS])]) as (sidecar,):
        Round(stand.zk, "info", 1).wait(30)
        wait_until("the pod runs", lambda: sidecar.info()["process"] == "running", 15)
        time.sleep(1)
        body, headers = fetch(sidecar.port)
        with Nginx(stand, body, dict(headers).get("Content-Type")) as nginx:
            rows.append(("bytes of the body; our headers, nginx's",
                         f"{len(body)}; {len(headers)}, {len(fetch(nginx.port)[1])}"))
            for connections in CONNECTIONS:
                say(f"info: {connections} connections")
                ours, theirs = [], []
                for _ in range(repeats):
                    ours.append(wrk(sidecar.port, connections, seconds))
                    theirs.append(wrk(nginx.port, connections, seconds))
                values[f"info_vs_nginx_{connections}"] = median(ours) / median(theirs)
                rows.append((f"requests/s at {connections}: ours, nginx",
                             f"{median(ours):,.0f}, {median(theirs):,.0f}"))
    return values, rows
