"""What ringside costs, beside what else does the same on this machine. Run by `deploy/bench`."""

import argparse
import datetime
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import edge
import ingest
import machine
import origin
from sheet import INVALID, MISSED, Sheet

SECTIONS = {"ingest": ingest.measure, "origin": origin.measure, "edge": edge.measure}


def main():
    options = argparse.ArgumentParser(prog="deploy/bench", description=__doc__)
    options.add_argument("sections", nargs="*", help=f"some of {', '.join(SECTIONS)}; all where none is named")
    options.add_argument("--binary", required=True, help="a release build of ringside")
    options.add_argument("--live", help="the bench `live` of the package loadtest; for the sections origin and edge")
    options.add_argument("--wake", help="the bench `wake` of the package packager; for the section origin")
    options.add_argument("--sapflow", help="sapflow 0.1.0, to be compared with; for the section edge")
    options.add_argument("--quick", action="store_true", help="few repetitions: rough figures in some minutes")
    options.add_argument("--json", default="bench.json", help="where the figures go for machines")
    asked = options.parse_args()
    for name in asked.sections:
        if name not in SECTIONS:
            options.error(f"no section {name}")
    sections = asked.sections or list(SECTIONS)
    if {"origin", "edge"} & set(sections) and not asked.live:
        options.error("the sections origin and edge need --live")
    if "origin" in sections and not asked.wake:
        options.error("the section origin needs --wake")
    # What was started ends with the `with` it was started in, also on these.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))

    sheet = Sheet(
        machine.describe() | {"ffmpeg": word("ffmpeg", "-version", at=2)},
        word("git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"),
        datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"), machine.pressure(), asked.quick)
    with tempfile.TemporaryDirectory(prefix="ringside-bench-") as folder:
        for name in sections:
            SECTIONS[name](sheet, str(Path(asked.binary).resolve()), Path(folder), asked)
    Path(asked.json).write_text(sheet.json() + "\n")
    print(sheet.markdown())
    machine.say(f"also in {asked.json}")
    verdicts = sheet.verdicts()
    sys.exit(2 if INVALID in verdicts else 1 if MISSED in verdicts else 0)


def word(*command, at=0):
    told = subprocess.run(command, capture_output=True, text=True).stdout.split()
    return told[at] if len(told) > at else "unknown"


main()
