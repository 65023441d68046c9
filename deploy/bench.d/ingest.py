"""Section `ingest`: from an encoder's connection to a part at the origin."""

import subprocess

import machine
from clip import make
import cycles
import ladder
import latency
import quality
import receive

# Seconds that all of it may take, and that are kept for what comes after the pairs; pairs that do not fit are left out.
FULL = {
    "limit": 15 * 60, "after": 360, "clip": 40, "pairs": 3, "window": 12, "parts": 60, "turns": 3,
    "looks": (10, 30, 50)}
QUICK = {
    "limit": 5.5 * 60, "after": 110, "clip": 26, "pairs": 1, "window": 8, "parts": 20, "turns": 1, "looks": (4, 8, 16)}


def measure(sheet, binary, folder, asked):
    """Adds this section's rows to the sheet."""
    size = QUICK if asked.quick else FULL
    deadline = machine.Deadline(size["limit"] - size["after"])
    picture, kept = folder / "clip.flv", folder / "kept"
    machine.say("making the picture that is measured with")
    make(picture, size["clip"])
    found = ladder.pairs(binary, picture, kept, size["pairs"], size["window"], deadline)
    ladder.rows(sheet, found)
    ladder.shares(sheet, found)
    quality.rows(sheet, kept, picture, found)
    for rows, *sizes in (
        (latency.rows, size["parts"]),
        (receive.rows, size["clip"], size["turns"], size["window"]),
        (cycles.rows, size["looks"]),
    ):
        try:
            rows(sheet, binary, picture, *sizes)
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            machine.say(f"{rows.__module__} failed: {error}")
            sheet.row(rows.__module__, "-", None, None, key=rows.__module__, valid=False)
    ladder.memory(sheet, found)
