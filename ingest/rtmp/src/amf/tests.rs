use proptest::prelude::*;

use super::*;

fn encoded(values: &[Value]) -> BytesMut {
    let mut output = BytesMut::new();
    encode(values, &mut output);
    output
}

#[test]
fn literal_bytes() {
    let bytes = [
        &[2, 0, 7][..],
        b"connect",
        &[0, 0x3F, 0xF0, 0, 0, 0, 0, 0, 0],
        &[3, 0, 3],
        b"app",
        &[2, 0, 4],
        b"live",
        &[0, 0, 9],
        &[5],
    ]
    .concat();
    let values = [
        Value::string("connect"),
        Value::Number(1.0),
        Value::object([("app", Value::string("live"))]),
        Value::Null,
    ];
    assert_eq!(decode(&bytes).unwrap(), values);
    assert_eq!(encoded(&values), bytes);
    assert_eq!(values[2].get("app").and_then(Value::as_str), Some("live"));
}

#[test]
fn the_count_of_an_ecma_array_is_a_hint() {
    let bytes = [8, 0xFF, 0xFF, 0xFF, 0xFF, 0, 1, b'a', 1, 1, 0, 0, 9];
    assert_eq!(
        decode(&bytes).unwrap(),
        [Value::EcmaArray(vec![("a".into(), Value::Boolean(true))])]
    );
}

#[test]
fn hostile_lengths_end_as_errors() {
    assert_eq!(decode(&[10, 0xFF, 0xFF, 0xFF, 0xFF]), Err(Error::Short));
    assert_eq!(
        decode(&[&[10, 0xFF, 0xFF, 0xFF, 0xFF][..], &[5; 2000]].concat()),
        Err(Error::TooMany)
    );
    assert_eq!(decode(&[12, 0xFF, 0xFF, 0xFF, 0xFF, 1]), Err(Error::Short));
    assert_eq!(decode(&[2, 0xFF, 0xFF, 1]), Err(Error::Short));
    assert_eq!(
        decode(&vec![5; BYTES_MAX + 1]),
        Err(Error::TooLong(BYTES_MAX + 1))
    );
    assert_eq!(decode(&vec![5; VALUES_MAX + 1]), Err(Error::TooMany));
    for marker in [4, 7, 14, 17, 255] {
        assert_eq!(decode(&[marker]), Err(Error::Marker(marker)));
    }
}

#[test]
fn nesting_has_a_bottom() {
    let nested = |depth: usize| [3, 0, 1, b'a'].repeat(depth);
    let ends = |depth: usize| [0, 0, 9].repeat(depth);
    assert!(decode(&[nested(DEPTH_MAX), vec![5], ends(DEPTH_MAX)].concat()).is_ok());
    assert_eq!(
        decode(&[nested(DEPTH_MAX + 1), vec![5], ends(DEPTH_MAX + 1)].concat()),
        Err(Error::TooDeep)
    );
    assert_eq!(decode(&[10, 0, 0, 0, 1].repeat(10_000)), Err(Error::TooDeep));
}

#[test]
fn long_strings_have_32_bit_lengths() {
    let text = "x".repeat(65_536 - 8);
    assert_eq!(encoded(&[Value::string(&text)])[0], 2);
    let long = Value::String("x".repeat(65_536));
    let bytes = encoded(&[long]);
    assert_eq!(bytes[..5], [12, 0, 1, 0, 0]);
    assert_eq!(
        decode(&[12, 0, 0, 0, 2, b'o', b'k']).unwrap(),
        [Value::string("ok")]
    );
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        (-1e9..1e9f64).prop_map(Value::Number),
        any::<bool>().prop_map(Value::Boolean),
        ".{0,20}".prop_map(Value::String),
        Just(Value::Null),
        Just(Value::Undefined),
        (0.0..1e12f64).prop_map(Value::Date),
        Just(Value::Unsupported),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let properties = prop::collection::vec((".{0,8}", inner.clone()), 0..5);
        prop_oneof![
            properties.clone().prop_map(Value::Object),
            properties.prop_map(Value::EcmaArray),
            prop::collection::vec(inner, 0..5).prop_map(Value::StrictArray),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(values in prop::collection::vec(value(), 0..5)) {
        prop_assert_eq!(decode(&encoded(&values)).unwrap(), values);
    }

    #[test]
    fn garbage_does_not_panic(bytes in prop::collection::vec(prop_oneof![0..18u8, any::<u8>()], 0..300)) {
        let _either = decode(&bytes);
    }
}
