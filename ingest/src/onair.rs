//! What viewers see when an encoder comes, falters or goes.

use std::time::Duration;

use crate::metrics::Source;

/// Up to this long without a fresh frame is an encoder's own frame rate, not a fault.
const FRESH: Duration = Duration::from_millis(200);

/// Test picture until the first encoder; then the encoder, its last picture for a while, then the slate.
#[derive(Debug)]
pub(crate) struct OnAir {
    hold: Duration,
    leave: Duration,
    last_fresh: Option<Duration>,
}

impl OnAir {
    pub(crate) fn new(hold: Duration, leave: Duration) -> Self {
        Self {
            hold,
            leave,
            last_fresh: None,
        }
    }

    /// The source of the tick at `now` (any clock of the stream): whether a new frame is due, and whether the
    /// encoder has said goodbye.
    pub(crate) fn tick(&mut self, now: Duration, fresh: bool, left: bool) -> Source {
        if fresh {
            self.last_fresh = Some(now);
            return Source::Contribution;
        }
        let Some(last) = self.last_fresh else {
            return Source::Test;
        };
        let without = now.saturating_sub(last);
        match without {
            _ if without > if left { self.leave } else { self.hold } => Source::Slate,
            _ if without > FRESH => Source::Hold,
            _ => Source::Contribution,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slate_comes_after_two_seconds_or_half_a_second_after_a_goodbye() {
        let ms = Duration::from_millis;
        let mut air = OnAir::new(ms(2_000), ms(500));
        assert_eq!(air.tick(ms(0), false, false), Source::Test);
        assert_eq!(air.tick(ms(100), true, false), Source::Contribution);
        assert_eq!(
            air.tick(ms(133), false, false),
            Source::Contribution,
            "25 fps repeats now and then"
        );
        assert_eq!(air.tick(ms(400), false, false), Source::Hold);
        assert_eq!(air.tick(ms(2_100), false, false), Source::Hold);
        assert_eq!(air.tick(ms(2_133), false, false), Source::Slate);
        assert_eq!(air.tick(ms(2_166), true, false), Source::Contribution);
        assert_eq!(air.tick(ms(2_600), false, true), Source::Hold);
        assert_eq!(air.tick(ms(2_700), false, true), Source::Slate);
        assert_eq!(
            air.tick(ms(9_000), false, true),
            Source::Slate,
            "never the test picture again"
        );
    }
}
