"""From the switcher to the origin: how long after its last frame a part can be had."""

import re
import time

import machine
import processes
from http2 import Client
from processes import Group, Ringside
from sheet import median

GOAL_MS = 60
# Program dates are true: cell n begins n parts after this (packager/hls/src/time.rs), and frames are due on the grid.
PROGRAM_EPOCH = 1_704_067_200
PART_S, FRAME_S = 0.5, 1 / 30
RUNGS = (("360p", 640, 360, 600), ("240p", 426, 240, 300))


def measure(binary, picture, parts):
    """Milliseconds from the due time of each part's last frame to its last byte, asked for in advance."""
    rungs = ",".join(processes.rung(*one, "superfast") for one in RUNGS)
    with Group() as group:
        before = machine.settle()
        ringside = Ringside(group, binary, f"ladder.rungs=[{rungs}]")
        ringside.publish(picture, loops=-1)
        time.sleep(3)
        client = Client(ringside.origin)
        base = f"/live/{processes.STREAM}/{RUNGS[0][0]}/"
        playlist = client.get(base + "media.m3u8").decode()
        cell = int(re.findall(r"part-(\d+)\.m4s", playlist)[-1]) + 1
        late = []
        for cell in range(cell, cell + parts):
            body = client.get(f"{base}part-{cell}.m4s")
            if body is not None:
                last_frame = PROGRAM_EPOCH + (cell + 1) * PART_S - FRAME_S
                late.append(1000 * (time.time() - last_frame))
        client.close()
        steps = {
            "tick_late": mean_ms(ringside, "ringside_ingest_tick_late_seconds"),
            **{name: mean_ms(ringside, "ringside_ingest_encode_seconds", rung=name) for name, *_ in RUNGS}}
    return before | {"valid": before["valid"] and len(late) == parts, "late_ms": late, "mean_ms": steps}


def mean_ms(ringside, histogram, **labels):
    seconds, count = (ringside.metric(f"{histogram}_{what}", **labels) for what in ("sum", "count"))
    return 1000 * seconds / count if count else None


def rows(sheet, binary, picture, parts):
    machine.say(f"latency of {parts} parts")
    run = measure(binary, picture, parts)
    late = sorted(run["late_ms"])
    p50, p95 = (median(late), late[int(len(late) * 0.95)]) if late else (None, None)
    coded = run["mean_ms"][RUNGS[0][0]] or 0.0
    sheet.row(
        "switcher to origin: last frame of a part due, to its last byte at a client, 360p + 240p, p50 / p95",
        f"p50 <= {GOAL_MS} ms",
        late and f"{p50:.0f} / {p95:.0f} ms (pictures coded after {coded:.0f} ms on average; {len(late)} parts)",
        late and p50 <= GOAL_MS, key="latency", valid=run["valid"], data=run)
