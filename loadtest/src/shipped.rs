//! The scenarios in the binary, by name.

/// Names and texts, in the order of an event: the doors, the show, what may go wrong, the days after.
pub const ALL: [(&str, &str); 13] = [
    ("smoke", include_str!("../scenarios/smoke.toml")),
    ("doors-open", include_str!("../scenarios/doors-open.toml")),
    ("main-event", include_str!("../scenarios/main-event.toml")),
    ("knock-out", include_str!("../scenarios/knock-out.toml")),
    ("slow-net", include_str!("../scenarios/slow-net.toml")),
    ("encoder-loss", include_str!("../scenarios/encoder-loss.toml")),
    ("edge-loss", include_str!("../scenarios/edge-loss.toml")),
    ("origin-loss", include_str!("../scenarios/origin-loss.toml")),
    ("region-loss", include_str!("../scenarios/region-loss.toml")),
    ("retry-storm", include_str!("../scenarios/retry-storm.toml")),
    (
        "deploy-during-show",
        include_str!("../scenarios/deploy-during-show.toml"),
    ),
    ("dvr-rush", include_str!("../scenarios/dvr-rush.toml")),
    ("day-after", include_str!("../scenarios/day-after.toml")),
];

/// The scenario of this name.
pub fn named(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(own, _)| *own == name).map(|(_, text)| *text)
}

/// What a scenario is about: its first comment.
pub fn about(text: &str) -> &str {
    text.lines()
        .next()
        .unwrap_or_default()
        .trim_start_matches(['#', ' '])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    #[test]
    fn all_of_the_folder_are_there_and_say_what_they_are_about() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), ALL.len());
        for (name, text) in ALL {
            let scenario = Scenario::read(text).unwrap();
            assert!(scenario.duration_s <= 60.0 && scenario.viewers <= 500, "{name}");
            assert!(about(text).len() > 20, "{name}");
            assert_eq!(named(name), Some(text));
        }
        assert_eq!(named("rehearsal"), None);
    }
}
