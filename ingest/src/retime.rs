//! One clock for an encoder's sound and picture: wraps, resets and jumps taken out with a single offset.

use std::collections::BTreeMap;

use crate::media::{Clock, Stamp};

const MS: i64 = 1_000_000;
/// A step further than this from a track's last unit is a jump, nanoseconds.
const JUMP: i64 = 1_000 * MS;
/// A hole is real when the clock on the wall saw it too, to within this, nanoseconds.
const HOLE_SLACK: i64 = 500 * MS;
/// Counted samples and time stamps may differ by this before the count begins anew, nanoseconds.
const RESYNC: i64 = 20 * MS;
/// First unit's time. Reordering and late tracks reach back from it without going below zero.
const START: i64 = 10_000 * MS;
/// Samples in an AAC access unit at the core rate.
pub(crate) const AAC_SAMPLES: u32 = 1_024;

/// What a unit belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Track {
    Video,
    Audio(u8),
}

/// How long a unit of sound is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Length {
    pub(crate) samples: u32,
    /// Hz.
    pub(crate) rate: u32,
}

/// Maps the time stamps of one publish to a contribution time that starts near zero and never jumps; all its times
/// are nanoseconds.
#[derive(Debug)]
pub(crate) struct Retime {
    clock: Clock,
    /// Added to a time stamp; one for all tracks, so that they stay together.
    offset: i64,
    /// The offset before the last jump, for units that were sent before it and come after it.
    earlier_offset: Option<i64>,
    last: BTreeMap<Track, Last>,
    newest: Option<Newest>,
    counts: BTreeMap<u8, Count>,
    jumps: u64,
}

/// The last unit of a track.
#[derive(Debug, Clone, Copy)]
struct Last {
    /// Ticks with their wraps undone.
    unwrapped: i64,
    out: i64,
}

/// The last unit of any track.
#[derive(Debug, Clone, Copy)]
struct Newest {
    last: Last,
    arrival: i64,
}

/// Samples since a point where sound was in step with its time stamps.
#[derive(Debug, Clone, Copy)]
struct Count {
    base: i64,
    samples: i64,
    rate: u32,
}

impl Retime {
    /// For the stamps of one protocol.
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            offset: 0,
            earlier_offset: None,
            last: BTreeMap::new(),
            newest: None,
            counts: BTreeMap::new(),
            jumps: 0,
        }
    }

    /// Decoding time of a video unit; `arrival` is any monotonic clock.
    pub(crate) fn video(&mut self, stamp: Stamp, arrival: i64) -> i64 {
        self.map(Track::Video, stamp, arrival)
    }

    /// Presentation time of a unit of sound; smooth, as samples are counted from one to the next.
    pub(crate) fn audio(&mut self, track: u8, stamp: Stamp, arrival: i64, length: Length) -> i64 {
        let stamped = self.map(Track::Audio(track), stamp, arrival);
        let counted = self
            .counts
            .get(&track)
            .filter(|count| count.rate == length.rate)
            .filter(|count| (count.ns() - stamped).abs() <= RESYNC);
        let mut count = counted.copied().unwrap_or(Count {
            base: stamped,
            samples: 0,
            rate: length.rate,
        });
        let pts = count.ns();
        count.samples += i64::from(length.samples);
        self.counts.insert(track, count);
        pts
    }

    /// Presentation time of something that is no media; what has no time of its own happens where the newest unit
    /// is. None before any unit. Changes nothing.
    pub(crate) fn cue(&self, stamp: Option<Stamp>) -> Option<i64> {
        let newest = self.newest?.last;
        let Some(stamp) = stamp else {
            return Some(newest.out);
        };
        let unwrapped = unwrap(self.clock, newest.unwrapped, stamp.ticks);
        let stamped = self.ns(unwrapped) + i64::from(stamp.nanos);
        Some(stamped.saturating_add(self.offset))
    }

    /// How often time stamps jumped and were put right since the last call.
    pub(crate) fn take_jumps(&mut self) -> u64 {
        std::mem::take(&mut self.jumps)
    }

    fn map(&mut self, track: Track, stamp: Stamp, arrival: i64) -> i64 {
        let own = self.last.get(&track).copied();
        let unwrapped = match own.or(self.newest.map(|newest| newest.last)) {
            Some(last) => unwrap(self.clock, last.unwrapped, stamp.ticks),
            None => i64::try_from(stamp.ticks).unwrap_or(0),
        };
        let out = self.place(own, self.ns(unwrapped) + i64::from(stamp.nanos), arrival);
        let last = Last { unwrapped, out };
        self.last.insert(track, last);
        self.newest = Some(Newest { last, arrival });
        out
    }

    fn ns(&self, ticks: i64) -> i64 {
        let ns = i128::from(ticks) * 1_000_000_000 / i128::from(self.clock.per_second.max(1));
        i64::try_from(ns).unwrap_or(0)
    }

    fn place(&mut self, own: Option<Last>, stamped: i64, arrival: i64) -> i64 {
        let Some(newest) = self.newest else {
            self.offset = START - stamped;
            return START;
        };
        let last_out = own.unwrap_or(newest.last).out;
        let fits = |offset: i64| (stamped.saturating_add(offset) - last_out).abs() <= JUMP;
        let out = stamped.saturating_add(self.offset);
        let elapsed = (arrival - newest.arrival).max(MS);
        let expected = newest.last.out + elapsed;
        if fits(self.offset) || (out - expected).abs() <= HOLE_SLACK {
            return out;
        }
        if let Some(earlier) = self.earlier_offset.filter(|earlier| fits(*earlier)) {
            return stamped + earlier;
        }
        self.jumps += 1;
        self.earlier_offset = Some(self.offset);
        self.offset = expected - stamped;
        expected
    }
}

impl Count {
    fn ns(&self) -> i64 {
        self.base + self.samples * 1_000_000_000 / i64::from(self.rate.max(1))
    }
}

/// Ticks with their wraps undone, nearest to `last`.
pub(crate) fn unwrap(clock: Clock, last: i64, ticks: u64) -> i64 {
    let unused = 64 - clock.bits;
    let step = ticks.wrapping_sub(last.cast_unsigned()) << unused;
    last + (step.cast_signed() >> unused)
}

/// Core sample rate of an AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1); a unit is 1024 samples of it.
pub(crate) fn aac_rate(config: &[u8]) -> Option<u32> {
    const RATES: [u32; 13] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
    ];
    if config.len() < 2 {
        return None;
    }
    let bits = config
        .iter()
        .take(8)
        .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    let bits = bits << (64 - 8 * config.len().min(8));
    let take = |from: u32, count: u32| (bits << from) >> (64 - count);
    // Object type 31 has six more bits.
    let after_type = if take(0, 5) == 31 { 11 } else { 5 };
    match take(after_type, 4) {
        15 => u32::try_from(take(after_type + 4, 24))
            .ok()
            .filter(|rate| (7_000..=96_000).contains(rate)),
        index => RATES.get(usize::try_from(index).ok()?).copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn retime() -> Retime {
        Retime::new(Clock::FLV)
    }

    fn stamp(ms: u32) -> Stamp {
        Stamp {
            ticks: ms.into(),
            nanos: 0,
        }
    }

    /// With milliseconds for all times.
    impl Retime {
        fn video_ms(&mut self, ms: u32, arrival_ms: i64) -> i64 {
            self.video(stamp(ms), arrival_ms * MS)
        }

        fn audio_ms(&mut self, ms: u32, arrival_ms: i64, rate: u32) -> i64 {
            let samples = AAC_SAMPLES;
            self.audio(0, stamp(ms), arrival_ms * MS, Length { samples, rate })
        }
    }

    #[test]
    fn both_tracks_move_together_through_a_reset() {
        let mut retime = retime();
        assert_eq!(retime.video_ms(5_000, 0), 10_000 * MS);
        assert_eq!(retime.audio_ms(5_010, 5, 48_000), 10_010 * MS);
        assert_eq!(retime.video_ms(5_033, 33), 10_033 * MS);
        // The encoder begins anew at zero, 40 ms later.
        assert_eq!(retime.video_ms(0, 73), 10_073 * MS);
        let audio = retime.audio_ms(10, 75, 48_000);
        assert_eq!(audio, 10_083 * MS, "same offset as the picture");
        // A unit that was sent before the reset finds its old place.
        assert_eq!(retime.video_ms(5_066, 80), 10_066 * MS);
        assert_eq!(retime.video_ms(33, 106), 10_106 * MS);
    }

    #[test]
    fn a_hole_that_really_passed_stays_a_hole() {
        let mut retime = retime();
        retime.video_ms(1_000, 0);
        assert_eq!(retime.video_ms(6_000, 5_020), 15_000 * MS);
        // An hour that took no time is a jump.
        assert_eq!(retime.video_ms(3_606_000, 5_060), 15_040 * MS);
        // Silence on the line followed by a burst with its own times is neither.
        assert_eq!(retime.video_ms(3_606_033, 15_060), 15_073 * MS);
        assert_eq!(retime.video_ms(3_606_066, 15_061), 15_106 * MS);
    }

    #[test]
    fn rates_are_read_from_audio_configs() {
        for (config, rate) in [
            (&[0x11, 0x90][..], Some(48_000)),
            (&[0x12, 0x10], Some(44_100)),
            (&[0x11, 0x90, 0x56, 0xe5, 0x00], Some(48_000)),
            (&[0x13, 0x90], Some(22_050)),
            (&[0x17, 0x80, 0x56, 0x22, 0x00], Some(44_100)),
            (&[0x17, 0xff], None),
            (&[0x11], None),
        ] {
            assert_eq!(aac_rate(config), rate, "{config:x?}");
        }
    }

    #[test]
    fn mpeg_stamps_wrap_at_33_bits_and_nanoseconds_are_kept() {
        let mut retime = Retime::new(Clock::MPEG);
        let end = 1_u64 << 33;
        for n in 0..300_u64 {
            let ticks = (end - 90_000 + n * 3_000) % end;
            let arrival = i64::try_from(n).unwrap() * 33 * MS;
            let out = retime.video(Stamp { ticks, nanos: 7 }, arrival);
            let exact = START + i64::try_from(n * 1_000_000_000 / 30).unwrap();
            assert!((out - exact).abs() <= 1, "{n}: {out} is not {exact}");
        }
        assert_eq!(retime.take_jumps(), 0);
    }

    proptest! {
        #[test]
        fn sound_is_smooth_however_the_milliseconds_are_rounded(
            start in any::<u32>(),
            rate in prop_oneof![Just(44_100_u32), Just(48_000), Just(22_050)],
            units in 2_u64..400,
        ) {
            let mut retime = retime();
            let mut last = None;
            for n in 0..units {
                let ms = u32::try_from(n * 1_024 * 1_000 / u64::from(rate)).unwrap();
                let out = retime.audio_ms(start.wrapping_add(ms), i64::from(ms), rate);
                if let Some(last) = last {
                    let step: i64 = out - last;
                    prop_assert!((step - 1_024_000_000_000 / i64::from(rate)).abs() <= 1, "{step}");
                }
                last = Some(out);
            }
        }

        #[test]
        fn whatever_comes_time_neither_jumps_nor_tears_the_tracks_apart(
            stamps in prop::collection::vec((any::<bool>(), prop_oneof![
                4 => (0_u32..60).prop_map(Ok), 1 => any::<u32>().prop_map(Err)]), 1..200),
        ) {
            let mut retime = retime();
            let (mut stamp, mut arrival) = (0_u32, 0_i64);
            let (mut video, mut audio) = (None::<i64>, None::<i64>);
            for (is_video, step) in stamps {
                stamp = match step { Ok(ms) => stamp.wrapping_add(ms), Err(anything) => anything };
                arrival += 20;
                let (out, last) = if is_video {
                    (retime.video_ms(stamp, arrival), &mut video)
                } else {
                    (retime.audio_ms(stamp, arrival, 48_000), &mut audio)
                };
                if let Some(last) = last {
                    // The tracks may be up to a jump apart, and come in any order.
                    prop_assert!((out - *last).abs() <= 200 * 1_100 * MS);
                }
                prop_assert!(out >= 0);
                prop_assert!(out <= (10_000 + arrival + 200 * 1_000) * MS);
                *last = Some(out);
            }
        }

        #[test]
        fn a_wrap_is_not_a_jump(before in 0_u32..5_000) {
            let mut retime = retime();
            let start = u32::MAX - before;
            for n in 0..10_000_u32 / 40 {
                let out = retime.video_ms(start.wrapping_add(n * 40), i64::from(n) * 40);
                prop_assert_eq!(out, (10_000 + i64::from(n) * 40) * MS);
            }
        }
    }
}
