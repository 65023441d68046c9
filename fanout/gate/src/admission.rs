//! Who is served when not everybody can be: a machine without clock or socket.
//!
//! Load is told as the greatest share of any limit that is in use. Each class has a threshold: the lowest class is refused
//! first, and within a class those who are not watching yet before those who are. A class that was closed opens again only once the load has
//! fallen clearly below its threshold, so that it does not flap.

/// What is asked for, the most valuable last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// What is not needed to watch: reports, notices, pages.
    Api,
    /// A recording of an event that is over.
    Archive,
    /// What was rewound to.
    Dvr,
    /// Multivariant and media playlists.
    Playlist,
    /// Parts, init segments, keys and blocking reloads at the live edge.
    Live,
}

impl Class {
    /// All of them, in the order in which they are refused.
    pub const ALL: [Self; 5] = [Self::Api, Self::Archive, Self::Dvr, Self::Playlist, Self::Live];

    /// One word for books.
    pub fn label(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Archive => "archive",
            Self::Dvr => "dvr",
            Self::Playlist => "playlist",
            Self::Live => "live",
        }
    }

    /// Load at which who is new is refused, and who is watching; thousandths of the limit. At the live edge who is watching is
    /// never refused: its requests are what the limits were reserved for.
    fn thresholds(self) -> (u32, u32) {
        match self {
            Self::Api => (800, 850),
            Self::Archive => (850, 900),
            Self::Dvr => (880, 920),
            Self::Playlist => (900, NEVER),
            Self::Live => (950, NEVER),
        }
    }
}

const NEVER: u32 = u32::MAX;
/// How far the load falls below a threshold before what was closed opens again, thousandths.
const HYSTERESIS: u32 = 50;
/// All of a limit.
const WHOLE: u128 = 1_000;

/// What is in use, and how much of it there may be; a limit of 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Use {
    /// In use now.
    pub now: u64,
    /// At most.
    pub limit: u64,
}

impl Use {
    /// Thousandths of the limit.
    pub fn share(self) -> u32 {
        let share = (u128::from(self.now) * WHOLE)
            .checked_div(self.limit.into())
            .unwrap_or(0);
        u32::try_from(share).unwrap_or(u32::MAX - 1).min(NEVER - 1)
    }
}

/// What an operator has given up: at 1 nothing that is not playback is answered, at 2 no recordings either, at 3 nobody new is
/// let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Panic {
    /// Nothing.
    #[default]
    None,
    /// [`Class::Api`].
    Api,
    /// [`Class::Archive`] and [`Class::Dvr`] too.
    Recordings,
    /// And who is not watching yet.
    Newcomers,
}

impl Panic {
    /// All of them, by level.
    pub const ALL: [Self; 4] = [Self::None, Self::Api, Self::Recordings, Self::Newcomers];

    /// The level, 0 to 3.
    pub fn level(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Api => 1,
            Self::Recordings => 2,
            Self::Newcomers => 3,
        }
    }

    /// Reads a level.
    pub fn of(level: u8) -> Option<Self> {
        Self::ALL.get(usize::from(level)).copied()
    }

    fn refuses(self, class: Class, is_new: bool) -> bool {
        match self {
            Self::None => false,
            Self::Api => class <= Class::Api,
            Self::Recordings => class <= Class::Dvr,
            Self::Newcomers => class <= Class::Dvr || is_new,
        }
    }
}

/// Why somebody is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Too much is in use.
    Load,
    /// An operator said so.
    Panic,
}

/// How a refusal is spread over time, so that those who ask again do not come back as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// Milliseconds before the 503 is sent.
    pub hold_ms: u32,
    /// Retry-After of it, seconds.
    pub later_s: u32,
}

/// The machine.
#[derive(Debug, Clone)]
pub struct Admission {
    panic: Panic,
    load: u32,
    /// Of each class, whether new ones and those who are watching are refused now.
    closed: [(bool, bool); Class::ALL.len()],
    window_ms: u32,
}

impl Admission {
    /// Nothing in use; refusals are held for up to `window_ms`.
    pub fn new(window_ms: u32) -> Self {
        Self {
            panic: Panic::None,
            load: 0,
            closed: [(false, false); Class::ALL.len()],
            window_ms,
        }
    }

    /// What an operator gives up, from now on; [`Panic::None`] takes it back.
    pub fn set_panic(&mut self, panic: Panic) {
        self.panic = panic;
    }

    /// What an operator has given up.
    pub fn panic(&self) -> Panic {
        self.panic
    }

    /// The load as it was told last, thousandths.
    pub fn load(&self) -> u32 {
        self.load
    }

    /// What is in use now; the scarcest counts.
    pub fn measured(&mut self, uses: &[Use]) {
        self.load = uses.iter().map(|one| one.share()).max().unwrap_or(0);
        let load = self.load;
        let next = |was: bool, threshold: u32| {
            let threshold = if was {
                threshold.saturating_sub(HYSTERESIS)
            } else {
                threshold
            };
            threshold < NEVER - HYSTERESIS && load >= threshold
        };
        for (class, closed) in Class::ALL.into_iter().zip(&mut self.closed) {
            let (new, watching) = class.thresholds();
            *closed = (next(closed.0, new), next(closed.1, watching));
        }
    }

    /// Whether a class is refused now to who is new, or to who is watching.
    pub fn is_closed(&self, class: Class, is_new: bool) -> Option<Reason> {
        if self.panic.refuses(class, is_new) {
            return Some(Reason::Panic);
        }
        let at = Class::ALL.iter().position(|one| *one == class)?;
        let (new, watching) = *self.closed.get(at)?;
        let is_closed = if is_new { new } else { watching };
        is_closed.then_some(Reason::Load)
    }

    /// Lets in, or refuses; `random` spreads refusals.
    pub fn admit(&self, class: Class, is_new: bool, random: u64) -> Result<(), Refusal> {
        let Some(reason) = self.is_closed(class, is_new) else {
            return Ok(());
        };
        // Two shares of one number, so that a long hold does not go with a long Retry-After.
        let (first, second) = (random & 0xffff_ffff, random >> 32);
        let share = |part: u64, of: u64| u32::try_from((part * of) >> 32).unwrap_or(u32::MAX);
        Err(Refusal {
            reason,
            hold_ms: share(first, u64::from(self.window_ms) + 1),
            later_s: 2 + share(second, 9),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(load: u64) -> Admission {
        let mut admission = Admission::new(1_000);
        admission.measured(&[
            Use {
                now: load,
                limit: 1_000,
            },
            Use { now: 9, limit: 0 },
        ]);
        admission
    }

    fn refused(admission: &Admission) -> Vec<(Class, bool)> {
        let all = Class::ALL
            .into_iter()
            .flat_map(|class| [(class, true), (class, false)]);
        all.filter(|(class, is_new)| admission.is_closed(*class, *is_new).is_some())
            .collect()
    }

    #[test]
    fn the_lowest_class_goes_first_and_whoever_watches_live_stays() {
        use Class::{Api, Archive, Dvr, Live, Playlist};
        assert_eq!(refused(&at(799)), []);
        assert_eq!(refused(&at(800)), [(Api, true)]);
        assert_eq!(refused(&at(870)), [(Api, true), (Api, false), (Archive, true)]);
        let below = [
            (Api, true),
            (Api, false),
            (Archive, true),
            (Archive, false),
            (Dvr, true),
            (Dvr, false),
        ];
        assert_eq!(
            refused(&at(920)),
            [below.as_slice(), &[(Playlist, true)]].concat()
        );
        assert_eq!(
            refused(&at(100_000)),
            [below.as_slice(), &[(Playlist, true), (Live, true)]].concat()
        );
    }

    #[test]
    fn panic_gives_up_what_it_says_and_is_taken_back() {
        let mut admission = at(0);
        for (level, count) in [(1, 2), (2, 6), (3, 8), (0, 0)] {
            admission.set_panic(Panic::of(level).unwrap());
            assert_eq!(refused(&admission).len(), count, "level {level}");
            assert_eq!(admission.panic().level(), level);
        }
        assert_eq!(Panic::of(4), None);
    }

    #[test]
    fn what_was_closed_opens_once_the_load_has_fallen_clearly() {
        let mut admission = at(800);
        let mut closed_at = |now| {
            admission.measured(&[Use { now, limit: 1_000 }]);
            admission.is_closed(Class::Api, true).is_some()
        };
        assert_eq!(
            [799, 751, 750, 749, 799].map(&mut closed_at),
            [true, true, true, false, false]
        );
    }

    proptest! {
        #[test]
        fn a_higher_class_is_never_refused_before_a_lower_one(
            loads in prop::collection::vec(0u64..1_200, 1..20), level in 0u8..4,
        ) {
            let mut admission = Admission::new(1_000);
            admission.set_panic(Panic::of(level).unwrap());
            for now in loads {
                admission.measured(&[Use { now, limit: 1_000 }]);
                for is_new in [true, false] {
                    let closed = Class::ALL.map(|class| admission.is_closed(class, is_new).is_some());
                    prop_assert!(closed.is_sorted_by(|lower, higher| lower >= higher), "{closed:?}");
                }
                for class in Class::ALL {
                    let (new, watching) = (admission.is_closed(class, true), admission.is_closed(class, false));
                    prop_assert!(new.is_some() || watching.is_none(), "whoever watches is refused last");
                }
                prop_assert_eq!(admission.is_closed(Class::Live, false), None);
            }
        }

        #[test]
        fn a_refusal_is_held_within_its_window(window in 0u32..10_000, random in any::<u64>()) {
            let mut admission = Admission::new(window);
            admission.set_panic(Panic::Newcomers);
            let refusal = admission.admit(Class::Live, true, random).unwrap_err();
            prop_assert!(refusal.hold_ms <= window);
            prop_assert!((2..=10).contains(&refusal.later_s));
        }

        #[test]
        fn any_use_has_a_share(now in any::<u64>(), limit in any::<u64>()) {
            let share = Use { now, limit }.share();
            prop_assert!(limit == 0 || now < limit || share >= 999);
        }
    }

    #[test]
    fn refusals_are_spread() {
        let mut admission = Admission::new(1_000);
        admission.set_panic(Panic::Newcomers);
        // A generator of no quality is enough to see that both parts are used.
        let randoms = (0..1_000u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut holds: Vec<u32> = randoms
            .map(|random| {
                admission
                    .admit(Class::Playlist, true, random)
                    .unwrap_err()
                    .hold_ms
            })
            .collect();
        holds.sort_unstable();
        let widest = holds.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(
            holds[100] < 200 && holds[900] > 800 && widest < Some(30),
            "{widest:?}"
        );
    }
}
