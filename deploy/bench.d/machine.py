"""This machine: how busy it is, what a process and its threads have used, and how long this may still take."""

import os
import platform
import re
import socket
import sys
import time

TICK = os.sysconf("SC_CLK_TCK")
# A figure from a starved machine is not valid: share of the last 10 s in which something waited for a core.
STARVED = 20.0
QUIET = 12.0


def say(text):
    """Progress, for people."""
    print(f"-- {text}", file=sys.stderr, flush=True)


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def pressure():
    """`some avg10` of the CPU, percent; none where the kernel does not tell."""
    try:
        return float(re.search(r"^some avg10=([\d.]+)", read("/proc/pressure/cpu"), re.M)[1])
    except (OSError, TypeError):
        return None


def settle(seconds_max=20):
    """Waits for a quiet machine, so long at most. The pressure then, and whether a figure taken now is valid."""
    end = time.monotonic() + seconds_max
    while (now := pressure()) is not None and now >= QUIET and time.monotonic() < end:
        time.sleep(0.5)
    valid = now is not None and now < STARVED
    if not valid:
        say(f"CPU pressure {now}: this run is INVALID")
    return {"pressure": now, "valid": valid}


def cpu(pid):
    """CPU seconds a process has used, its ended threads included."""
    fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def threads(pid):
    """CPU seconds of each living thread, by (thread id, name)."""
    used = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            folder = f"/proc/{pid}/task/{task}"
            name = read(f"{folder}/comm").strip()
            exact = re.search(r"sum_exec_runtime\s*:\s*([\d.]+)", read(f"{folder}/sched"))
            used[task, name] = float(exact[1]) / 1000 if exact else cpu(f"{pid}/task/{task}")
        except OSError:
            continue  # it ended meanwhile
    return used


def used_by_name(before, after):
    """CPU seconds between two looks at `threads`, summed by name."""
    names = {}
    for key, seconds in after.items():
        names[key[1]] = names.get(key[1], 0.0) + seconds - before.get(key, 0.0)
    return names


def memory(pid):
    """Resident and proportional megabytes."""
    text = read(f"/proc/{pid}/smaps_rollup")
    return {name.lower(): int(re.search(rf"^{name}:\s+(\d+)", text, re.M)[1]) / 1024 for name in ("Rss", "Pss")}


def counts(pid):
    """Threads and open descriptors."""
    return {"threads": len(os.listdir(f"/proc/{pid}/task")), "descriptors": len(os.listdir(f"/proc/{pid}/fd"))}


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def describe():
    """Cores, processor, memory, kernel."""
    model = re.search(r"^model name\s*: (.*)", read("/proc/cpuinfo"), re.M)
    kilobytes = int(re.search(r"^MemTotal:\s+(\d+)", read("/proc/meminfo"), re.M)[1])
    return {
        "cores": os.cpu_count(),
        "processor": model[1] if model else "unknown processor",
        "memory_gb": round(kilobytes / 1048576),
        "kernel": platform.release(),
    }


class Deadline:
    """Bounds a section: what does not fit is left out, and said to be."""

    def __init__(self, seconds):
        self.end = time.monotonic() + seconds

    def allows(self, seconds, what):
        fits = time.monotonic() + seconds < self.end
        if not fits:
            say(f"no time left for {what}")
        return fits
