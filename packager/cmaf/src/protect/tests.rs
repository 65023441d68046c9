use super::*;
use aes::cipher::{BlockCipherDecrypt as _, KeyInit as _};
use proptest::prelude::*;

fn key(secret: [u8; 16], iv: [u8; 16]) -> Key {
    Key {
        kid: [1; 16],
        key: secret,
        iv,
    }
}

/// CBC by its definition (NIST SP 800-38A §6.2), block by block: nothing of what encrypted is used.
fn reference(key: &Key, blocks: &mut [u8], step: usize) {
    let cipher = Aes128::new(&key.key.into());
    let mut before = key.iv;
    for stretch in blocks.chunks_mut(step * BLOCK) {
        let take = if step == 1 { stretch.len() } else { BLOCK };
        for block in stretch.chunks_exact_mut(BLOCK).take(take / BLOCK) {
            let sealed: [u8; BLOCK] = block.try_into().unwrap();
            let mut plain = sealed.into();
            cipher.decrypt_block(&mut plain);
            for ((out, plain), xor) in block.iter_mut().zip(&plain).zip(before) {
                *out = plain ^ xor;
            }
            before = sealed;
        }
    }
}

/// Units with a header of one clear byte if it is odd, none protected otherwise.
fn sample(units: &[Vec<u8>]) -> Vec<u8> {
    let unit = |unit: &Vec<u8>| [&u32::try_from(unit.len()).unwrap().to_be_bytes()[..], unit].concat();
    units.iter().flat_map(unit).collect()
}

fn header(nal: &[u8]) -> Result<Option<usize>, Unreadable> {
    Ok(nal.first().filter(|first| *first & 1 == 1).map(|_| 1))
}

#[test]
fn aes_128_is_cbc_with_padding_as_others_do_it() {
    // NIST SP 800-38A F.2.1, and a block of padding behind it.
    let secret = 0x2b7e_1516_28ae_d2a6_abf7_1588_09cf_4f3c_u128.to_be_bytes();
    let iv = 0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f_u128.to_be_bytes();
    let plain = 0x6bc1_bee2_2e40_9f96_e93d_7e11_7393_172a_u128.to_be_bytes();
    let sealed = key(secret, iv).seal(&plain);
    assert_eq!(
        sealed[..16],
        0x7649_abac_8119_b246_cee9_8e9b_12e9_197d_u128.to_be_bytes()
    );
    assert_eq!(sealed.len(), 32);
    assert_eq!(key(secret, iv).open(&sealed).unwrap(), plain);
    assert_eq!(key(iv, iv).open(&sealed), None);
}

#[test]
fn what_cannot_be_protected_is_refused_by_name() {
    let av1 = Codec::Av1 {
        config: Bytes::new(),
        width: 64,
        height: 64,
    };
    assert_eq!(
        Layout::of(&av1).unwrap_err().to_string(),
        "AV1 cannot be encrypted sample by sample"
    );
    let nonsense = Codec::H264 {
        config: Bytes::from_static(&[1, 0x42, 0, 10, 0xff, 0xe1, 0, 1, 0x67, 1, 0, 1, 0x68]),
        width: 64,
        height: 64,
    };
    assert!(matches!(Layout::of(&nonsense), Err(Error::Unprotectable(_))));
    assert!(subsamples(&[0, 0, 0, 9, 1], header).is_err(), "a torn unit");
    assert!(subsamples(&[0, 0, 0], header).is_err(), "half a length");
}

#[test]
fn a_secret_is_not_printed() {
    assert_eq!(format!("{:?}", key([7; 16], [7; 16])), "Key { .. }");
}

proptest! {
    #[test]
    fn resources_open_again(secret: [u8; 16], iv: [u8; 16], clear in prop::collection::vec(any::<u8>(), 0..600)) {
        let key = key(secret, iv);
        let sealed = key.seal(&clear);
        prop_assert_eq!(sealed.len(), (clear.len() / 16 + 1) * 16);
        prop_assert_eq!(key.open(&sealed).unwrap(), &clear[..]);
        let mut by_hand = sealed.to_vec();
        reference(&key, &mut by_hand, 1);
        let padding = usize::from(*by_hand.last().unwrap());
        by_hand.truncate(by_hand.len() - padding);
        prop_assert_eq!(by_hand, clear);
    }

    #[test]
    fn the_pattern_is_one_block_of_ten_and_begins_anew_with_each_subsample(
        secret: [u8; 16], iv: [u8; 16],
        units in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..900), 0..5),
    ) {
        let key = key(secret, iv);
        let clear = sample(&units);
        let map = subsamples(&clear, header).unwrap();
        prop_assert_eq!(map.iter().map(|part| part.clear + part.protected).sum::<usize>(), clear.len());
        let mut sealed = clear.clone();
        pattern(&mut sealed, &map, &key);
        let mut at = 0;
        for part in &map {
            let end = at + part.clear + part.protected;
            prop_assert_eq!(&sealed[at..at + part.clear], &clear[at..at + part.clear]);
            reference(&key, &mut sealed[at + part.clear..end], 10);
            at = end;
        }
        prop_assert_eq!(sealed, clear);
    }

    #[test]
    fn sound_is_encrypted_but_for_what_fills_no_block(
        secret: [u8; 16], iv: [u8; 16], clear in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let key = key(secret, iv);
        let (mut sealed, map) = Layout(Kind::Sound).sample(&key, &clear).unwrap();
        prop_assert!(map.is_empty());
        let whole = clear.len() / BLOCK * BLOCK;
        prop_assert_eq!(&sealed[whole..], &clear[whole..]);
        reference(&key, &mut sealed[..whole], 1);
        prop_assert_eq!(sealed, clear);
    }

    #[test]
    fn no_slice_makes_the_readers_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        let h264 = Codec::H264 { config: bytes.clone().into(), width: 64, height: 64 };
        let hevc = Codec::Hevc { config: bytes.clone().into(), width: 64, height: 64 };
        for codec in [h264, hevc] {
            if let Ok(layout) = Layout::of(&codec) {
                let _either_is_fine = layout.sample(&key([1; 16], [2; 16]), &sample(std::slice::from_ref(&bytes)));
            }
        }
    }
}
