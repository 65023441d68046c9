//! Who each viewer is: a function of the scenario and its number.

use std::sync::Arc;
use std::time::Duration;

use viewer::player::Setup;
use viewer::random::Random;

use crate::scenario::{Mix, Scenario, Spread, seconds};

/// One viewer.
#[derive(Debug, Clone)]
pub(crate) struct Role {
    pub(crate) setup: Setup,
    /// What is left of its dice.
    pub(crate) random: Random,
    /// Rate of its network, where it is slow.
    pub(crate) kbps: Option<f64>,
    pub(crate) inspects: bool,
}

/// The viewer of this number, who comes at `at`.
pub(crate) fn role(scenario: &Scenario, path: &Arc<str>, number: u32, at: Duration) -> Role {
    let mut random = Random::fork(scenario.seed, u64::from(number));
    let habit = Mix::habit(random.pick(scenario.mix.weights().into_iter()));
    let capped: f64 = scenario.caps.iter().map(|cap| cap.share).sum();
    let shares = scenario
        .caps
        .iter()
        .map(|cap| cap.share)
        .chain([(1.0 - capped).max(0.0)]);
    let cap = scenario.caps.get(random.pick(shares));
    let spread =
        |spread: Spread, random: &mut Random| random.lognormal(seconds(spread.median_s), spread.sigma);
    let patience = spread(scenario.patience, &mut random);
    let stays = scenario.stay.map(|stay| at + spread(stay, &mut random));
    let goes = scenario
        .exit_wave()
        .and_then(|wave| wave.time(&mut random))
        .filter(|time| *time > at);
    let slow = random.unit();
    let rewound = random.unit();
    let rewind = scenario.rewind.filter(|rewind| rewound < rewind.share);
    let path = match rewind {
        Some(_) => Arc::from(format!("/live/{}/dvr.m3u8", scenario.stream)),
        None => path.clone(),
    };
    Role {
        setup: Setup {
            path,
            habit,
            audio: scenario.audio,
            bandwidth_max: cap.map(|cap| cap.bandwidth_max),
            rate_max: scenario.rate_max,
            patience,
            leaves: stays.into_iter().chain(goes).min(),
            rewind: rewind.map(|rewind| seconds(rewind.behind_s)),
        },
        kbps: scenario.slow.filter(|s| slow < s.share).map(|s| s.kbps),
        inspects: scenario.inspect_every > 0 && number.is_multiple_of(scenario.inspect_every),
        random,
    }
}

#[cfg(test)]
mod tests {
    use viewer::habit::Habit;

    use super::*;

    #[test]
    fn a_seed_gives_the_same_crowd_in_the_shares_asked_for() {
        let scenario = Scenario::read(
            "inspect_every = 10\n[mix]\nhlsjs = 3\nnaive = 1\n[[caps]]\nbandwidth_max = 7\nshare = 0.5\n[slow]\nshare = 0.1\nkbps = 300\n[rewind]\nshare = 0.3\nbehind_s = 60\n[exit]\nat_s = 20\nshare = 0.9\n",
        )
        .unwrap();
        let path: Arc<str> = Arc::from("/x");
        let roles: Vec<Role> = (0..1_000)
            .map(|n| role(&scenario, &path, n, Duration::ZERO))
            .collect();
        let many = |is: fn(&Role) -> bool| roles.iter().filter(|role| is(role)).count();
        assert!((700..800).contains(&many(|role| role.setup.habit == Habit::HlsJs)));
        assert_eq!(many(|role| role.setup.habit == Habit::Shaka), 0);
        assert!((450..550).contains(&many(|role| role.setup.bandwidth_max == Some(7))));
        assert!((70..130).contains(&many(|role| role.kbps.is_some())));
        assert!((250..350).contains(&many(|role| role.setup.path.ends_with("/dvr.m3u8"))));
        assert!((870..930).contains(&many(|role| role.setup.leaves.is_some())));
        assert_eq!(many(|role| role.inspects), 100);
        let again = role(&scenario, &path, 17, Duration::ZERO);
        assert_eq!(format!("{again:?}"), format!("{:?}", roles[17]));
    }
}
