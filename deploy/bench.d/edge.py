"""Section `edge`: ringside's edge, nginx and Varnish in front of ringside's origin, and sapflow by itself, each with
the same crowd."""

import functools
import subprocess

import machine
import servers
from processes import FFMPEG, Group
from sheet import median, usable

# viewers, profile, kB of a part, and what must be: shares of nginx's figures.
CROWDS = (
    {"viewers": 1500, "profile": "low", "kb": 150, "part": "0.5 s", "p50": 0.35, "p99": 0.3, "cpu": 0.75},
    {"viewers": 8000, "profile": "wide", "kb": 15, "part": "1 s", "p50": None, "p99": 0.5, "cpu": 0.75},
)
# sapflow's own parts, and the same of ours through origin and edge.
PEER = {"viewers": 1500, "profile": "ultra", "kb": 37, "part": "0.2 s", "cpu": 0.8}
FULL = {"limit": 14 * 60, "turns": 3, "seconds": 12}
QUICK = {"limit": 5 * 60, "turns": 1, "seconds": 8}
PROCESSES = 2
TURN_S = 22
MEMORY_KB = {"plain": 8, "tls": 24}


def measure(sheet, binary, folder, asked):
    """Adds this section's rows to the sheet."""
    size = QUICK if asked.quick else FULL
    live, sapflow = asked.live, asked.sapflow
    deadline = machine.Deadline(size["limit"])
    for crowd in CROWDS:
        for tls in (False, True):
            # With TLS the small parts tell little that the large ones do not.
            if tls and crowd["viewers"] > 2000:
                continue
            starts = [servers.edge, servers.nginx]
            if not tls:
                starts += [servers.varnish, servers.plain]
            runs = {
                start.__name__: functools.partial(once, binary, live, crowd, tls, start, size["seconds"])
                for start in starts}
            found = turns(runs, f"{crowd['viewers']} viewers{', TLS' if tls else ''}", size, deadline)
            rows(sheet, crowd, tls, found)
    if sapflow:
        clip = folder / "peer.flv"
        picture(clip)
        runs = {
            "edge": functools.partial(once, binary, live, PEER, False, servers.edge, size["seconds"], foreign=True),
            "sapflow": functools.partial(peer, sapflow, live, clip, size["seconds"])}
        beside(sheet, turns(runs, f"{PEER['viewers']} viewers, sapflow's parts", size, deadline))


def turns(runs, what, size, deadline):
    """Results of each server, by its name; all servers in each turn, so that what the machine does meets all."""
    found = {}
    for turn in range(size["turns"]):
        for name, run in runs.items():
            if not deadline.allows(TURN_S + size["seconds"], f"{name}, {what}"):
                continue
            before = machine.settle()
            try:
                result = run()
            except (RuntimeError, OSError, subprocess.SubprocessError, ValueError) as error:
                machine.say(f"{name}, {what}: {error}")
                continue
            result["valid"] = before["valid"]
            found.setdefault(name, []).append(result)
            tell(name, what, turn, result)
    return found


def tell(name, what, turn, run):
    upstream = f", {run['upstream']:.2f} upstream" if "upstream" in run else ""
    machine.say(
        f"{name}, {what}, turn {turn + 1}: p50 {run['p50']:.0f} ms, p99 {run['p99']:.0f} ms, {run['cpu_us']:.0f} us, "
        f"{run['kb_per_viewer']:.1f} kB{upstream}, delivered {run['delivered']:.0%}, errors {run['errors']}")


def once(binary, live, crowd, tls, start, seconds, foreign=False):
    with Group() as group:
        origin = servers.Origin(group, binary, live, crowd["profile"], crowd["kb"])
        server = start(group, binary, origin)
        before = origin.counted()
        run = servers.crowd(group, live, server, crowd["viewers"], seconds, PROCESSES, tls=tls, foreign=foreign)
        after = origin.counted()
        published = after["parts"] - before["parts"]
        run["upstream"] = (after["requests"] - before["requests"]) / max(published, 1)
        return run


def peer(sapflow, live, clip, seconds):
    with Group() as group:
        server = servers.sapflow(group, sapflow, clip)
        return servers.crowd(group, live, server, PEER["viewers"], seconds, PROCESSES, foreign=True)


def picture(into):
    """A track whose parts are as large as those of ours that it is compared with."""
    bits = int(PEER["kb"] * 8 / 0.2)
    subprocess.run(
        [*FFMPEG, "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30,noise=alls=30:allf=t", "-t", "20", "-c:v", "libx264",
         "-preset", "superfast", "-tune", "zerolatency", "-g", "30", "-b:v", f"{bits}k", "-minrate", f"{bits}k",
         "-maxrate", f"{bits}k", "-bufsize", f"{bits // 2}k", "-x264-params", "nal-hrd=cbr", "-f", "flv", str(into)],
        check=True, timeout=120)


def beside(sheet, found):
    """Rows of what sapflow does by itself, and ringside with a tier between."""
    what = f"{PEER['viewers']:,} viewers, {PEER['kb']} kB / {PEER['part']}"
    if not {"edge", "sapflow"} <= found.keys():
        sheet.row(f"beside sapflow, {what}", "-", None, None, "edge_sapflow", False)
        return
    (ours, our_valid), (theirs, their_valid) = (middle(found[name]) for name in ("edge", "sapflow"))
    valid = our_valid and their_valid
    for of, title, goal, unit in (
        ("cpu_us", "server CPU per viewer and part", PEER["cpu"], "us"), ("p50", "lateness p50", 1, "ms"),
        ("p99", "lateness p99", 1, "ms"), ("kb_per_viewer", "memory per viewer", 1, "kB"),
    ):
        ratio = ours[of] / theirs[of]
        sheet.row(
            f"{title}, {what}", f"<= {goal} x sapflow",
            f"ringside's edge {ours[of]:.1f}, sapflow {theirs[of]:.1f} {unit}: {ratio:.2f} x", ratio <= goal,
            f"edge_sapflow_{of}", valid)


def middle(runs):
    """Medians of the valid ones, and whether there are any."""
    good, valid = usable(runs)
    names = [name for name in ("p50", "p99", "cpu_us", "kb_per_viewer", "upstream", "delivered") if name in good[0]]
    return {name: median([run[name] for run in good]) for name in names}, valid


def rows(sheet, crowd, tls, found):
    what = f"{crowd['viewers']:,} viewers, {crowd['kb']} kB / {crowd['part']}" + (", HTTPS" if tls else "")
    key = f"edge_{crowd['viewers']}" + ("_tls" if tls else "")
    if not {"edge", "nginx"} <= found.keys():
        sheet.row(what, "-", None, None, key, False)
        return
    figures = {name: middle(runs) for name, runs in found.items()}
    valid = figures["edge"][1] and figures["nginx"][1]
    figures = {name: middles for name, (middles, _) in figures.items()}
    ours, theirs = figures["edge"], figures["nginx"]

    def against(of, unit, digits=0):
        names = {"edge": "ringside", "nginx": "nginx", "varnish": "Varnish", "plain": "origin alone"}
        all_told = [f"{names[name]} {told[of]:.{digits}f}" for name, told in figures.items()]
        return f"{', '.join(all_told)} {unit}"

    for of, title, goal in (("p50", "lateness p50", crowd["p50"]), ("p99", "lateness p99", crowd["p99"])):
        met = None if goal is None else ours[of] <= goal * theirs[of]
        sheet.row(
            f"{title}, {what}", f"<= {goal} x nginx" if goal else "-",
            f"{against(of, 'ms')}: {ours[of] / theirs[of]:.2f} x nginx", met, f"{key}_{of}", valid, figures)
    sheet.row(
        f"server CPU per viewer and part, {what}", f"<= {crowd['cpu']} x nginx",
        f"{against('cpu_us', 'us')}: {ours['cpu_us'] / theirs['cpu_us']:.2f} x nginx",
        ours["cpu_us"] <= crowd["cpu"] * theirs["cpu_us"], f"{key}_cpu", valid)
    bound = MEMORY_KB["tls" if tls else "plain"]
    sheet.row(
        f"memory per viewer, {what}", f"<= {bound} kB", against("kb_per_viewer", "kB", 1),
        ours["kb_per_viewer"] <= bound, f"{key}_memory", valid)
    sheet.row(
        f"requests upstream per new part (playlist and part), {what}", "2.0", against("upstream", "", 2),
        ours["upstream"] <= 2.05, f"{key}_upstream", valid)
