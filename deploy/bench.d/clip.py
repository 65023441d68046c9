"""The picture everything is measured with: 720p30, 4 Mb/s, its frame numbers written into it."""

import subprocess

from processes import FFMPEG

WIDTH, HEIGHT, RATE = 1280, 720, 30
BITS = 12
BIT_WIDTH, BIT_HEIGHT = 80, 32


def make(path, seconds):
    """Zooming fractal, sharp moving shapes and noise, with pink noise for sound: neither easy nor hard to code."""
    bar = f"drawbox=x=0:y=0:w={BITS * BIT_WIDTH}:h={BIT_HEIGHT}:c=black:t=fill"
    bits = ",".join(
        f"drawbox=x={bit * BIT_WIDTH}:y=0:w={BIT_WIDTH}:h={BIT_HEIGHT}:c=white:t=fill"
        f":enable='gt(bitand(n\\,{1 << bit})\\,0)'"
        for bit in range(BITS))
    fractal = f"mandelbrot=s={WIDTH}x{HEIGHT}:r={RATE}:start_scale=2.5:end_scale=0.001:end_pts=1400"
    picture = f"[0:v][1:v]overlay=40:300,noise=alls=6:allf=t,{bar},{bits}[v]"
    subprocess.run([
        *FFMPEG,
        "-f", "lavfi", "-i", f"{fractal},format=yuv420p",
        "-f", "lavfi", "-i", f"testsrc2=s=640x360:r={RATE}",
        "-f", "lavfi", "-i", "anoisesrc=r=48000:c=pink:a=0.2:seed=1",
        "-filter_complex", picture, "-map", "[v]", "-map", "2:a", "-t", str(seconds),
        "-c:v", "libx264", "-preset", "superfast", "-pix_fmt", "yuv420p", "-g", "60", "-bf", "0",
        "-b:v", "4M", "-maxrate", "4M", "-bufsize", "4M",
        "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv",
        "-c:a", "aac", "-b:a", "128k", "-ar", "48000", "-ac", "2", "-f", "flv", str(path),
    ], check=True)


def numbers(path, stream=0):
    """The frame number in each picture of a file, in order."""
    crop = f"crop=iw*{BITS * BIT_WIDTH}/{WIDTH}:ih*{BIT_HEIGHT * 3 // 4}/{HEIGHT}:0:0"
    raw = subprocess.run([
        *FFMPEG, "-i", str(path), "-map", f"0:v:{stream}", "-vf", f"{crop},scale={BITS}:1:flags=area,format=gray",
        "-fps_mode", "passthrough", "-f", "rawvideo", "-",
    ], check=True, capture_output=True).stdout
    rows = (raw[at:at + BITS] for at in range(0, len(raw), BITS))
    return [sum(1 << bit for bit, level in enumerate(row) if level > 127) for row in rows]


def longest_run(found):
    """The longest stretch without a repeated or missing frame: (position, first number, length)."""
    best, begin = (0, 0, 0), 0
    for at in range(1, len(found) + 1):
        if at == len(found) or found[at] != found[at - 1] + 1:
            if at - begin > best[2]:
                best = (begin, found[begin], at - begin)
            begin = at
    return best
