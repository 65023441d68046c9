use super::*;
use proptest::prelude::*;

/// Records that FFmpeg 5.1 wrote of streams of libaom, the last one of GStreamer's, and their names.
const RECORDS: [(&str, &str); 8] = [
    ("81014c000a0b0000000cc4ff6736be5010", "av01.0.01M.10"),
    (
        "812000000a0a200000043cfeccdaf902",
        "av01.1.00M.08.0.000.01.01.01.0",
    ),
    (
        "81001c000a0a000000043cfeccdaf92a",
        "av01.0.00M.08.1.110.01.01.01.1",
    ),
    ("81080c000a0b00000042abbfc3732be401", "av01.0.08M.08"),
    (
        "81004c000a0e000000043cfeccdaf95091009040",
        "av01.0.00M.10.0.110.09.16.09.0",
    ),
    (
        "814068000a0b400000043cfeccdaf96220",
        "av01.2.00M.12.0.100.01.01.01.0",
    ),
    ("81000c000a0b000000043cfeccdaf90040", "av01.0.00M.08"),
    ("81000c000a0c000000043cfecf81b5f20080", "av01.0.00M.08"),
];

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.map(byte).collect()
}

const DELIMITER: [u8; 2] = [0x12, 0];
/// A frame of three bytes, and a padding of two.
const FRAME: [u8; 5] = [0x32, 3, 7, 7, 7];
const PADDING: [u8; 4] = [0x7a, 2, 0, 0x80];

#[test]
fn records_and_names_are_those_of_others() {
    for (record, name) in RECORDS {
        let record = bytes(record);
        let unit = [&DELIMITER[..], &record[4..], &FRAME].concat();
        assert_eq!(configuration(&unit).unwrap(), record, "{name}");
        assert_eq!(Configuration::read(&record).unwrap().name(), name);
        let sample = [&record[4..], &FRAME].concat();
        assert_eq!(av01([unit, PADDING.to_vec()].concat().into()), sample, "{name}");
        assert_eq!(configuration(&sample).unwrap(), record);
    }
    assert_eq!(
        configuration(&[DELIMITER.to_vec(), FRAME.to_vec()].concat()),
        None
    );
}

#[test]
fn a_record_that_contradicts_its_sequence_header_is_refused() {
    let good = bytes(RECORDS[0].0);
    assert!(Configuration::read(&good).is_ok());
    for at in 0..4 {
        let mut bad = good.clone();
        bad[at] ^= 0x20;
        assert!(Configuration::read(&bad).is_err(), "byte {at}");
    }
    let alone = Configuration::read(&good[..4]).unwrap();
    assert_eq!(
        alone.name(),
        RECORDS[0].1,
        "the sequence header may be in the samples alone"
    );
    assert!(Configuration::read(&good[..9]).is_err(), "half a sequence header");
    assert!(Configuration::read(&[]).is_err());
}

#[test]
fn what_cannot_be_walked_stays_as_it_is() {
    for torn in [&[0x12, 0, 0x32, 9, 1][..], &[0x12, 0, 0x30], &[0x80], &[0x12]] {
        let torn = Bytes::copy_from_slice(torn);
        assert_eq!(av01(torn.clone()), torn);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_grow(
        which in 0..RECORDS.len(), at in any::<usize>(), with in any::<u8>(), cut in any::<usize>(),
        noise in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut unit = [&DELIMITER[..], &bytes(RECORDS[which].0)[4..], &noise].concat();
        let length = unit.len();
        unit[at % length] = with;
        unit.truncate(cut % (length + 1));
        let _either_is_fine = configuration(&unit);
        prop_assert!(av01(unit.into()).len() <= length);
        let _either_is_fine = Configuration::read(&noise);
    }
}
