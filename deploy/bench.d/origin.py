"""Section `origin`: how soon a waiting crowd has its answers, beside a bare loop of writes, and what a live window takes."""

import json
import subprocess
import time

import machine
import servers
from processes import Group, metric
from sheet import median, usable

FULL = {"limit": 4 * 60, "turns": 3}
QUICK = {"limit": 2 * 60, "turns": 1}
# Waiting requests, and what the slowest hundredth of their answers may take: milliseconds, and times the bare loop's.
CROWDS = ((500, 20, None), (2000, None, 1.3))
# Looked at when the window has begun to fill, and when it is full: what a running origin takes anyhow is no part of it.
WINDOW = {"profile": "low", "kb": 150, "looks_s": (5, 65), "most": 1.2}


def measure(sheet, binary, folder, asked):
    """Adds this section's rows to the sheet."""
    size = QUICK if asked.quick else FULL
    deadline = machine.Deadline(size["limit"])
    for crowd, most_ms, most_ratio in CROWDS:
        runs = []
        for turn in range(size["turns"]):
            if deadline.allows(25, f"{crowd} waiting requests"):
                before = machine.settle()
                run = wake(asked.wake, crowd) | {"valid": before["valid"]}
                machine.say(f"{crowd} waiting requests, turn {turn + 1}: {run}")
                runs.append(run)
        wake_row(sheet, crowd, most_ms, most_ratio, runs)
    if deadline.allows(WINDOW["looks_s"][1] + 15, "the window's memory"):
        window_row(sheet, binary, asked.live)


def wake(program, crowd):
    """Of the bench `wake`: ours and the bare loop's, in turns."""
    told = subprocess.run([program, str(crowd)], capture_output=True, text=True, check=True, timeout=120).stdout
    return json.loads(told.splitlines()[-1])


def wake_row(sheet, crowd, most_ms, most_ratio, runs):
    figure = f"{crowd:,} requests that wait at the origin: publication to last byte, p99"
    goal = f"<= {most_ms} ms" if most_ms else f"<= {most_ratio} x a bare loop of writes"
    if not runs:
        sheet.row(figure, goal, None, None, f"wake_{crowd}", False)
        return
    good, valid = usable(runs)
    ours, bare, ratio = (median([run[name] for run in good]) for name in ("p99_ms", "bare_p99_ms", "ratio_p99"))
    met = ours <= most_ms if most_ms else ratio <= most_ratio
    measured = f"{ours:.1f} ms, bare loop {bare:.1f} ms: {ratio:.2f} x ({len(good)} runs)"
    sheet.row(figure, goal, measured, met, f"wake_{crowd}", valid, runs)


def window_row(sheet, binary, live):
    with Group() as group:
        origin = servers.Origin(group, binary, live, WINDOW["profile"], WINDOW["kb"])
        looks, begun = [], time.monotonic()
        for at in WINDOW["looks_s"]:
            time.sleep(max(0, at - (time.monotonic() - begun)))
            held = metric(origin.ops, "ringside_packager_window_bytes") / 1048576
            looks.append((machine.memory(origin.child.pid)["pss"], held))
    (some, part), (all_of_it, full) = looks
    ratio = (all_of_it - some) / (full - part)
    sheet.row(
        "memory of an origin's live window beside its bytes", f"<= {WINDOW['most']} x",
        f"{all_of_it - some:.1f} MB more as it grows by {full - part:.1f} MB: {ratio:.2f} x", ratio <= WINDOW["most"],
        "window", True)
