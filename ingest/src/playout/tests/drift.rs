//! An encoder whose clock is not ours, for an hour.

use super::*;

const HOUR_TICKS: i64 = 3_600 * 30;

/// What an hour did: per tick after the first three seconds, milliseconds from the shown frame's arrival to its
/// tick, and from the playout clock, which picks the frame, to the sound handed on with it.
struct Hour {
    late_ms: (i64, i64),
    apart_ms: (f64, f64),
    missing: usize,
}

fn hour(ppm: i64) -> Hour {
    let (mut anchor, mut ring, mut reader) = (Anchor::default(), Ring::default(), Reader::default());
    let (mut waiting, mut shown) = (VecDeque::new(), None);
    let (mut frame, mut block) = (0_i64, 0_i64);
    let mut told = Hour {
        late_ms: (i64::MAX, i64::MIN),
        apart_ms: (f64::MAX, f64::MIN),
        missing: 0,
    };
    // When the encoder's own time is up on our clock.
    let ours = |pts: i64| pts + pts / 1_000_000 * ppm;
    for n in 0..HOUR_TICKS {
        let due = n * 1_000 * MS / 30;
        loop {
            let pts = frame * 1_000 * MS / 30;
            let at = ours(pts) + frame * 7 % 6 * MS;
            if at > due {
                break;
            }
            anchor.observe(at, pts);
            waiting.push_back((at, pts));
            frame += 1;
        }
        loop {
            let pts = block * 1_024 * 1_000_000 / 48;
            let at = ours(pts) + block * 7 % 4 * MS;
            if at > due {
                break;
            }
            anchor.observe_sound(at, pts);
            ring.write(block * 1_024, &[0.1; 2_048]);
            block += 1;
        }
        let Some(playout) = anchor.playout(due) else {
            continue;
        };
        let taken = advance(playout, waiting.iter().map(|(_, pts)| *pts));
        shown = waiting.drain(..taken).next_back().or(shown);
        let (target, mut out) = ((playout - 16_666_667) as f64 * 48e3 / 1e9, Vec::new());
        let missing = reader.read(&ring, target, 1_600, &mut out);
        let Some((at, _)) = shown.filter(|_| n > 90) else {
            continue;
        };
        told.missing += missing;
        let late = (due - at) / MS;
        told.late_ms = (told.late_ms.0.min(late), told.late_ms.1.max(late));
        let ahead = reader.ahead_ms(target + 1_600.0);
        told.apart_ms = (told.apart_ms.0.min(ahead), told.apart_ms.1.max(ahead));
    }
    told
}

#[test]
fn an_hour_at_500_ppm_stays_within_a_frame_and_in_step() {
    assert_eq!(hour(0).missing, 0, "an encoder on our own clock");
    for ppm in [-500, 500] {
        let hour = hour(ppm);
        assert_eq!(hour.missing, 0, "{ppm} ppm: sound starved");
        // A frame of 33.3 ms, and the 5 ms by which frames arrive sooner or later.
        let (least, most) = hour.late_ms;
        assert!(most - least <= 40, "{ppm} ppm: {:?}", hour.late_ms);
        let worst = hour.apart_ms.0.abs().max(hour.apart_ms.1.abs());
        assert!(
            worst <= 20.0,
            "{ppm} ppm: sound {worst} ms from the picture's clock"
        );
    }
}
