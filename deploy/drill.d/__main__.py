"""Starts a small fleet, writes down what of it a drill may touch, drills it, and ends it by pid."""

import argparse
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

START_S = 40
STOP_S = 15
EDGES = 3
ENCODER = (
    "ffmpeg -hide_banner -nostdin -loglevel error -re -f lavfi -i testsrc2=size=640x360:rate=30 "
    "-f lavfi -i sine=frequency=440:sample_rate=48000 -c:v libx264 -preset ultrafast -tune zerolatency -g 60 -b:v 800k "
    "-pix_fmt yuv420p -c:a aac -f flv"
).split()


def free_ports(number):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


def started(pid):
    """Field 22 of /proc/PID/stat; none where it does not run."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rsplit(") ", 1)[1].split()
    return None if fields[0] in "ZX" else int(fields[19])


class Fleet:
    """Processes of a folder; ended with it, whoever started them last."""

    def __init__(self, binary, folder):
        self.folder, self.file, self.nodes, self.children = folder, folder / "fleet.json", [], []
        feed, self.origin, self.ops, rtmp, *ports = free_ports(4 + 2 * EDGES)
        links, edges = ports[:EDGES], ports[EDGES:]
        secret = f'feed.secret="{secrets.token_hex(16)}"'
        self.rtmp = rtmp
        self.links = [{"name": f"edge-{n + 1}", "listen": link, "to": self.origin} for n, link in enumerate(links)]
        self.targets = [f"http://{edge}" for edge in edges]

        def role(name, role, *settings):
            ops = self.ops if name == "packager" else "127.0.0.1:0"
            sets = [f"data.dir={folder / name}", f"ops.listen={ops}", *settings]
            return name, [str(binary), role, *(word for each in sets for word in ("--set", each))]

        self.commands = dict([
            role("packager", "packager", secret, f"packager.feed.listen={feed}", f"origin.listen={self.origin}"),
            role("ingest", "ingest", secret, f'ingest.packagers=["{feed}"]', f"ingest.rtmp.listen={rtmp}",
                 "ingest.rtmps.listen=127.0.0.1:0", "ingest.srt.listen=127.0.0.1:0"),
            *(role(f"edge-{n + 1}", "edge", f'edge.parents=["http://{links[n]}"]', f"edge.http.listen={edges[n]}",
                   "edge.https.listen=127.0.0.1:0") for n in range(EDGES)),
        ])

    def start(self, name):
        log = self.folder / f"{name}.log"
        with open(log, "ab") as output:
            child = subprocess.Popen(
                self.commands[name], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        self.children.append(child)
        self.nodes.append({
            "name": name, "pid": child.pid, "started": started(child.pid), "command": self.commands[name], "log": str(log)})

    def start_encoder(self):
        key = self.folder / "ingest" / "stream-key"
        self.commands["encoder"] = [*ENCODER, f"rtmp://{self.rtmp}/live/{key.read_text().strip()}"]
        self.start("encoder")

    def write(self):
        text = {"targets": self.targets, "origin": f"http://{self.origin}", "origin_ops": f"http://{self.ops}",
                "nodes": self.nodes, "links": self.links}
        self.file.write_text(json.dumps(text, indent=1))

    def await_stream(self):
        end = time.monotonic() + START_S
        url = f"http://{self.origin}/live/main/index.m3u8"
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                if urllib.request.urlopen(url, timeout=5).status == 200:
                    return
            time.sleep(0.2)
        logs = "".join(log.read_text(errors="replace")[-1000:] for log in self.folder.glob("*.log"))
        raise SystemExit(f"deploy/drill: no stream within {START_S} s\n{logs}")

    def stop(self):
        """Those in the file, which a drill keeps true, and which are still the same."""
        nodes = json.loads(self.file.read_text())["nodes"] if self.file.exists() else self.nodes
        for how, wait in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, 5)):
            end = time.monotonic() + wait
            for node in nodes:
                if started(node["pid"]) == node["started"]:
                    os.kill(node["pid"], signal.SIGCONT)
                    os.kill(node["pid"], how)
            while time.monotonic() < end and any(started(node["pid"]) == node["started"] for node in nodes):
                for child in self.children:
                    child.poll()
                time.sleep(0.05)


def main():
    parser = argparse.ArgumentParser(prog="deploy/drill")
    parser.add_argument("binary", type=Path)
    parser.add_argument("--json", type=Path, metavar="FOLDER", help="keep every result there")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO")
    options = parser.parse_intermixed_args()
    binary = options.binary.resolve()
    listed = subprocess.run([binary, "drill", "--list"], check=True, capture_output=True, text=True).stdout
    scenarios = options.scenarios or [line.split()[0] for line in listed.splitlines()]
    folder = Path(tempfile.mkdtemp(prefix="ringside-drill-"))
    fleet, worst = Fleet(binary, folder), 0
    try:
        for name in ("packager", "ingest", *(f"edge-{n + 1}" for n in range(EDGES))):
            fleet.start(name)
        fleet.await_stream()
        if "encoder-loss" in scenarios:
            fleet.start_encoder()
        fleet.write()
        for scenario in scenarios:
            print(f"== {scenario}", file=sys.stderr, flush=True)
            command = [binary, "drill", scenario, "--fleet", fleet.file]
            if options.json:
                options.json.mkdir(parents=True, exist_ok=True)
                command += ["--json", options.json / f"{Path(scenario).stem}.json"]
            status = subprocess.run(command, check=False).returncode
            print(f"== {scenario}: {['PASS', 'FAIL', 'INVALID'][status] if 0 <= status < 3 else status}", flush=True)
            worst = max(worst, status if status >= 0 else 1)
    finally:
        fleet.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return worst


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
