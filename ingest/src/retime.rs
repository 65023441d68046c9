//! One clock for an encoder's sound and picture: wraps, resets and jumps taken out with a single offset.

/// A step further than this from a track's last unit is a jump, milliseconds.
const JUMP_MS: i64 = 1_000;
/// A hole is real when the clock on the wall saw it too, to within this, milliseconds.
const HOLE_SLACK_MS: i64 = 500;
/// Counted samples and time stamps may differ by this before the count begins anew, nanoseconds.
const RESYNC_NS: i64 = 20_000_000;
/// First unit's time. Reordering and late tracks reach back from it without going below zero.
const START_MS: i64 = 10_000;
/// Samples in an AAC access unit at the core rate.
const AAC_SAMPLES: i64 = 1_024;

/// What a unit belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Track {
    Video,
    Audio,
}

/// Maps the time stamps of one publish to a contribution time that starts near zero and never jumps.
#[derive(Debug, Default)]
pub(crate) struct Retime {
    /// Added to a time stamp; one for both tracks, so that they stay together.
    offset_ms: i64,
    /// The offset before the last jump, for units that were sent before it and come after it.
    earlier_offset_ms: Option<i64>,
    video: Option<Last>,
    audio: Option<Last>,
    newest: Option<Newest>,
    count: Option<Count>,
}

/// The last unit of a track.
#[derive(Debug, Clone, Copy)]
struct Last {
    /// Time stamp with its wraps undone.
    unwrapped_ms: i64,
    out_ms: i64,
}

/// The last unit of either track.
#[derive(Debug, Clone, Copy)]
struct Newest {
    last: Last,
    arrival_ms: i64,
}

/// Samples since a point where sound was in step with its time stamps.
#[derive(Debug, Clone, Copy)]
struct Count {
    base_ns: i64,
    units: i64,
    rate: u32,
}

impl Retime {
    /// Decoding time of a video unit, nanoseconds of contribution time; `arrival_ms` is any monotonic clock.
    pub(crate) fn video(&mut self, timestamp_ms: u32, arrival_ms: i64) -> i64 {
        self.map(Track::Video, timestamp_ms, arrival_ms) * 1_000_000
    }

    /// Presentation time of an AAC unit, nanoseconds; smooth, as samples are counted from one to the next.
    pub(crate) fn audio(&mut self, timestamp_ms: u32, arrival_ms: i64, rate: u32) -> i64 {
        let stamped_ns = self.map(Track::Audio, timestamp_ms, arrival_ms) * 1_000_000;
        let counted = self.count.filter(|count| count.rate == rate).map(|mut count| {
            count.units += 1;
            count
        });
        let count = counted
            .filter(|count| (count.ns() - stamped_ns).abs() <= RESYNC_NS)
            .unwrap_or(Count {
                base_ns: stamped_ns,
                units: 0,
                rate,
            });
        self.count = Some(count);
        count.ns()
    }

    fn map(&mut self, track: Track, timestamp_ms: u32, arrival_ms: i64) -> i64 {
        let own = match track {
            Track::Video => self.video,
            Track::Audio => self.audio,
        };
        let unwrapped_ms = match own.or(self.newest.map(|newest| newest.last)) {
            Some(last) => unwrap(last.unwrapped_ms, timestamp_ms),
            None => i64::from(timestamp_ms),
        };
        let out_ms = self.place(own, unwrapped_ms, arrival_ms);
        let last = Last { unwrapped_ms, out_ms };
        match track {
            Track::Video => self.video = Some(last),
            Track::Audio => self.audio = Some(last),
        }
        self.newest = Some(Newest { last, arrival_ms });
        out_ms
    }

    fn place(&mut self, own: Option<Last>, unwrapped_ms: i64, arrival_ms: i64) -> i64 {
        let Some(newest) = self.newest else {
            self.offset_ms = START_MS - unwrapped_ms;
            return START_MS;
        };
        let last_out_ms = own.unwrap_or(newest.last).out_ms;
        let fits = |offset_ms: i64| (unwrapped_ms + offset_ms - last_out_ms).abs() <= JUMP_MS;
        let out_ms = unwrapped_ms + self.offset_ms;
        let elapsed_ms = (arrival_ms - newest.arrival_ms).max(1);
        let expected_ms = newest.last.out_ms + elapsed_ms;
        if fits(self.offset_ms) || (out_ms - expected_ms).abs() <= HOLE_SLACK_MS {
            return out_ms;
        }
        if let Some(earlier_ms) = self.earlier_offset_ms.filter(|earlier_ms| fits(*earlier_ms)) {
            return unwrapped_ms + earlier_ms;
        }
        self.earlier_offset_ms = Some(self.offset_ms);
        self.offset_ms = expected_ms - unwrapped_ms;
        expected_ms
    }
}

impl Count {
    fn ns(&self) -> i64 {
        self.base_ns + self.units * AAC_SAMPLES * 1_000_000_000 / i64::from(self.rate.max(1))
    }
}

/// flv §E.4.1: time stamps are 32 bits of milliseconds and wrap after 49.7 days.
fn unwrap(last_ms: i64, timestamp_ms: u32) -> i64 {
    let last = u32::try_from(last_ms.rem_euclid(1 << 32)).unwrap_or(0);
    last_ms + i64::from(timestamp_ms.wrapping_sub(last).cast_signed())
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

    const MS: i64 = 1_000_000;

    #[test]
    fn both_tracks_move_together_through_a_reset() {
        let mut retime = Retime::default();
        assert_eq!(retime.video(5_000, 0), 10_000 * MS);
        assert_eq!(retime.audio(5_010, 5, 48_000), 10_010 * MS);
        assert_eq!(retime.video(5_033, 33), 10_033 * MS);
        // The encoder begins anew at zero, 40 ms later.
        assert_eq!(retime.video(0, 73), 10_073 * MS);
        let audio = retime.audio(10, 75, 48_000);
        assert_eq!(audio, 10_083 * MS, "same offset as the picture");
        // A unit that was sent before the reset finds its old place.
        assert_eq!(retime.video(5_066, 80), 10_066 * MS);
        assert_eq!(retime.video(33, 106), 10_106 * MS);
    }

    #[test]
    fn a_hole_that_really_passed_stays_a_hole() {
        let mut retime = Retime::default();
        retime.video(1_000, 0);
        assert_eq!(retime.video(6_000, 5_020), 15_000 * MS);
        // An hour that took no time is a jump.
        assert_eq!(retime.video(3_606_000, 5_060), 15_040 * MS);
        // Silence on the line followed by a burst with its own times is neither.
        assert_eq!(retime.video(3_606_033, 15_060), 15_073 * MS);
        assert_eq!(retime.video(3_606_066, 15_061), 15_106 * MS);
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

    proptest! {
        #[test]
        fn sound_is_smooth_however_the_milliseconds_are_rounded(
            start in any::<u32>(),
            rate in prop_oneof![Just(44_100_u32), Just(48_000), Just(22_050)],
            units in 2_u64..400,
        ) {
            let mut retime = Retime::default();
            let mut last = None;
            for n in 0..units {
                let ms = u32::try_from(n * 1_024 * 1_000 / u64::from(rate)).unwrap();
                let out = retime.audio(start.wrapping_add(ms), i64::from(ms), rate);
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
            let mut retime = Retime::default();
            let (mut stamp, mut arrival) = (0_u32, 0_i64);
            let (mut video, mut audio) = (None::<i64>, None::<i64>);
            for (is_video, step) in stamps {
                stamp = match step { Ok(ms) => stamp.wrapping_add(ms), Err(anything) => anything };
                arrival += 20;
                let (out, last) = if is_video {
                    (retime.video(stamp, arrival), &mut video)
                } else {
                    (retime.audio(stamp, arrival, 48_000), &mut audio)
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
            let mut retime = Retime::default();
            let start = u32::MAX - before;
            for n in 0..10_000_u32 / 40 {
                let out = retime.video(start.wrapping_add(n * 40), i64::from(n) * 40);
                prop_assert_eq!(out, (10_000 + i64::from(n) * 40) * MS);
            }
        }
    }
}
