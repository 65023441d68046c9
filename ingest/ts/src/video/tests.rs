use super::*;

const AUD: &[u8] = &[0, 0, 0, 1, 9, 0xF0];
const SPS: &[u8] = &[0, 0, 0, 1, 0x67, 1, 2];
const PPS: &[u8] = &[0, 0, 0, 1, 0x68, 3];
const IDR: &[u8] = &[0, 0, 1, 0x65, 0x88, 7, 7];
const FIRST: &[u8] = &[0, 0, 1, 0x41, 0x9A, 8, 8];
const MORE: &[u8] = &[0, 0, 1, 0x41, 0x3A, 9, 9];
const RECOVERY: &[u8] = &[0, 0, 1, 6, 6, 1, 0xC4, 0x80];

fn at(dts: u64) -> Option<Stamp> {
    Some(Stamp { pts: dts + 10, dts })
}

/// PES packets in (time, random_access, payload); units out, and what was counted.
fn split(
    codec: VideoCodec,
    packets: &[(Option<Stamp>, bool, Vec<u8>)],
    chunk: usize,
) -> (Vec<Unit>, Counters) {
    let (mut splitter, mut counters, mut units) = (Splitter::new(codec), Counters::default(), Vec::new());
    for (stamp, random_access, payload) in packets {
        splitter.begin(*stamp, *random_access);
        for payload in payload.chunks(chunk) {
            assert!(splitter.push(payload, 1000));
            units.extend(std::iter::from_fn(|| splitter.next(&mut counters)));
        }
    }
    units.extend(splitter.flush(&mut counters));
    (units, counters)
}

fn h264(packets: &[(Option<Stamp>, bool, Vec<u8>)]) -> (Vec<Unit>, Counters) {
    let whole = split(VideoCodec::H264, packets, 1000);
    for chunk in 1..30 {
        assert_eq!(split(VideoCodec::H264, packets, chunk), whole, "chunk {chunk}");
    }
    whole
}

#[test]
fn one_pes_packet_with_several_units_counts_the_spacing() {
    let gop = [AUD, SPS, PPS, IDR, MORE, AUD, FIRST, MORE, FIRST].concat();
    let (units, counters) = h264(&[
        (at(0), true, gop.clone()),
        (at(9000), true, gop),
        (at(18_000), false, AUD.to_vec()),
    ]);
    let times: Vec<_> = units
        .iter()
        .map(|unit| (unit.stamp.dts, unit.stamp.pts, unit.key))
        .collect();
    let expected = [(0, 10, true), (3000, 3010, false), (6000, 6010, false)];
    let later = expected.map(|(dts, pts, key)| (dts + 9000, pts + 9000, key));
    assert_eq!(
        times,
        [&expected[..], &later, &[(18_000, 18_010, false)]].concat()
    );
    assert_eq!(counters.timestamps_derived, 4);
    assert_eq!(units[0].data, [AUD, SPS, PPS, IDR, MORE].concat());
    assert_eq!(units[0].config.as_deref(), Some(&[SPS, PPS].concat()[..]));
    assert_eq!(units[2].data, FIRST);
    assert_eq!(units[3].config, None);
}

#[test]
fn a_unit_goes_on_in_the_next_pes_packets() {
    let (units, counters) = h264(&[
        (at(0), true, [SPS, PPS, &IDR[..5]].concat()),
        (None, false, [&IDR[5..], MORE].concat()),
        (at(3000), false, [&[9, 9, 9], MORE, FIRST].concat()),
        (at(6000), false, FIRST.to_vec()),
    ]);
    let times: Vec<_> = units.iter().map(|unit| unit.stamp.dts).collect();
    assert_eq!(times, [0, 3000, 6000]);
    assert_eq!(units[0].data, [SPS, PPS, IDR, MORE, &[9, 9, 9], MORE].concat());
    assert_eq!(counters.timestamps_derived, 0);
}

#[test]
fn zeros_that_end_a_pes_packet_do_not_hide_the_next_ones_time() {
    let (units, counters) = h264(&[
        (at(0), true, [IDR, &[0]].concat()),
        (at(3000), false, FIRST.to_vec()),
    ]);
    let times: Vec<_> = units
        .iter()
        .map(|unit| (unit.stamp.dts, unit.data.len()))
        .collect();
    assert_eq!(times, [(0, IDR.len() + 1), (3000, FIRST.len())]);
    assert_eq!(counters.timestamps_derived, 0);
}

#[test]
fn open_gop_is_key_only_where_the_muxer_says_so() {
    let open = [RECOVERY, FIRST].concat();
    let (units, _) = h264(&[
        (at(0), true, open.clone()),
        (at(1), false, open),
        (at(2), true, FIRST.to_vec()),
    ]);
    assert_eq!(
        units.iter().map(|unit| unit.key).collect::<Vec<_>>(),
        [true, false, false]
    );
}

#[test]
fn nothing_leaves_without_a_time_or_a_beginning() {
    let (units, counters) = h264(&[
        (None, true, [MORE, IDR, FIRST].concat()),
        (at(5), false, [MORE, FIRST].concat()),
    ]);
    assert_eq!(units.len(), 1);
    assert_eq!((units[0].stamp, &units[0].data[..]), (at(5).unwrap(), FIRST));
    assert_eq!(counters.units_untimed, 2);
}

#[test]
fn a_change_of_sets_is_told_with_its_unit() {
    let other = &[0, 0, 0, 1, 0x67, 5, 5][..];
    let unit = |sps| [AUD, sps, PPS, IDR].concat();
    let (units, _) = h264(&[
        (at(0), true, unit(SPS)),
        (at(1), true, unit(SPS)),
        (at(2), true, unit(other)),
    ]);
    let configs: Vec<_> = units.iter().map(|unit| unit.config.as_deref()).collect();
    assert_eq!(
        configs,
        [
            Some(&[SPS, PPS].concat()[..]),
            None,
            Some(&[other, PPS].concat()[..])
        ]
    );
}

#[test]
fn hevc_units_and_keys() {
    let nal = |kind: u8, slice: u8| vec![0, 0, 0, 1, kind << 1, 1, slice, 7];
    let cra = [
        nal(32, 1),
        nal(33, 1),
        nal(34, 1),
        nal(39, 1),
        nal(21, 0x80),
        nal(21, 0x11),
    ]
    .concat();
    let trail = [nal(1, 0x80), nal(1, 0x11), nal(40, 1)].concat();
    let packets = [
        (at(0), true, [cra.clone(), trail.clone()].concat()),
        (at(6000), true, cra.clone()),
    ];
    let (units, _) = split(VideoCodec::Hevc, &packets, 5);
    let seen: Vec<_> = units
        .iter()
        .map(|unit| (unit.stamp.dts, unit.key, unit.data.to_vec()))
        .collect();
    assert_eq!(
        seen,
        [(0, true, cra.clone()), (3000, false, trail), (6000, true, cra)]
    );
    assert_eq!(units[0].config.as_ref().unwrap().len(), 3 * 8);
}

#[test]
fn too_large_a_unit_is_dropped_and_the_next_comes() {
    let (mut splitter, mut counters) = (Splitter::new(VideoCodec::H264), Counters::default());
    splitter.begin(at(0), true);
    assert!(splitter.push(IDR, 100));
    assert_eq!(splitter.next(&mut counters), None);
    assert!(!splitter.push(&[7; 100], 100));
    assert!(splitter.push(&[7; 90], 100));
    assert_eq!(splitter.next(&mut counters), None);
    splitter.begin(at(1), true);
    assert!(splitter.push(FIRST, 100));
    assert_eq!(splitter.next(&mut counters), None);
    assert_eq!(splitter.flush(&mut counters).unwrap().stamp, at(1).unwrap());
}
