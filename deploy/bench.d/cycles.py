"""Encoders that come and go: what is left of them."""

import subprocess
import time

import machine
import processes
from processes import FFMPEG, Group, Ringside

# Idle threads of the runtime's pool leave after 10 s: until then they are no leak.
POOL_S = 11
MEDIA_S = 0.7
GROWTH_MAX_MB = 5
ONE = ("360p", 640, 360, 600)


def measure(binary, picture, looked):
    """Memory, threads and descriptors after some of the cycles."""
    looks = {}
    with Group() as group:
        before = machine.settle()
        ringside = Ringside(group, binary, f"ladder.rungs=[{processes.rung(*ONE, 'ultrafast')}]")
        for cycle in range(1, looked[-1] + 1):
            subprocess.run(
                [*FFMPEG, "-i", str(picture), "-t", str(MEDIA_S), "-c", "copy", "-f", "flv", ringside.rtmp],
                check=True, timeout=30)
            gone = lambda: ringside.metric("ringside_ingest_connections", protocol="rtmp") == 0
            processes.wait_for(gone, f"the end of encoder {cycle}", ringside.ingest)
            if cycle in looked:
                time.sleep(POOL_S)
                machine.say(f"{cycle} of {looked[-1]} encoders have come and gone")
                looks[cycle] = machine.memory(ringside.pid) | machine.counts(ringside.pid)
        published = ringside.metric("ringside_ingest_publishes_total")
    return before | {"looks": looks, "published": published, "valid": before["valid"] and published == looked[-1]}


def rows(sheet, binary, picture, looked):
    """`looked` are three numbers of encoders after which to look."""
    run = measure(binary, picture, looked)
    first, middle, last = (run["looks"][at] for at in looked)
    words = "; ".join(
        f"{at}: {look['rss']:.0f} MB, {look['threads']} threads, {look['descriptors']} descriptors"
        for at, look in run["looks"].items())
    steady = last["threads"] <= first["threads"] and last["descriptors"] <= first["descriptors"]
    sheet.row(
        f"{looked[-1]} RTMP encoders that come and go: memory, threads, descriptors on the way",
        f"{looked[1]} to {looked[2]}: <= {GROWTH_MAX_MB} MB more; no thread, no descriptor", words,
        steady and last["rss"] - middle["rss"] <= GROWTH_MAX_MB, key="cycles", valid=run["valid"], data=run)
