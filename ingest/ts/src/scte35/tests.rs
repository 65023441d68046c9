use super::*;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

/// scte35 §14.2: the standard's own splice_insert.
const INSERT: &str =
    "fc302f000000000000fffff014054800008f7feffe7369c02efe0052ccf500000000000a0008435545490000013562dba30a";
/// scte35 §14.1: the standard's own time_signal with a placement opportunity.
const TIME_SIGNAL: &str = "fc3034000000000000fffff00506fe72bd0050001e021c435545494800008e7fcf0001a599b00808000000002ca0a18a3402009ac9d17e";

#[test]
fn the_standards_splice_insert() {
    let bytes = hex(INSERT);
    assert_eq!(crate::section::crc(&bytes), 0);
    let insert = Insert {
        event_id: 0x4800_008F,
        cancel: false,
        out_of_network: true,
        immediate: false,
        break_duration: Some(0x0052_CCF5),
        auto_return: true,
    };
    let splice = Splice {
        command: Command::Insert(insert),
        pts: Some(0x7369_C02E),
        segmentations: Vec::new(),
    };
    assert_eq!(parse(&bytes), Ok(splice));
}

#[test]
fn the_standards_time_signal() {
    let bytes = hex(TIME_SIGNAL);
    assert_eq!(crate::section::crc(&bytes), 0);
    let segment = Segmentation {
        event_id: 0x4800_008E,
        cancel: false,
        type_id: 0x34,
        duration: Some(0x01A5_99B0),
    };
    let splice = Splice {
        command: Command::TimeSignal,
        pts: Some(0x72BD_0050),
        segmentations: vec![segment],
    };
    assert_eq!(parse(&bytes), Ok(splice));
}

#[test]
fn adjustment_wraps_and_an_unsaid_length_is_found_out() {
    let mut bytes = hex(TIME_SIGNAL);
    bytes[4..9].copy_from_slice(&[1, 0xFF, 0xFF, 0xFF, 0xFF]);
    bytes[11..13].copy_from_slice(&[0xFF, 0xFF]);
    let splice = parse(&bytes).unwrap();
    assert_eq!(splice.pts, Some(0x72BD_0050 - 1));
    assert_eq!(splice.segmentations.len(), 1);
}

#[test]
fn encrypted_cancelled_and_immediate() {
    let mut encrypted = hex(INSERT);
    encrypted[4] = 0x80;
    let splice = parse(&encrypted).unwrap();
    assert_eq!((splice.command, splice.pts), (Command::Encrypted, None));
    let mut immediate = hex(INSERT);
    immediate[19] = 0xFF;
    immediate.drain(20..25);
    immediate[12] -= 5;
    let splice = parse(&immediate).unwrap();
    assert!(matches!(
        splice.command,
        Command::Insert(Insert {
            immediate: true,
            break_duration: Some(_),
            ..
        })
    ));
    assert_eq!(splice.pts, None);
    let mut cancelled = hex(INSERT);
    cancelled[18] = 0xFF;
    assert!(matches!(
        parse(&cancelled).unwrap().command,
        Command::Insert(Insert { cancel: true, .. })
    ));
}

#[test]
fn cut_off_messages_are_errors() {
    for text in [INSERT, TIME_SIGNAL] {
        let bytes = hex(text);
        for len in 0..bytes.len() - 6 {
            assert!(parse(&bytes[..len]).is_err(), "{len}");
        }
    }
    assert_eq!(parse(&[0xFD; 30]), Err(Error::Table));
    assert_eq!(parse(&[0xFC, 0, 0, 1]), Err(Error::Version));
}
