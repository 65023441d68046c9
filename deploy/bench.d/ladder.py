"""The ladder beside ffmpeg: CPU seconds per media second of the same rungs from the same input, in turns."""

import re
import time

import clip
import machine
import processes
from http2 import Client
from processes import FFMPEG, Group, Ringside
from sheet import median, usable

PRESETS = {"veryfast": 1.10, "superfast": 1.10, "ultrafast": 1.30}
RUNGS = (("720p", 1280, 720, 3000), ("480p", 854, 480, 1200), ("360p", 640, 360, 600))
WARM_S = 3
# As `ringside` has them: x264's buffer, the GOP of profile `low`, profiles and threads by size.
VBV_MS = 600
GOP_S = 1
# Wall seconds around a window: start, first picture, leave.
AROUND_S = 9
# Slower than this, a ladder is not real time, and its CPU figure says nothing.
REALTIME_MIN = 0.97
# Of its threads, by what they do. Names of GStreamer's threads are those of the elements that run them.
GROUPS = {
    "switcher": r"switcher",
    "decode": r"picture:.*|sound:.*",
    "scale": r"scale\d.*",
    "encode": r"encode\d.*|rung\d.*|video:src",
    "AAC": r"audio\d.*",
    "watch": r"watch|thumbnail.*",
    "net": r"tokio.*|ringside|srt-reader|SRT:.*",
}


def pairs(binary, picture, kept, count, window, deadline):
    """Runs by preset; `kept` takes what the first pair made, for those who compare pictures."""
    found = {preset: [] for preset in PRESETS}
    for turn in range(count):
        for preset in PRESETS:
            if not deadline.allows(2 * (window + AROUND_S + 4), f"pair {turn + 1} at {preset}"):
                return found
            keep = kept / preset if turn == 0 else None
            try:
                machine.say(f"ladder, {preset}, pair {turn + 1} of {count}: ringside")
                one = ours(binary, picture, preset, window, keep)
                machine.say(f"ladder, {preset}, pair {turn + 1} of {count}: ffmpeg")
                other = theirs(picture, preset, window, keep)
            except (RuntimeError, OSError) as error:
                machine.say(f"that pair failed: {error}")
                continue
            found[preset].append({"ours": one, "ffmpeg": other, "valid": one["valid"] and other["valid"]})
    return found


def ours(binary, picture, preset, window, keep):
    """One run of `ringside ingest` with an RTMP encoder on air and a packager that takes everything."""
    rungs = ",".join(processes.rung(*one, preset) for one in RUNGS)
    with Group() as group:
        before = machine.settle()
        ringside = Ringside(group, binary, f"ladder.rungs=[{rungs}]")
        ringside.publish(picture)
        time.sleep(WARM_S)
        threads, frames = machine.threads(ringside.pid), ringside.frames(RUNGS[0][0])
        begin, used = time.monotonic(), machine.cpu(ringside.pid)
        time.sleep(window)
        used, wall = machine.cpu(ringside.pid) - used, time.monotonic() - begin
        names = machine.used_by_name(threads, machine.threads(ringside.pid))
        media = (ringside.frames(RUNGS[0][0]) - frames) / clip.RATE
        memory = machine.memory(ringside.pid)
        if keep is not None:
            keep.mkdir(parents=True)
            fetch(ringside.origin, keep, int(window // 2))
    return judged(before, used, media, wall) | {"threads": names, "groups": grouped(names, media), "memory_mb": memory}


def theirs(picture, preset, window, keep):
    """One run of ffmpeg: the same file at its own pace, one decoder, rungs scaled from the next larger one."""
    with Group() as group:
        before = machine.settle()
        folder = keep if keep is not None else group.folder
        progress = group.folder / "progress"
        child = group.start("ffmpeg", *line(picture, preset, progress, folder / "ffmpeg.mp4"))
        processes.wait_for(lambda: last_frame(progress), "ffmpeg's first frame", child)
        time.sleep(WARM_S)
        first = next_frame(progress, child)
        begin, used = time.monotonic(), machine.cpu(child.pid)
        time.sleep(window)
        last = next_frame(progress, child)
        used, wall = machine.cpu(child.pid) - used, time.monotonic() - begin
        media = (last - first) / clip.RATE
    return judged(before, used, media, wall)


def judged(before, used, media, wall):
    live = media >= REALTIME_MIN * wall
    if not live:
        machine.say(f"only {media:.1f} s of media in {wall:.1f} s: slower than real time, INVALID")
    return before | {"valid": before["valid"] and live, "cpu_s": used, "media_s": media, "wall_s": wall,
                     "cpu_per_media_s": used / max(media, 1e-9)}


def line(picture, preset, progress, out):
    """The ffmpeg command line: encoder options as in ingest/src/pipeline/encoder.rs, the AAC coder of ladder.rs."""
    second, third = (f"scale={width}:{height}" for _, width, height, _ in RUNGS[1:])
    graph = f"[0:v]split=2[v0][t1];[t1]{second},split=2[v1][t2];[t2]{third}[v2]"
    each = []
    for at, (_, _, height, kbps) in enumerate(RUNGS):
        large = height >= 720
        each += [
            "-map", f"[v{at}]", f"-b:v:{at}", f"{kbps}k", f"-maxrate:v:{at}", f"{kbps}k",
            f"-bufsize:v:{at}", f"{kbps * VBV_MS // 1000}k", f"-profile:v:{at}", "high" if large else "main",
            f"-threads:v:{at}", "2" if large else "1"]
    return [
        *FFMPEG, "-progress", str(progress), "-stats_period", "0.1",
        "-threads", "1", "-re", "-i", str(picture), "-filter_complex_threads", "1", "-filter_complex", graph,
        "-c:v", "libx264", "-preset", preset, "-tune", "zerolatency",
        "-x264-params", "scenecut=0:open-gop=0:force-cfr=0:keyint=infinite:sliced-threads=0",
        "-force_key_frames", f"expr:gte(t,n_forced*{GOP_S})", *each,
        "-map", "0:a", "-c:a", "aac", "-aac_coder", "fast", "-b:a", "128k",
        "-f", "mp4", "-movflags", "+frag_keyframe+empty_moov", str(out)]


def last_frame(progress):
    if not progress.exists():
        return 0
    with open(progress, "rb") as file:
        file.seek(max(0, progress.stat().st_size - 4096))
        found = re.findall(rb"^frame=(\d+)", file.read(), re.M)
    return int(found[-1]) if found else 0


def next_frame(progress, child):
    """Frames so far, at the moment they are told: that is every 0.1 s."""
    seen = last_frame(progress)
    return processes.wait_for(lambda: (now := last_frame(progress)) != seen and now, "ffmpeg's progress", child)


def fetch(origin, folder, segments):
    """The newest segments of each rung, as `RUNG.mp4`."""
    client = Client(origin)
    for name, *_ in RUNGS:
        base = f"/live/{processes.STREAM}/{name}/"
        playlist = client.get(base + "media.m3u8").decode()
        uris = re.findall(r"^seg-\d+\.m4s$", playlist, re.M)[-segments:]
        init = re.search(r'EXT-X-MAP:URI="([^"]+)"', playlist)[1]
        (folder / f"{name}.mp4").write_bytes(b"".join(client.get(base + uri) for uri in [init, *uris]))
    client.close()


def grouped(names, media):
    """CPU of each group, percent of a core."""
    rest, groups = dict(names), {}
    for group, pattern in GROUPS.items():
        mine = [name for name in rest if re.fullmatch(pattern, name)]
        groups[group] = 100 * sum(rest.pop(name) for name in mine) / max(media, 1e-9)
    return groups | {"other": 100 * sum(rest.values()) / max(media, 1e-9)}


def rows(sheet, found):
    for preset, goal in PRESETS.items():
        runs = found[preset]
        good, valid = usable(runs)
        ratio = median([run["ours"]["cpu_per_media_s"] / run["ffmpeg"]["cpu_per_media_s"] for run in good])
        one, other = (median([run[side]["cpu_per_media_s"] for run in good]) for side in ("ours", "ffmpeg"))
        sheet.row(
            f"CPU of ingest beside ffmpeg, 720p30 to 720p, 480p, 360p, {preset}", f"<= {goal:.2f} x",
            good and f"{ratio:.2f} x ({one:.3f} and {other:.3f} CPU s per media s; {len(good)} of {len(runs)} pairs)",
            good and ratio <= goal, key=f"ladder.{preset}", valid=valid,
            data={"ratio": ratio, "ours": one, "ffmpeg": other, "pairs": runs})


def shares(sheet, found, preset="superfast"):
    """What each part of the ingest takes."""
    good, valid = usable([run["ours"] for run in found[preset]])
    groups = {name: median([run["groups"][name] for run in good]) for name in [*GROUPS, "other"]} if good else {}
    others = ", ".join(f"{name} {groups[name]:.1f}" for name in groups if name != "switcher")
    sheet.row(
        f"CPU of the switcher, of that ({preset})", "-",
        good and f"{groups['switcher']:.2f} % of a core ({others} %)", None,
        key="ladder.shares", valid=valid, data=groups)


def memory(sheet, found, goal=200):
    good, valid = usable([run["ours"] for runs in found.values() for run in runs])
    rss, pss = (max((run["memory_mb"][kind] for run in good), default=None) for kind in ("rss", "pss"))
    sheet.row(
        "memory of ingest, three rungs from 720p, most of all runs", f"<= {goal} MB",
        good and f"{rss:.0f} MB resident, {pss:.0f} MB proportional", good and rss <= goal,
        key="memory", valid=valid, data={"rss_mb": rss, "pss_mb": pss})
