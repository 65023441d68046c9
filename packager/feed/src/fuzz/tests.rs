use proptest::prelude::*;

use super::*;

/// A message of each kind, as bytes without its length.
fn kinds() -> Vec<Vec<u8>> {
    let text = |text: &str| [&[0, 0, 0, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let said = |value: &str| [vec![1], text(value)].concat();
    let numbers = |numbers: &[u32]| numbers.iter().flat_map(|n| n.to_be_bytes()).collect::<Vec<_>>();
    let video = [vec![1], text("avcc"), vec![0, 0, 2, 128, 0, 0, 1, 104]].concat();
    let track = [text("360p"), vec![0; 16], video, said("pt-BR"), said("T")].concat();
    let hello = [
        vec![2, 0, 1],
        text("main"),
        vec![0; 16],
        vec![9; 32],
        numbers(&[30_000, 1_001, 48_000, 15, 2, 2]),
        vec![0, 1],
        track,
        vec![0, 1],
        text("CC1"),
        vec![0, 0],
    ];
    let cue = [
        vec![9],
        text("cue-7"),
        said("class"),
        vec![0, 0, 0, 0, 0, 0, 3, 132],
        vec![1, 1, 0, 0, 0, 6, 252, 35, 172, 0],
        text("\u{1}"),
        vec![5, 0, 2],
        [text("A"), vec![1], text("b")].concat(),
        [text("X"), vec![2, 0, 0, 0, 0, 0, 0, 0, 1]].concat(),
    ];
    vec![
        [vec![1], vec![7; 32]].concat(),
        hello.concat(),
        [vec![3], vec![0; 8]].concat(),
        [vec![4], text("no")].concat(),
        [vec![5, 0, 1], vec![0; 8], vec![1], b"unit".to_vec()].concat(),
        [vec![6, 0, 1], vec![0; 8]].concat(),
        [vec![7, 0, 1], vec![0; 8]].concat(),
        vec![8],
        cue.concat(),
        [vec![10], vec![0; 8], vec![0xFF, 0xD8, 0xFF, 0xFF, 0xD9]].concat(),
    ]
}

#[test]
fn every_kind_is_read() {
    for bytes in kinds() {
        let length = u32::try_from(bytes.len()).unwrap();
        let (messages, error) = read(&[&length.to_be_bytes()[..], &bytes].concat(), 7);
        assert_eq!((messages.len(), error), (1, None), "{bytes:?}");
    }
}

#[test]
fn messages_cut_anywhere_never_panic() {
    for bytes in kinds() {
        (0..=bytes.len()).for_each(|end| message(&bytes[..end]));
    }
}

proptest! {
    #[test]
    fn spoilt_messages_are_read_or_refused(
        which in 0usize..10, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = kinds().swap_remove(which);
        for (place, byte) in changes {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        message(&bytes);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(prop_oneof![2 => 0..12u8, 1 => any::<u8>()], 0..200)) {
        wire(&bytes);
        message(&bytes);
    }
}
