"""The servers that are compared, each in front of the same origin: started, fed, asked what they cost."""

import json
import secrets
import socket
import time
import urllib.request
from pathlib import Path

import machine
from processes import FFMPEG, metric, sets, wait_for

PLAYLIST = "/live/main/360p/media.m3u8"
CORES = 2
CONNECTIONS = 16000


class Origin:
    """A `ringside packager`, and the feed of one track that it is given."""

    def __init__(self, group, binary, live, profile, part_kb):
        secret, port = secrets.token_hex(16), machine.free_port
        self.port, self.ops, feed = port(), port(), port()
        self.child = group.start(
            "origin", binary, "packager", *sets(
                f'feed.secret="{secret}"', f"data.dir={group.folder}/origin", f"ops.listen=127.0.0.1:{self.ops}",
                f"packager.feed.listen=127.0.0.1:{feed}", f"origin.listen=127.0.0.1:{self.port}",
                f"origin.connections_max={CONNECTIONS}", 'packager.archive.url="off"', "packager.dvr.hours=0"))
        wait_for(lambda: metric(self.ops, "ringside_packager_parts_total") is not None, "the origin", self.child)
        group.start("feed", live, "feed", f"127.0.0.1:{feed}", secret, profile, str(part_kb))
        wait_for(lambda: answers(self.port), "the first playlist", self.child)

    def counted(self):
        """Requests it had, and cells it published."""
        return {
            "requests": metric(self.ops, "ringside_origin_requests_total") or 0.0,
            "parts": metric(self.ops, "ringside_packager_parts_total") or 0.0}


class Server:
    """One that viewers ask. `pids` are all the processes it costs."""

    def __init__(self, name, port, child, tls_port=None, path=PLAYLIST):
        self.name, self.port, self.tls_port, self.child, self.path = name, port, tls_port, child, path

    def pids(self):
        return family(self.child.pid)

    def cpu(self):
        return sum(machine.cpu(pid) for pid in self.pids())

    def pss_kb(self):
        return sum(machine.memory(pid)["pss"] for pid in self.pids()) * 1024


def edge(group, binary, origin):
    """Ours, as it comes."""
    port, tls, ops = machine.free_port(), machine.free_port(), machine.free_port()
    child = group.start(
        "edge", binary, "edge", *sets(
            f'edge.parents=["http://127.0.0.1:{origin.port}"]', f"data.dir={group.folder}/edge",
            f"edge.http.listen=127.0.0.1:{port}", f"edge.https.listen=127.0.0.1:{tls}",
            f"ops.listen=127.0.0.1:{ops}", f"edge.connections_max={CONNECTIONS}"))
    wait_for(lambda: answers(port), "the edge", child)
    return Server("ringside", port, child, tls)


def nginx(group, binary, origin):
    """With the cache lock, kept connections, a cache in memory, and patience so that nobody goes upstream."""
    port, tls = machine.free_port(), machine.free_port()
    cache, folder = Path("/dev/shm") / group.folder.name, group.folder / "nginx"
    cache.mkdir()
    group.folders.append(cache)
    folder.mkdir()
    certificate = self_signed(group, binary)
    (folder / "nginx.conf").write_text(f"""
daemon off; user root; pid {folder}/pid; error_log {folder}/error.log; worker_processes {CORES}; worker_rlimit_nofile 20000;
events {{ worker_connections 16384; }}
http {{
  access_log off; sendfile on; tcp_nodelay on; keepalive_requests 100000000; keepalive_timeout 120s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  proxy_cache_path {cache} levels=1:2 keys_zone=live:10m max_size=512m use_temp_path=off;
  upstream origin {{ server 127.0.0.1:{origin.port}; keepalive 64; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} reuseport backlog=4096; listen 127.0.0.1:{tls} ssl reuseport backlog=4096;
    ssl_certificate {certificate}; ssl_certificate_key {certificate}; ssl_protocols TLSv1.3;
    location / {{
      proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffers 64 16k;
      proxy_cache live; proxy_cache_lock on; proxy_cache_lock_timeout 10s; proxy_cache_lock_age 10s;
      proxy_cache_key $request_uri; proxy_ignore_headers Vary;
    }}
  }}
}}
""")
    child = group.start("nginx", "nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"))
    wait_for(lambda: answers(port), "nginx", child)
    return Server("nginx", port, child, tls)


def varnish(group, _binary, origin):
    """In memory, without grace, with as many threads as it may want."""
    port = machine.free_port()
    child = group.start(
        "varnish", "varnishd", "-F", "-a", f"127.0.0.1:{port}", "-b", f"127.0.0.1:{origin.port}",
        "-s", "malloc,512m", "-p", "default_grace=0", "-p", "thread_pool_max=5000", "-p", "timeout_idle=60",
        "-p", "first_byte_timeout=20", "-p", "http_gzip_support=off", "-n", str(group.folder / "varnish"))
    wait_for(lambda: answers(port), "varnish", child)
    return Server("Varnish", port, child)


def plain(_group, _binary, origin):
    """The origin by itself."""
    return Server("origin alone", origin.port, origin.child)


def sapflow(group, binary, clip):
    """The nearest peer: takes the clip by RTMP and serves it itself, at its own part size."""
    port, rtmp, srt, name = machine.free_port(), machine.free_port(), machine.free_port(socket.SOCK_DGRAM), "event-bench"
    child = group.start(
        "sapflow", binary, SAPFLOW_HTTP_ADDR=f"127.0.0.1:{port}", SAPFLOW_RTMP_ADDR=f"127.0.0.1:{rtmp}",
        SAPFLOW_SRT_ADDR=f"127.0.0.1:{srt}", SAPFLOW_OPEN_PUBLISH="1")
    wait_for(lambda: listens(rtmp), "sapflow", child)
    group.start(
        "publisher", *FFMPEG, "-re", "-stream_loop", "-1", "-i", str(clip), "-c", "copy", "-f", "flv",
        f"rtmp://127.0.0.1:{rtmp}/live/{name}")
    path = f"/live/{name}/stream.m3u8"
    wait_for(lambda: answers(port, path), "sapflow's first playlist", child)
    return Server("sapflow", port, child, path=path)


def self_signed(group, _binary):
    """A certificate of the same kind as ours, ECDSA P-256."""
    path = group.folder / "certificate.pem"
    made = group.start(
        "openssl", "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-keyout", str(path) + ".key", "-out", str(path), "-days", "2", "-subj", "/CN=localhost")
    made.wait(20)
    path.write_text(path.read_text() + Path(str(path) + ".key").read_text())
    return path


def crowd(group, live, server, viewers, seconds, processes, tls=False, foreign=False):
    """Viewers in several processes; what they saw, merged, and what the server used meanwhile."""
    port = server.tls_port if tls else server.port
    before = server.pss_kb()
    flags = (["--tls"] if tls else []) + (["--foreign"] if foreign else [])
    each = viewers // processes
    crowds = [
        group.start(
            f"crowd-{server.name}-{number}", live, "crowd", f"127.0.0.1:{port}", server.path, "--viewers", str(each),
            "--warm", "4", "--seconds", str(seconds), *flags)
        for number in range(processes)]
    # All are there and the server is warm: the middle of what they measure.
    time.sleep(each / 2000 + 4.5)
    used, since = server.cpu(), time.monotonic()
    time.sleep(seconds - 2)
    used, lasted = server.cpu() - used, time.monotonic() - since
    after = server.pss_kb()
    seen = []
    for child in crowds:
        child.wait(30)
        if child.returncode:
            raise RuntimeError(f"the crowd of {server.name}: {child.log.read_text()[-800:]}")
        seen.append(json.loads(child.log.read_text().splitlines()[-1]))
    lateness = sorted(pair for one in seen for pair in one["lateness_us"])
    parts = sum(one["parts"] for one in seen)
    per_s = parts / seconds
    return {
        "parts": parts, "viewers": sum(one["viewers"] for one in seen), "errors": [one["errors"] for one in seen],
        "p50": quantile(lateness, 0.5), "p99": quantile(lateness, 0.99),
        "cpu_us": used / lasted / per_s * 1e6 if parts else None,
        # Of what a crowd that misses nothing fetches.
        "delivered": parts / max(viewers * max(one["versions"] for one in seen), 1),
        "kb_per_viewer": (after - before) / viewers, "crowd_cpu": sum(one["cpu_s"] for one in seen) / seconds}


def quantile(pairs, share):
    """Milliseconds, of (microseconds, count) in order."""
    total, seen = sum(count for _, count in pairs), 0
    for value, count in pairs:
        seen += count
        if seen >= share * total:
            return value / 1000
    return None


def family(pid):
    """A process and all below it."""
    found = [pid]
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if int(fields[1]) == pid:
            found += family(int(stat.parent.name))
    return found


def listens(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def answers(port, path=PLAYLIST):
    """Whether there is a playlist with parts."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return b"#EXT-X-PART:" in answer.read()
    except OSError:
        return False

