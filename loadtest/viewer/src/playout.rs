//! Where the picture is, when it freezes, how fast it catches up.

use std::time::Duration;

use crate::listing::{Micros, length, micros};

/// Media ahead of the picture with which it begins or goes on: what browsers call future data.
pub const READY: Duration = Duration::from_millis(100);

/// The clock of what is on the screen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Playout {
    state: State,
    /// Media time on the screen at `since`.
    position: Micros,
    since: Duration,
    rate: f64,
    played: Duration,
    stalled: Duration,
    stalls: u32,
}

/// What the picture does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing has been shown.
    Waiting,
    /// It moves.
    Playing,
    /// It has frozen.
    Stalled,
}

impl Playout {
    /// Will begin at this media time.
    pub fn new(position: Micros, now: Duration) -> Self {
        Self {
            state: State::Waiting,
            position,
            since: now,
            rate: 1.0,
            played: Duration::ZERO,
            stalled: Duration::ZERO,
            stalls: 0,
        }
    }

    /// What the picture does.
    pub fn state(&self) -> State {
        self.state
    }

    /// Media time on the screen.
    pub fn position(&self, now: Duration) -> Micros {
        match self.state {
            State::Playing => self.position + micros(now.saturating_sub(self.since).mul_f64(self.rate)),
            State::Waiting | State::Stalled => self.position,
        }
    }

    /// Media up to `end` is there. Returns whether the picture began, froze or went on just now. A freeze counts from
    /// the moment at which the media ran out, not from the one at which somebody looked.
    pub fn advance(&mut self, now: Duration, end: Micros) -> Option<State> {
        let position = self.position(now);
        match self.state {
            State::Playing if position >= end => {
                let ran_out = self.runs_out(end).unwrap_or(now).min(now);
                self.played += ran_out.saturating_sub(self.since);
                self.stalls += 1;
                (self.state, self.position, self.since) = (State::Stalled, end.max(self.position), ran_out);
                // It may have come meanwhile.
                Some(State::Stalled)
            }
            State::Playing => {
                self.played += now.saturating_sub(self.since);
                (self.position, self.since) = (position, now);
                None
            }
            State::Waiting | State::Stalled if end >= position + micros(READY) => {
                if self.state == State::Stalled {
                    self.stalled += now.saturating_sub(self.since);
                }
                (self.state, self.since) = (State::Playing, now);
                Some(State::Playing)
            }
            State::Waiting | State::Stalled => None,
        }
    }

    /// The picture jumps to where there is media again.
    pub fn seek(&mut self, now: Duration, to: Micros) {
        match self.state {
            State::Playing => {
                self.played += now.saturating_sub(self.since);
                self.since = now;
            }
            // Waiting and freezing go on.
            State::Waiting | State::Stalled => {}
        }
        self.position = to;
    }

    /// When the picture freezes if no more comes.
    pub fn runs_out(&self, end: Micros) -> Option<Duration> {
        let left = length(end - self.position);
        (self.state == State::Playing).then(|| self.since + left.div_f64(self.rate))
    }

    /// Sets the rate of a picture that is `behind` its aim, with so much media ahead: hls.js 1.7.4,
    /// `latency-controller.ts`. A `rate_max` of 1 never catches up, which is its default.
    pub fn catch_up(&mut self, now: Duration, behind: f64, ahead: Duration, target: Duration, rate_max: f64) {
        let in_range = behind < target.as_secs_f64();
        let rate = if rate_max > 1.0 && in_range && behind > 0.05 && ahead > Duration::from_secs(1) {
            let curve = (2.0 / (1.0 + (-0.75 * behind).exp()) * 20.0).round() / 20.0;
            curve.clamp(1.0, rate_max.min(2.0))
        } else {
            1.0
        };
        if rate != self.rate {
            let position = self.position(now);
            if self.state == State::Playing {
                self.played += now.saturating_sub(self.since);
                (self.position, self.since) = (position, now);
            }
            self.rate = rate;
        }
    }

    /// How fast it plays.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// How long the picture has moved.
    pub fn played(&self, now: Duration) -> Duration {
        match self.state {
            State::Playing => self.played + now.saturating_sub(self.since),
            State::Waiting | State::Stalled => self.played,
        }
    }

    /// How long it has been frozen after it began.
    pub fn stalled(&self, now: Duration) -> Duration {
        match self.state {
            State::Stalled => self.stalled + now.saturating_sub(self.since),
            State::Waiting | State::Playing => self.stalled,
        }
    }

    /// How often it froze.
    pub fn stalls(&self) -> u32 {
        self.stalls
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: Micros = 1_000_000;

    fn s(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_picture_begins_freezes_and_goes_on() {
        let mut playout = Playout::new(10 * S, s(1.0));
        assert_eq!(playout.advance(s(1.0), 10 * S), None, "nothing is there");
        assert_eq!(playout.advance(s(1.5), 11 * S), Some(State::Playing));
        assert_eq!(playout.runs_out(11 * S), Some(s(2.5)));
        assert_eq!(playout.position(s(2.0)), 10 * S + S / 2);
        // Somebody looks late; the freeze began at 2.5 all the same.
        assert_eq!(playout.advance(s(3.0), 11 * S), Some(State::Stalled));
        assert_eq!(
            (playout.played(s(3.0)), playout.stalled(s(3.0))),
            (s(1.0), s(0.5))
        );
        assert_eq!(playout.position(s(3.2)), 11 * S);
        assert_eq!(playout.advance(s(3.5), 12 * S), Some(State::Playing));
        assert_eq!((playout.stalled(s(9.0)), playout.stalls()), (s(1.0), 1));
    }

    #[test]
    fn it_catches_up_as_hls_js_does_and_not_beyond() {
        let mut playout = Playout::new(0, s(0.0));
        playout.advance(s(0.0), 100 * S);
        let target = s(2.0);
        playout.catch_up(s(0.0), 1.0, s(2.0), target, 1.5);
        assert_eq!(playout.rate(), 1.35, "2 / (1 + e^-0.75) in twentieths");
        assert_eq!(playout.position(s(2.0)), 2_700_000);
        playout.catch_up(s(2.0), 1.0, s(0.9), target, 1.5);
        assert_eq!(playout.rate(), 1.0, "less than a second is ahead");
        playout.catch_up(s(2.0), 5.0, s(9.0), target, 1.5);
        assert_eq!(playout.rate(), 1.0, "so far behind is rewinding");
        playout.catch_up(s(2.0), 1.9, s(9.0), target, 1.0);
        assert_eq!(playout.rate(), 1.0, "the default never does");
        assert_eq!(playout.position(s(2.0)), 2_700_000);
    }

    proptest! {
        /// Time is either played or frozen, and the picture shows no media that is not there.
        #[test]
        fn every_moment_is_counted_once(steps in proptest::collection::vec((0u64..3_000, 0i64..2 * S), 1..60)) {
            let (mut now, mut end) = (Duration::ZERO, S);
            let mut playout = Playout::new(0, now);
            playout.advance(now, end);
            for (wait, more) in steps {
                now += Duration::from_millis(wait);
                playout.advance(now, end);
                end += more;
                playout.advance(now, end);
                prop_assert!(playout.position(now) <= end);
                prop_assert_eq!(playout.played(now) + playout.stalled(now), now);
            }
        }
    }
}
