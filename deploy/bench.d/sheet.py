"""Rows of figures with their goals and verdicts: as README's table, and as JSON."""

import json
import statistics

MET, MISSED, STATED, INVALID = "met", "missed", "stated", "INVALID"


def median(values):
    """None of nothing."""
    return statistics.median(values) if values else None


def usable(runs):
    """The valid ones, and that they are; where there is none, all of them: rough figures, and marked."""
    good = [run for run in runs if run["valid"]]
    return (good, True) if good else (runs, False)


class Sheet:
    """Filled row by row."""

    def __init__(self, machine, commit, when, pressure, quick):
        self.head = {"date": when, "machine": machine, "commit": commit, "pressure_before": pressure, "quick": quick}
        self.rows = []

    def row(self, figure, goal, measured, met, key, valid, data=None):
        """`measured` is falsy where nothing could be measured; `met` is none for a figure without a goal."""
        verdict = INVALID if not (measured and valid) else STATED if met is None else MET if met else MISSED
        text = measured or "nothing: time ran out, or the runs failed"
        if measured and not valid:
            text += "; the machine was starved"
        self.rows.append(
            {"key": key, "figure": figure, "goal": goal, "measured": text, "verdict": verdict, "data": data})

    def verdicts(self):
        return [row["verdict"] for row in self.rows]

    def markdown(self):
        machine = self.head["machine"]
        first = (
            f"Measured by `deploy/bench{' --quick' if self.head['quick'] else ''}` on {self.head['date']}: "
            f"{machine['cores']} cores, {machine['processor']}, {machine['memory_gb']} GB, "
            f"commit {self.head['commit']}, ffmpeg {machine['ffmpeg']}, CPU pressure before: {self.head['pressure_before']}.")
        rows = [f"| {row['figure']} | {row['goal']} | {row['measured']} | {row['verdict']} |" for row in self.rows]
        return "\n".join([first, "", "| figure | goal | measured | verdict |", "|---|---|---|---|", *rows])

    def json(self):
        return json.dumps(self.head | {"rows": self.rows}, indent=1)
