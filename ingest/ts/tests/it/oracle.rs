//! What ffprobe reads from a stream, and the machine's events in the same form.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use ts::{Codec, Counters, Demux, Event, Limits, TICKS_WRAP, Track, VideoCodec};

/// One unit as both see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) pts: u64,
    pub(crate) dts: u64,
    pub(crate) len: usize,
    pub(crate) key: bool,
}

/// Runs a command line that must succeed; arguments are split at spaces.
pub(crate) fn command(dir: &Path, line: &str) -> Vec<u8> {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap());
    let output = command
        .args(words)
        .current_dir(dir)
        .output()
        .expect("ffmpeg and GStreamer are installed");
    assert!(
        output.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// The packets of every PID, by ffprobe.
pub(crate) fn ffprobe(file: &Path) -> BTreeMap<u16, Vec<Packet>> {
    let dir = file.parent().unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    let json = command(
        dir,
        &format!("ffprobe -v error -show_packets -show_streams -of json {name}"),
    );
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let mut pids = Vec::new();
    for stream in json["streams"].as_array().unwrap() {
        let id = stream["id"].as_str().unwrap();
        pids.push(u16::from_str_radix(id.trim_start_matches("0x"), 16).unwrap());
    }
    let mut packets: BTreeMap<u16, Vec<Packet>> = BTreeMap::new();
    for packet in json["packets"].as_array().unwrap() {
        let time = |name: &str| u64::try_from(packet[name].as_i64().unwrap().rem_euclid(1 << 33)).unwrap();
        let pid = pids[usize::try_from(packet["stream_index"].as_u64().unwrap()).unwrap()];
        packets.entry(pid).or_default().push(Packet {
            pts: time("pts"),
            dts: time("dts"),
            len: packet["size"].as_str().unwrap().parse().unwrap(),
            key: packet["flags"].as_str().unwrap().starts_with('K'),
        });
    }
    packets
}

/// All events of a stream given in chunks of seven packets, as SRT brings them.
pub(crate) fn demux(bytes: &[u8]) -> (Vec<Event>, Counters) {
    let (mut demux, mut events) = (Demux::new(Limits::default()), Vec::new());
    for chunk in bytes.chunks(1316) {
        demux.handle(chunk);
        events.extend(std::iter::from_fn(|| demux.poll()));
    }
    demux.finish();
    events.extend(std::iter::from_fn(|| demux.poll()));
    (events, demux.counters())
}

/// The first list of tracks.
pub(crate) fn tracks(events: &[Event]) -> &[Track] {
    let lists = events.iter().filter_map(|event| {
        if let Event::Tracks(tracks) = event {
            Some(tracks)
        } else {
            None
        }
    });
    lists.last().unwrap()
}

/// The packets of every PID, by the machine.
pub(crate) fn ours(events: &[Event]) -> BTreeMap<u16, Vec<Packet>> {
    let tracks = tracks(events);
    let pid = |wanted, index| {
        tracks
            .iter()
            .find(|track| track.codec == wanted && track.track == index)
            .expect("tracks come first")
            .pid
    };
    let mut packets: BTreeMap<u16, Vec<Packet>> = BTreeMap::new();
    for event in events {
        let (pid, packet) = match event {
            Event::Video {
                track,
                codec,
                pts,
                dts,
                key,
                data,
            } => (
                pid(Codec::Video(*codec), *track),
                Packet {
                    pts: *pts,
                    dts: *dts,
                    len: data.len(),
                    key: *key,
                },
            ),
            Event::Audio {
                track,
                codec,
                pts,
                data,
            } => (
                pid(Codec::Audio(*codec), *track),
                Packet {
                    pts: *pts,
                    dts: *pts,
                    len: data.len(),
                    key: true,
                },
            ),
            Event::Tracks(_)
            | Event::VideoConfig { .. }
            | Event::AudioConfig { .. }
            | Event::Cue { .. }
            | Event::Discontinuity { .. } => continue,
        };
        packets.entry(pid).or_default().push(packet);
    }
    packets
}

/// Compares all: `header` is what ffprobe leaves on an audio frame, `slack` how far its rounding may be from exact.
pub(crate) fn compare(file: &Path, header: usize, slack: u64) -> (Vec<Event>, Counters) {
    let (events, counters) = demux(&std::fs::read(file).unwrap());
    let (theirs, ours) = (ffprobe(file), ours(&events));
    assert_eq!(theirs.keys().collect::<Vec<_>>(), ours.keys().collect::<Vec<_>>());
    for (pid, theirs) in theirs {
        let ours = &ours[&pid];
        let codec = tracks(&events)
            .iter()
            .find(|track| track.pid == pid)
            .unwrap()
            .codec;
        let (is_audio, is_hevc) = (
            matches!(codec, Codec::Audio(_)),
            codec == Codec::Video(VideoCodec::Hevc),
        );
        let bytes = |packets: &[Packet]| packets.iter().map(|packet| packet.len).sum::<usize>();
        assert!(is_audio || bytes(ours) == bytes(&theirs), "pid {pid}");
        for (index, (their, our)) in theirs.iter().zip(ours).enumerate() {
            let mut our = *our;
            // ffmpeg's HEVC parser counts the zero before a start code to the unit before, not to its own.
            if is_hevc && our.len.abs_diff(their.len) <= 1 {
                our.len = their.len;
            }
            if is_audio {
                our.len += header;
                if (our.pts + slack + TICKS_WRAP - their.pts) % TICKS_WRAP <= 2 * slack {
                    (our.pts, our.dts) = (their.pts, their.dts);
                }
            }
            assert_eq!(our, *their, "pid {pid}, packet {index}");
        }
        assert_eq!(ours.len(), theirs.len(), "pid {pid}");
    }
    (events, counters)
}
