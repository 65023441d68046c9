"""What runs: an ingest with its packager, encoders, ffmpeg. Ended by pid, and nothing else is."""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import machine

STREAM = "main"
START_S = 20
STOP_S = 10


class Group:
    """Processes and a folder that end with a `with`."""

    def __init__(self):
        self.children = []
        self.folder = Path(tempfile.mkdtemp(prefix="ringside-bench-"))
        self.folders = [self.folder]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for child in reversed(self.children):
            stop(child)
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)

    def start(self, name, *command, **environment):
        """Starts a command; what it says goes to `name`.log in the folder."""
        with open(self.folder / f"{name}.log", "ab") as log:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ | environment)
        child.log = self.folder / f"{name}.log"
        self.children.append(child)
        return child


def stop(child):
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def wait_for(state, what, child=None, seconds_max=START_S):
    """Waits until `state` gives something; fails with the end of the child's log."""
    end = time.monotonic() + seconds_max
    while not (found := state()):
        ended = child is not None and child.poll() is not None
        if ended or time.monotonic() > end:
            log = child.log.read_text(errors="replace")[-2000:] if child else ""
            raise RuntimeError(f"{what}: {'ended' if ended else 'not in time'}\n{log}")
        time.sleep(0.02)
    return found


class Ringside:
    """`ringside ingest` and the packager it feeds, as processes of their own."""

    def __init__(self, group, binary, *settings, passphrase=None):
        self.group = group
        secret = secrets.token_hex(16)
        port = machine.free_port
        self.ops, self.origin, feed, rtmp, srt = port(), port(), port(), port(), port(socket.SOCK_DGRAM)
        common = ["--set", f'feed.secret="{secret}"']
        self.packager = group.start(
            "packager", binary, "packager", *common, *sets(
                f"data.dir={group.folder}/packager", "ops.listen=127.0.0.1:0",
                f"packager.feed.listen=127.0.0.1:{feed}", f"origin.listen=127.0.0.1:{self.origin}"))
        if passphrase:
            settings = (*settings, f'ingest.srt.passphrase="{passphrase}"')
        self.ingest = group.start(
            "ingest", binary, "ingest", *common, *sets(
                f"data.dir={group.folder}/ingest", f"ops.listen=127.0.0.1:{self.ops}",
                f"ingest.rtmp.listen=127.0.0.1:{rtmp}", "ingest.rtmps.listen=127.0.0.1:0",
                f"ingest.srt.listen=127.0.0.1:{srt}", f'ingest.packagers=["127.0.0.1:{feed}"]',
                # A ladder that goes without a rung would cost less than it should.
                'ladder.shed="off"', *settings))
        self.pid = self.ingest.pid
        key = group.folder / "ingest" / "stream-key"
        wait_for(key.exists, "the stream key", self.ingest)
        wait_for(lambda: self.metric("ringside_ingest_feed_connections") == 1, "the feed", self.ingest)
        self.key = key.read_text().strip()
        self.rtmp = f"rtmp://127.0.0.1:{rtmp}/live/{self.key}"
        self.srt = f"srt://127.0.0.1:{srt}?streamid={self.key}&passphrase={passphrase}&pbkeylen=16"

    def metric(self, name, **labels):
        return metric(self.ops, name, **labels)

    def frames(self, rung):
        return self.metric("ringside_ingest_units_total", rung=rung) or 0.0

    def shows(self, source):
        return self.metric("ringside_ingest_on_air", source=source) == 1

    def publish(self, clip, how="rtmp", loops=0):
        """An encoder that sends the clip as it is, at its own pace; back once it is on air."""
        into = ("flv", self.rtmp) if how == "rtmp" else ("mpegts", self.srt)
        child = self.group.start(
            "publisher", *FFMPEG, "-re", "-stream_loop", str(loops), "-i", str(clip), "-c", "copy", "-f", *into)
        wait_for(lambda: self.shows("contribution"), f"the encoder on air by {how}", child)
        return child

    def leave(self, publisher):
        stop(publisher)
        wait_for(lambda: not self.shows("contribution"), "the encoder off air")


FFMPEG = ("ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error", "-y")


def metric(port, name, **labels):
    """Sum of the samples with these labels; none while the ops port does not answer, and of what it does not count."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except OSError:
        return None
    found = None
    for line in text.splitlines():
        sample = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
        if sample and sample[1] == name and all(f'{k}="{v}"' in (sample[2] or "") for k, v in labels.items()):
            found = (found or 0.0) + float(sample[3])
    return found


def sets(*pairs):
    return [word for pair in pairs for word in ("--set", pair)]


def rung(name, width, height, kbps, preset):
    """One rung, as TOML."""
    return f'{{name="{name}",width={width},height={height},bitrate_kbps={kbps},preset="{preset}",encoder="x264"}}'
