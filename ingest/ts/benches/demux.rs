//! How fast a contribution is taken apart: 4 Mb/s of H.264 and AAC as ffmpeg sends it, in datagrams of seven packets.

use std::process::Command;

use divan::counter::BytesCount;
use ts::{Demux, Event, Limits};

fn main() {
    divan::main();
}

fn encode() -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args("-v error -f lavfi -i testsrc2=s=1280x720:r=30:d=10 -f lavfi -i sine=r=48000:d=10".split(' '))
        .args("-c:v libx264 -preset ultrafast -b:v 4M -minrate 4M -maxrate 4M -bufsize 4M -g 60".split(' '))
        .args("-x264-params nal-hrd=cbr -c:a aac -b:a 160k -f mpegts -".split(' '))
        .output()
        .expect("ffmpeg is installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

#[divan::bench]
fn h264_and_aac(bencher: divan::Bencher<'_, '_>) {
    let stream = encode();
    bencher.counter(BytesCount::new(stream.len())).bench(|| {
        let mut demux = Demux::new(Limits::default());
        let mut bytes = 0;
        for datagram in stream.chunks(1316) {
            demux.handle(datagram);
            while let Some(event) = demux.poll() {
                if let Event::Video { data, .. } | Event::Audio { data, .. } = event {
                    bytes += data.len();
                }
            }
        }
        assert!(bytes > stream.len() * 8 / 10);
        bytes
    });
}
