"""What receiving costs: CPU of the network's threads with an encoder, less what they take without one."""

import os
import re
import time

import machine
import processes
from processes import Group, Ringside
from sheet import median, usable

# Threads that receive, by protocol: tokio's workers (sockets and sessions), and libsrt's with our reader of it.
GOALS = {"rtmp": ("RTMP", 0.3, "workers"), "srt": ("SRT, AES-128", 1.5, "workers|srt-reader|SRT:.*")}
# One of tokio's pool puts clocks right and hands what came to the decoders; it is told apart.
HANDOVER = "pool"
PASSPHRASE = "of this bench alone"
ONE = ("240p", 426, 240, 300)


def measure(binary, picture, turns, window):
    """Percent of a core by protocol, each turn less its own idle; decoders are other threads."""
    found = []
    with Group() as group:
        ringside = Ringside(
            group, binary, f"ladder.rungs=[{processes.rung(*ONE, 'ultrafast')}]", passphrase=PASSPHRASE)
        for turn in range(turns):
            machine.say(f"receiving, turn {turn + 1} of {turns}")
            before = machine.settle()
            run = {"idle": share(ringside, window)}
            for how in GOALS:
                publisher = ringside.publish(picture, how, loops=-1)
                time.sleep(2)
                run[how] = share(ringside, window)
                ringside.leave(publisher)
            found.append(before | run)
    return found


def share(ringside, window):
    """Percent of a core by thread name; tokio's as `workers` and `pool`, which have one name."""
    begin, before = time.monotonic(), machine.threads(ringside.pid)
    time.sleep(window)
    after, wall = machine.threads(ringside.pid), time.monotonic() - begin
    # The runtime starts its workers first, one a core.
    workers = sorted((key for key in after if key[1].startswith("tokio")), key=lambda key: int(key[0]))[:os.cpu_count()]
    names = {}
    for key, seconds in after.items():
        name = "workers" if key in workers else HANDOVER if key[1].startswith("tokio") else key[1]
        names[name] = names.get(name, 0.0) + 100 * (seconds - before.get(key, 0.0)) / wall
    return names


def more(run, how, pattern):
    """What the threads of a pattern take with an encoder, above what they take without."""
    used = {side: sum(run[side][name] for name in run[side] if re.fullmatch(pattern, name)) for side in (how, "idle")}
    return used[how] - used["idle"]


def rows(sheet, binary, picture, seconds, turns, window):
    found = measure(binary, picture, turns, window)
    rate = picture.stat().st_size * 8 / seconds / 1e6
    good, valid = usable(found)
    for how, (name, goal, pattern) in GOALS.items():
        cost, after = (median([more(run, how, each) for run in good]) for each in (pattern, HANDOVER))
        sheet.row(
            f"CPU to receive {rate:.1f} Mb/s by {name}: socket and session, without decoding", f"<= {goal} % of a core",
            good and f"{cost:.2f} % (handing it to the decoders {after:.2f} %; {len(good)} of {len(found)} runs)",
            good and cost <= goal, key=f"receive.{how}", valid=valid,
            data={"percent": cost, "handover": after, "runs": found})
