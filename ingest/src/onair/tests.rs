use super::*;

const WAITS: Waits = Waits {
    hold: ms(2_000),
    leave: ms(500),
    failover: ms(400),
    back: ms(5_000),
};
const FRESH_FRAME: Seen = Seen {
    fresh: true,
    left: false,
    sounding: true,
};
const NOTHING: Seen = Seen {
    fresh: false,
    left: false,
    sounding: false,
};
const GONE: Seen = Seen {
    left: true,
    ..NOTHING
};
const VOICE: Seen = Seen {
    sounding: true,
    ..NOTHING
};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Ticks 30 times a second for `length_ms`; gives what was shown, each change with its time in milliseconds.
struct Show {
    air: OnAir,
    n: u64,
    choice: Choice,
}

impl Show {
    fn new() -> Self {
        Self {
            air: OnAir::new(WAITS),
            n: 0,
            choice: Choice::Auto,
        }
    }

    fn run(&mut self, length_ms: u64, primary: Seen, backup: Seen) -> Vec<(u64, Source, Role)> {
        let (mut told, start) = (Vec::<(u64, Source, Role)>::new(), self.n);
        while (self.n - start) * 1_000 / 30 < length_ms {
            let shown = self
                .air
                .tick(ms(self.n * 1_000 / 30), [primary, backup], self.choice);
            if told.last().map(|t| (t.1, t.2)) != Some((shown.source, shown.role)) {
                told.push(((self.n - start) * 1_000 / 30, shown.source, shown.role));
            }
            self.n += 1;
        }
        told
    }
}

#[test]
fn the_slate_comes_after_two_seconds_or_half_a_second_after_a_goodbye() {
    let mut air = OnAir::new(WAITS);
    let mut tick = |at, seen| air.tick(ms(at), [seen, GONE], Choice::Auto).source;
    assert_eq!(tick(0, NOTHING), Source::Test);
    assert_eq!(tick(100, FRESH_FRAME), Source::Contribution);
    assert_eq!(
        tick(133, NOTHING),
        Source::Contribution,
        "25 fps repeats now and then"
    );
    assert_eq!(tick(400, NOTHING), Source::Hold);
    assert_eq!(tick(2_100, NOTHING), Source::Hold);
    assert_eq!(tick(2_133, NOTHING), Source::Slate);
    assert_eq!(tick(2_166, FRESH_FRAME), Source::Contribution);
    assert_eq!(tick(2_600, GONE), Source::Hold);
    assert_eq!(tick(2_700, GONE), Source::Slate);
    assert_eq!(tick(9_000, GONE), Source::Slate, "never the test picture again");
}

#[test]
fn the_backup_cuts_in_at_the_tick_that_finds_the_primary_gone() {
    let mut show = Show::new();
    show.run(1_000, FRESH_FRAME, FRESH_FRAME);
    let stalled = show.run(1_000, NOTHING, FRESH_FRAME);
    let (at, source, role) = *stalled.last().unwrap();
    assert_eq!((source, role), (Source::Contribution, Role::Backup));
    assert!((366..=433).contains(&at), "{stalled:?}");
    let mut show = Show::new();
    show.run(1_000, FRESH_FRAME, FRESH_FRAME);
    let closed = show.run(100, GONE, FRESH_FRAME);
    assert_eq!(closed, [(0, Source::Contribution, Role::Backup)]);
}

#[test]
fn the_primary_is_back_only_after_it_was_healthy_for_a_while() {
    let mut show = Show::new();
    show.run(1_000, FRESH_FRAME, FRESH_FRAME);
    show.run(1_000, GONE, FRESH_FRAME);
    // One that comes and goes stays off.
    for _ in 0..5 {
        let flapping = show.run(4_000, FRESH_FRAME, FRESH_FRAME);
        assert_eq!(flapping, [(0, Source::Contribution, Role::Backup)]);
        show.run(600, NOTHING, FRESH_FRAME);
    }
    let back = show.run(6_000, FRESH_FRAME, FRESH_FRAME);
    assert_eq!(back.last().unwrap().2, Role::Primary);
    assert!((4_966..=5_033).contains(&back[1].0), "{back:?}");
}

#[test]
fn a_backup_alone_is_on_air_and_with_both_gone_the_slate() {
    let mut show = Show::new();
    let alone = show.run(1_000, GONE, FRESH_FRAME);
    assert_eq!(alone, [(0, Source::Contribution, Role::Backup)]);
    let gone = show.run(2_000, GONE, GONE);
    assert_eq!(gone.last().unwrap().1, Source::Slate);
    let primary = show.run(100, FRESH_FRAME, GONE);
    assert_eq!(primary, [(0, Source::Contribution, Role::Primary)]);
}

#[test]
fn sound_alone_gets_the_slate_for_a_picture() {
    let mut show = Show::new();
    let alone = show.run(3_000, VOICE, GONE);
    assert_eq!(alone.last().unwrap().1, Source::Voice);
    assert!((2_000..=2_066).contains(&alone[1].0), "{alone:?}");
    assert_eq!(show.run(100, FRESH_FRAME, GONE)[0].1, Source::Contribution);
    let lost = show.run(3_000, VOICE, GONE);
    assert_eq!(
        lost.iter().map(|shown| shown.1).collect::<Vec<_>>(),
        [Source::Contribution, Source::Hold, Source::Voice]
    );
}

#[test]
fn an_operators_choice_holds_whatever_the_encoders_do() {
    let mut show = Show::new();
    show.run(1_000, FRESH_FRAME, FRESH_FRAME);
    show.choice = Choice::Backup;
    assert_eq!(show.run(500, FRESH_FRAME, FRESH_FRAME)[0].2, Role::Backup);
    let dead = show.run(3_000, FRESH_FRAME, NOTHING);
    assert_eq!(dead.last().unwrap().1, Source::Slate, "as told");
    show.choice = Choice::Slate;
    assert_eq!(show.run(500, FRESH_FRAME, FRESH_FRAME)[0].1, Source::Slate);
    show.choice = Choice::Auto;
    let auto = show.run(500, FRESH_FRAME, FRESH_FRAME);
    assert_eq!(auto.last().unwrap().1, Source::Contribution);
}
