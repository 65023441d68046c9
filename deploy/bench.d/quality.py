"""Pictures beside ffmpeg's: PSNR of the same frames against the source, and the bits they took."""

import re
import subprocess

import clip
import ladder
import machine
from processes import FFMPEG

LOSS_MAX_DB = 0.2
# One and the same judge for both: the decoded source, brought to the rung's size as well as swscale can.
REFERENCE = "flags=lanczos+accurate_rnd+full_chroma_int"
FRAMES_MIN = 90


def compare(kept, picture):
    """PSNR and kilobits per second of each rung of one preset, ours and ffmpeg's."""
    found = {}
    for at, (name, width, height, _) in enumerate(ladder.RUNGS):
        sides = {"ours": (kept / f"{name}.mp4", 0), "ffmpeg": (kept / "ffmpeg.mp4", at)}
        runs = {side: clip.longest_run(clip.numbers(*where)) for side, where in sides.items()}
        first = max(number for _, number, _ in runs.values())
        last = min(number + length for _, number, length in runs.values())
        if last - first < FRAMES_MIN:
            machine.say(f"{name}: only {last - first} frames are in both: INVALID")
            return None
        found[name] = {"frames": [first, last]}
        for side, (path, stream) in sides.items():
            position, number, _ = runs[side]
            begin = position + first - number
            found[name][side] = {
                "psnr_db": psnr(path, stream, begin, picture, first, last - first, (width, height)),
                "kbps": rate(path, stream, begin, last - first),
            }
    return found


def psnr(path, stream, begin, picture, first, count, size):
    """Luma PSNR of `count` frames, from the mean square error of all of them."""
    cut = lambda at: f"trim=start_frame={at}:end_frame={at + count},settb=1/{clip.RATE},setpts=N"
    graph = (f"[0:v:{stream}]{cut(begin)}[a];[1:v]{cut(first)},scale={size[0]}:{size[1]}:{REFERENCE}[b];"
             "[a][b]psnr=shortest=1")
    ran = subprocess.run(
        [*FFMPEG, "-loglevel", "info", "-i", str(path), "-i", str(picture), "-filter_complex", graph,
         "-an", "-f", "null", "-"],
        check=True, capture_output=True, text=True)
    return float(re.search(r"PSNR y:([\d.]+)", ran.stderr)[1])


def rate(path, stream, begin, count):
    """Kilobits per second of coded frames; without B-frames they lie in order."""
    told = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", f"v:{stream}", "-show_entries", "packet=size", "-of", "csv=p=0",
         str(path)],
        check=True, capture_output=True, text=True).stdout
    sizes = [int(size) for size in re.findall(r"\d+", told)][begin:begin + count]
    return sum(sizes) * 8 / 1000 / (len(sizes) / clip.RATE)


def rows(sheet, kept, picture, found):
    for preset in ladder.PRESETS:
        machine.say(f"pictures, {preset}")
        runs = found[preset]
        # A starved machine does not change what is coded, only what is coded in time: `compare` wants frames in a row.
        both = None
        if runs:
            try:
                both = compare(kept / preset, picture)
            except (OSError, subprocess.SubprocessError) as error:
                machine.say(f"nothing to compare: {error}")
        sheet.row(
            f"luma PSNR beside ffmpeg's, 720p, 480p, 360p, {preset}", f">= -{LOSS_MAX_DB} dB at the same bit rate",
            both and words(both), both and good(both), key=f"psnr.{preset}", valid=both is not None, data=both)


def words(both):
    sides = both.values()
    gain = ", ".join(f"{one['ours']['psnr_db'] - one['ffmpeg']['psnr_db']:+.2f}" for one in sides)
    level = ", ".join(f"{one['ours']['psnr_db']:.2f}" for one in sides)
    rates = ", ".join(f"{one['ours']['kbps']:.0f} / {one['ffmpeg']['kbps']:.0f}" for one in sides)
    return f"{gain} dB (ours {level} dB; ours / ffmpeg {rates} kb/s)"


def good(both):
    # More bits would buy the difference: 2 % are worth less than 0.1 dB.
    return all(
        one["ours"]["psnr_db"] >= one["ffmpeg"]["psnr_db"] - LOSS_MAX_DB
        and one["ours"]["kbps"] <= one["ffmpeg"]["kbps"] * 1.02
        for one in both.values())
