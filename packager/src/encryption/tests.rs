use std::fmt::Write as _;

use super::*;
use hls::id::{Msn, StreamId};

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn served(method: Method) -> Encryption {
    Encryption {
        method,
        serve_keys: true,
        ..Encryption::default()
    }
}

fn entry(from: u64, digit: &str) -> String {
    let hex = digit.repeat(32);
    format!("[[keys]]\nfrom = {from}\nkid = \"{hex}\"\nkey = \"{hex}\"\niv = \"{hex}\"\n")
}

fn keys(encryption: &Encryption) -> Keys {
    match encryption.rule() {
        Ok(Rule::Under(under)) => under.keys,
        Ok(Rule::Clear) => panic!("clear"),
        Err(mistakes) => panic!("{mistakes:?}"),
    }
}

fn stream(name: &str) -> StreamId {
    StreamId::new(name).unwrap()
}

#[test]
fn every_fault_has_its_own_words() {
    let secret = Some("0123456789abcdef0123456789abcdef".to_owned());
    let good = Encryption {
        master_secret: secret.clone(),
        ..served(Method::SampleAes)
    };
    assert_eq!(good.mistakes(), Vec::<String>::new());
    let one = file(&entry(0, "a"));
    let said = |change: &dyn Fn(&mut Encryption)| {
        let mut bad = good.clone();
        change(&mut bad);
        bad.mistakes().join("\n")
    };
    for (words, mistakes) in [
        ("but `method` is none", said(&|e| e.method = Method::None)),
        ("exactly one of", said(&|e| e.master_secret = None)),
        ("exactly one of", said(&|e| e.keys = Some(one.path().to_owned()))),
        (
            "fewer than 32",
            said(&|e| e.master_secret = Some("short".to_owned())),
        ),
        ("nobody could play", said(&|e| e.serve_keys = false)),
        (
            "exclude each other",
            said(&|e| e.key_uri = Some("https://a/{kid}".to_owned())),
        ),
        (
            "with {kid} in it",
            said(&|e| (e.serve_keys, e.key_uri) = (false, Some("https://a".to_owned()))),
        ),
        (
            "with {kid} in it",
            said(&|e| (e.serve_keys, e.key_uri) = (false, Some("a-{kid}".to_owned()))),
        ),
        (
            "sample-aes alone",
            said(&|e| (e.method, e.key_format) = (Method::Aes128, Some("com.a".to_owned()))),
        ),
        (
            "does not go with `keys`",
            said(&|e| (e.master_secret, e.keys, e.rotate_segments) = (None, Some(one.path().to_owned()), 5)),
        ),
        (
            "No such file",
            said(&|e| (e.master_secret, e.keys) = (None, Some("/nowhere".into()))),
        ),
    ] {
        assert!(mistakes.contains(words), "{words}: {mistakes}");
        assert!(mistakes.starts_with("packager.encryption: "), "{mistakes}");
    }
    assert!(!format!("{good:?}").contains("0123"), "no secret is printed");
}

#[test]
fn a_file_of_keys_says_from_where_on_each_applies() {
    let text = [
        &entry(5, "a"),
        "[[keys]]\nfrom = 8\nclear = true\n",
        &entry(9, "b"),
    ]
    .concat();
    let listed = file(&text);
    let keys = keys(&Encryption {
        keys: Some(listed.path().to_owned()),
        ..served(Method::Aes128)
    });
    let kinds = (4..11).map(|n| {
        keys.key(&stream("main"), keys.period(Msn(n)))
            .map(|key| key.kid[0])
    });
    let (a, b) = (Some(0xaa), Some(0xbb));
    assert_eq!(kinds.collect::<Vec<_>>(), [None, a, a, a, None, b, b]);
    for (words, text) in [
        ("two keys from 5", [entry(5, "a"), entry(5, "b")].concat()),
        (
            "two keys of kid",
            [entry(5, "a"), entry(6, "b").replacen("b", "a", 33)].concat(),
        ),
        ("32 hexadecimal digits", entry(5, "z")),
        ("has no `iv`", entry(5, "a").replace("iv =", "#")),
        (":4: ", entry(5, "a").replace("key = \"a", "key = a")),
        ("is clear, and yet", entry(5, "a") + "clear = true\n"),
        ("no key", "keys = []".to_owned()),
    ] {
        let file = file(&text);
        let mistakes = Encryption {
            keys: Some(file.path().to_owned()),
            ..served(Method::Aes128)
        }
        .mistakes()
        .join("\n");
        assert!(mistakes.contains(words), "{words}: {mistakes}");
        assert!(!mistakes.contains("aaaa\""), "no key is printed: {mistakes}");
    }
}

#[test]
fn packagers_that_share_a_secret_agree_and_no_two_periods_or_streams_share_a_key() {
    let of = |secret: &str| Keys::derived(secret, 10);
    let (one, two, other) = (of("secret"), of("secret"), of("Secret"));
    let mut known = std::collections::BTreeSet::new();
    for name in ["main", "second"] {
        for period in 0..50 {
            let at = one.period(Msn(period * 10 + 9));
            assert_eq!(at, one.period(Msn(period * 10)));
            let key = one.key(&stream(name), at).unwrap();
            assert_eq!(two.key(&stream(name), at).unwrap(), key);
            assert_ne!(other.key(&stream(name), at).unwrap(), key);
            assert!(known.insert(key.kid) && known.insert(key.key) && known.insert(key.iv));
        }
    }
    let forever = Keys::derived("secret", 0);
    assert_eq!(forever.period(Msn(0)), forever.period(Msn(u64::MAX)));
}

const CPIX: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<cpix:CPIX xmlns:cpix="urn:dashif:org:cpix" xmlns:pskc="urn:ietf:params:xml:ns:keyprov:pskc" version="2.3">
  <cpix:ContentKeyList>
    <cpix:ContentKey kid="e82f184c-3aaa-57b4-ace8-606b5e3febad" explicitIV="AAECAwQFBgcICQoLDA0ODw==" commonEncryptionScheme="cbcs">
      <cpix:Data><pskc:Secret><pskc:PlainValue>ABEiM0RVZneImaq7zN3u/w==</pskc:PlainValue></pskc:Secret></cpix:Data>
    </cpix:ContentKey>
    <cpix:ContentKey kid="087bcfc6-f7a5-716f-b840-6a6eba3369a1">
      <cpix:Data><pskc:Secret><pskc:PlainValue>/+7dzLuqmYh3ZlVEMyIRAA==</pskc:PlainValue></pskc:Secret></cpix:Data>
    </cpix:ContentKey>
  </cpix:ContentKeyList>
</cpix:CPIX>"#;

#[test]
fn keys_of_a_cpix_document_are_taken_in_its_order() {
    let document = file(CPIX);
    let mut encryption = Encryption {
        cpix: Some(document.path().to_owned()),
        rotate_segments: 4,
        ..served(Method::SampleAes)
    };
    let keys = keys(&encryption);
    let at = |n| keys.key(&stream("main"), keys.period(Msn(n))).unwrap();
    let hex = |bytes: [u8; 16]| {
        bytes.iter().fold(String::new(), |mut out, b| {
            write!(out, "{b:02x}").unwrap();
            out
        })
    };
    assert_eq!(hex(at(0).kid), "e82f184c3aaa57b4ace8606b5e3febad");
    assert_eq!(hex(at(3).key), "00112233445566778899aabbccddeeff");
    assert_eq!(hex(at(0).iv), "000102030405060708090a0b0c0d0e0f");
    assert_eq!(hex(at(4).key), "ffeeddccbbaa99887766554433221100");
    assert_ne!(at(4).iv, at(4).kid);
    assert_eq!(at(8), at(0));
    encryption.rotate_segments = 0;
    assert!(
        encryption
            .mistakes()
            .join("")
            .contains("2 keys, but `rotate_segments` is 0")
    );
    for (words, text) in [
        ("not XML", "<".to_owned()),
        ("not a CPIX document", "<a/>".to_owned()),
        (
            "0 ContentKeys",
            CPIX.replace("cpix:ContentKey ", "cpix:Other ")
                .replace("</cpix:ContentKey>", "</cpix:Other>"),
        ),
        (
            "line 4: ContentKey of kid \"e8\"",
            CPIX.replace("e82f184c-3aaa-57b4-ace8-606b5e3febad", "e8"),
        ),
        (
            "encrypted keys are not read",
            CPIX.replace("pskc:PlainValue", "pskc:EncryptedValue"),
        ),
        ("not 16 bytes in Base64", CPIX.replace("ABEiM0", "ABEi")),
        ("other than cbcs", CPIX.replace("\"cbcs\"", "\"cenc\"")),
        ("explicitIV is not", CPIX.replace("AAECAw", "!")),
    ] {
        assert!(cpix::keys(&text).unwrap_err().contains(words), "{words}");
    }
}
