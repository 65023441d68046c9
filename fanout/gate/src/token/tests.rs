use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ciborium::Value;
use coset::{CborSerializable as _, CoseMac0Builder, HeaderBuilder, TaggedCborSerializable as _, iana};
use hls::id::StreamId;
use proptest::prelude::*;

use super::*;

const SECRET: [u8; 32] = [7; 32];

fn entry() -> Entry {
    Entry::hs256("k1", &SECRET, 0)
}

fn keys(entries: &[Entry]) -> Keys {
    Keys::new(&File {
        key: entries.to_vec(),
    })
    .unwrap()
}

fn stream(name: &str) -> StreamId {
    StreamId::new(name).unwrap()
}

fn full() -> Claims {
    Claims {
        issuer: Some("box office".to_owned()),
        audience: vec!["us".to_owned()],
        expires: Some(2_000),
        not_before: Some(1_000),
        id: Some(vec![1, 2, 3]),
        path: vec![
            Matches::Prefix("/live/main/".to_owned()),
            Matches::Contains("audio".to_owned()),
        ],
        streams: Some([stream("main")].into()),
        methods: Some(vec!["GET".to_owned()]),
        networks: Some(vec![
            "192.0.2.0/24".parse().unwrap(),
            "2001:db8::/32".parse().unwrap(),
        ]),
        countries: Some(vec!["US".to_owned()]),
    }
}

fn signed(payload: &Value) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &SECRET);
    let sealed = CoseMac0Builder::new()
        .protected(
            HeaderBuilder::new()
                .algorithm(iana::Algorithm::HMAC_256_256)
                .build(),
        )
        .unprotected(HeaderBuilder::new().key_id(b"k1".to_vec()).build())
        .payload(payload.clone().to_vec().unwrap())
        .create_tag(b"", |data| aws_lc_rs::hmac::sign(&key, data).as_ref().to_vec())
        .build();
    URL_SAFE_NO_PAD.encode(sealed.to_tagged_vec().unwrap())
}

fn check(claims: &Claims, path: &str, address: &str, now: Unix) -> Result<(), Refusal> {
    checked(claims, path, address, now, true)
}

fn checked(claims: &Claims, path: &str, address: &str, now: Unix, begins: bool) -> Result<(), Refusal> {
    let policy = Policy {
        grace_s: 300,
        session_s: 3_600,
        audience: Some("us".to_owned()),
    };
    let name = path.split('/').nth(2).unwrap();
    let asked = Asked {
        stream: &stream(name),
        path,
        address: address.parse().unwrap(),
        country: Some("us-ca"),
        begins,
    };
    claims.check(&asked, &policy, now)
}

#[test]
fn what_was_signed_is_read_back_under_both_algorithms() {
    let (mac, pair) = (entry(), Entry::es256("k2", 0).unwrap());
    let edge = File {
        key: vec![mac.clone(), pair.clone()],
    }
    .for_edges();
    assert!(edge.key.iter().all(|key| key.private.is_none()));
    let keys = Keys::new(&edge).unwrap();
    for entry in [&mac, &pair] {
        let token = Signer::new(entry).unwrap().sign(&full()).unwrap();
        assert!(token.len() < 400, "{} characters", token.len());
        assert_eq!(keys.verify(&token), Ok(full()));
    }
    assert!(Signer::new(&edge.key[1]).is_err(), "an edge cannot sign");
}

#[test]
fn a_token_of_another_or_revoked_key_is_refused_by_name() {
    let token = Signer::new(&entry()).unwrap().sign(&Claims::default()).unwrap();
    let other = Entry::hs256("k1", &[8; 32], 0);
    let elsewhere = Entry::hs256("k3", &SECRET, 0);
    let pair = Entry {
        id: "k1".to_owned(),
        ..Entry::es256("x", 0).unwrap()
    };
    let mut revoked = entry();
    revoked.revoked = Some(5);
    assert_eq!(
        keys(std::slice::from_ref(&other)).verify(&token),
        Err(Refusal::Signature)
    );
    assert_eq!(keys(&[pair]).verify(&token), Err(Refusal::Signature));
    assert_eq!(keys(&[elsewhere]).verify(&token), Err(Refusal::UnknownKey));
    assert_eq!(
        keys(std::slice::from_ref(&revoked)).verify(&token),
        Err(Refusal::Revoked)
    );
    let forged = Signer::new(&other).unwrap().sign(&Claims::default()).unwrap();
    assert_eq!(keys(&[revoked]).verify(&forged), Err(Refusal::Signature));
}

#[test]
fn claims_restrict() {
    let good = ("/live/main/audio/media.m3u8", "192.0.2.7", 1_500);
    let ask = |path, address, now| check(&full(), path, address, now);
    assert_eq!(ask(good.0, good.1, good.2), Ok(()));
    assert_eq!(ask(good.0, "2001:db8:1::1", good.2), Ok(()));
    assert_eq!(ask(good.0, "::ffff:192.0.2.7", good.2), Ok(()));
    assert_eq!(
        ask("/live/other/audio/media.m3u8", good.1, good.2),
        Err(Refusal::Path)
    );
    assert_eq!(ask("/live/main/360p/", good.1, good.2), Err(Refusal::Path));
    assert_eq!(ask(good.0, "192.0.3.7", good.2), Err(Refusal::Network));
    assert_eq!(ask(good.0, "2001:db9::1", good.2), Err(Refusal::Network));
    assert_eq!(ask(good.0, good.1, 1_000 - 61), Err(Refusal::Early));
    assert_eq!(ask(good.0, good.1, 1_000 - 60), Ok(()));
    let abroad = Claims {
        countries: Some(vec!["CA".to_owned()]),
        ..full()
    };
    assert_eq!(check(&abroad, good.0, good.1, good.2), Err(Refusal::Country));
    let others = Claims {
        audience: vec!["them".to_owned()],
        ..full()
    };
    assert_eq!(check(&others, good.0, good.1, good.2), Err(Refusal::Audience));
    let posts = Claims {
        methods: Some(vec!["POST".to_owned()]),
        ..full()
    };
    assert_eq!(check(&posts, good.0, good.1, good.2), Err(Refusal::Path));
}

#[test]
fn whoever_plays_outlives_the_token_for_a_while() {
    let at = |now, begins| checked(&full(), "/live/main/audio/media.m3u8", "192.0.2.7", now, begins);
    assert_eq!(at(2_300, true), Ok(()));
    assert_eq!(at(2_301, true), Err(Refusal::Expired));
    assert_eq!(at(2_301, false), Ok(()));
    assert_eq!(at(5_600, false), Ok(()));
    assert_eq!(at(5_601, false), Err(Refusal::Expired));
}

#[test]
fn a_restriction_that_is_not_understood_refuses() {
    let claim = |label: i64, value: Value| Value::Map(vec![(label.into(), value)]);
    let uri = |component: i64, kind: i64| {
        let rule = Value::Map(vec![(kind.into(), Value::Text("/".to_owned()))]);
        claim(312, Value::Map(vec![(component.into(), rule)]))
    };
    let refused = |payload: &Value| keys(&[entry()]).verify(&signed(payload)).unwrap_err();
    for label in [8, 308, 309, 314, 315, 317, 318, 319, 321, 324] {
        assert_eq!(
            refused(&claim(label, Value::from(1))),
            Refusal::Unsupported,
            "{label}"
        );
    }
    for (component, kind) in [(0, 0), (1, 0), (2, 0), (4, 1), (3, 4), (3, -1)] {
        assert_eq!(
            refused(&uri(component, kind)),
            Refusal::Unsupported,
            "{component} {kind}"
        );
    }
    assert_eq!(refused(&claim(310, Value::from(2))), Refusal::Unsupported);
    for (label, value) in [
        (4, Value::Text("soon".to_owned())),
        (4, Value::from(-1)),
        (4, Value::Float(f64::NAN)),
        (312, Value::Null),
        (311, Value::Null),
    ] {
        assert_eq!(refused(&claim(label, value)), Refusal::Malformed, "{label}");
    }
    let twice = Value::Map(vec![
        (4.into(), Value::from(1)),
        (4.into(), Value::from(u64::MAX)),
    ]);
    assert_eq!(refused(&twice), Refusal::Malformed);
    // Networks that cannot be read, such as autonomous systems, let nobody in.
    let system = claim(311, Value::Array(vec![Value::from(64_500)]));
    let claims = keys(&[entry()]).verify(&signed(&system)).unwrap();
    assert_eq!(
        check(&claims, "/live/main/a", "192.0.2.7", 1),
        Err(Refusal::Network)
    );
    // What tells and does not restrict is passed over.
    let tells = Value::Map(vec![
        (2.into(), Value::Text("somebody".to_owned())),
        (6.into(), Value::from(1)),
        (4.into(), Value::Float(10.5)),
        (323.into(), Value::Null),
        (99_999.into(), Value::Null),
    ]);
    assert_eq!(
        keys(&[entry()]).verify(&signed(&tells)).unwrap().expires,
        Some(10)
    );
}

#[test]
fn rfc_9052_headers_that_nobody_signs_choose_no_algorithm() {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &SECRET);
    let algorithm = |algorithm| {
        HeaderBuilder::new()
            .algorithm(algorithm)
            .key_id(b"k1".to_vec())
            .build()
    };
    let seal = |protected, open| {
        let sealed = CoseMac0Builder::new()
            .protected(protected)
            .unprotected(open)
            .payload(Value::Map(Vec::new()).to_vec().unwrap())
            .create_tag(b"", |data| aws_lc_rs::hmac::sign(&key, data).as_ref().to_vec())
            .build();
        URL_SAFE_NO_PAD.encode(sealed.to_tagged_vec().unwrap())
    };
    let verify = |token: String| keys(&[entry()]).verify(&token);
    let bare = || HeaderBuilder::new().build();
    let hs = iana::Algorithm::HMAC_256_256;
    assert_eq!(verify(seal(algorithm(hs), bare())), Ok(Claims::default()));
    assert_eq!(verify(seal(bare(), algorithm(hs))), Err(Refusal::Signature));
    assert_eq!(
        verify(seal(algorithm(iana::Algorithm::HMAC_256_64), bare())),
        Err(Refusal::Signature)
    );
    let critical = HeaderBuilder::new().algorithm(hs).key_id(b"k1".to_vec());
    let critical = critical.add_critical(iana::HeaderParameter::Iv).build();
    assert_eq!(verify(seal(critical, bare())), Err(Refusal::Unsupported));
}

#[test]
fn a_keys_file_is_whole_or_refused_without_its_secrets() {
    let text = toml::to_string(&File {
        key: vec![entry(), Entry::es256("k2", 9).unwrap()],
    })
    .unwrap();
    let file = File::parse(&text).unwrap();
    assert_eq!(Keys::new(&file).unwrap().len(), 2);
    let secret = file.key[0].secret.clone().unwrap();
    assert!(!format!("{file:?}").contains(&secret));
    let error = File::parse(&format!("[[key]]\nid = \"a\"\nsecert = \"{secret}\"\n")).unwrap_err();
    assert!(!error.to_string().contains(&secret), "{error}");
    let refused = |entry: Entry| Keys::new(&File { key: vec![entry] }).err().unwrap();
    assert!(
        refused(Entry::hs256("a", &[0; 31], 0))
            .to_string()
            .contains("32 bytes")
    );
    assert_eq!(refused(Entry::hs256("", &SECRET, 0)), KeyError::Id);
    assert!(
        refused(Entry {
            algorithm: Algorithm::ES256,
            ..entry()
        })
        .to_string()
        .contains("65 bytes")
    );
    let twice = File {
        key: vec![entry(), entry()],
    };
    assert_eq!(Keys::new(&twice).err(), Some(KeyError::Twice("k1".to_owned())));
}

proptest! {
    #[test]
    fn any_text_is_refused(token in "[A-Za-z0-9_-]{0,300}") {
        prop_assert!(keys(&[entry()]).verify(&token).is_err());
    }

    #[test]
    fn a_changed_token_is_refused(at in 0usize..200, bit in 0u8..8) {
        let token = Signer::new(&entry()).unwrap().sign(&full()).unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(token).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        prop_assert!(keys(&[entry()]).verify(&URL_SAFE_NO_PAD.encode(bytes)).is_err());
    }

    #[test]
    fn any_signed_bytes_are_claims_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(value) = Value::from_slice(&bytes) {
            let _either = keys(&[entry()]).verify(&signed(&value));
        }
    }

    #[test]
    fn a_network_holds_what_begins_alike(address in any::<u32>(), other in any::<u32>(), bits in 0u8..=32) {
        let ip = |bits: u32| IpAddr::from(std::net::Ipv4Addr::from_bits(bits));
        let network: Network = format!("{}/{bits}", ip(address)).parse().unwrap();
        let alike = bits == 0 || (address ^ other).leading_zeros() >= u32::from(bits);
        prop_assert!(network.contains(ip(address)));
        prop_assert_eq!(network.contains(ip(other)), alike);
        prop_assert_eq!(network.to_string().parse(), Ok(network));
    }
}
