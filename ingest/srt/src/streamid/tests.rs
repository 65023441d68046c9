use super::*;
use proptest::prelude::*;

/// key, resource, user, role
type Seen<'a> = (&'a str, Option<&'a str>, Option<&'a str>, Option<&'a str>);

#[test]
fn what_encoders_send_is_understood() {
    let table: &[(&str, Seen<'_>)] = &[
        ("k3y", ("k3y", None, None, None)),
        ("  k3y \r\n", ("k3y", None, None, None)),
        ("k3y\0\0\0", ("k3y", None, None, None)),
        ("k3y%0D%0A", ("k3y", None, None, None)),
        ("?k3y", ("k3y", None, None, None)),
        ("streamid=k3y", ("k3y", None, None, None)),
        ("?streamid=k3y&latency=200000", ("k3y", None, None, None)),
        ("k3y&latency=200", ("k3y", None, None, None)),
        ("k3y?role=backup&x", ("k3y", None, None, Some("backup"))),
        ("k3y&a=b?role=main", ("k3y", None, None, Some("main"))),
        ("a+b:c", ("a+b:c", None, None, None)),
        ("100%", ("100%", None, None, None)),
        ("%6b3y", ("k3y", None, None, None)),
        ("%256b3y", ("%6b3y", None, None, None)),
        ("live/k3y", ("live/k3y", None, None, None)),
        ("publish:k3y", ("k3y", None, None, None)),
        ("publish/k3y", ("k3y", None, None, None)),
        ("publish/live/k3y", ("live/k3y", None, None, None)),
        ("publish:k3y:role=backup", ("k3y", None, None, Some("backup"))),
        ("publish:main:ann:k3y", ("k3y", Some("main"), Some("ann"), None)),
        (
            "publish:main:ann:k3y:role=b_2",
            ("k3y", Some("main"), Some("ann"), Some("b_2")),
        ),
        (
            "#!::m=publish,r=main,u=ann,s=k3y",
            ("k3y", Some("main"), Some("ann"), None),
        ),
        (
            "#!::s=k3y,t=stream,h=example.org,user_x=1,m=publish,",
            ("k3y", None, None, None),
        ),
        ("#!::r=k3y", ("k3y", None, None, None)),
        ("#!::r=live/k3y,m=publish", ("live/k3y", None, None, None)),
        ("#!::r=k3y,s=", ("k3y", None, None, None)),
        ("#!:: r = k3y , m = publish ", ("k3y", None, None, None)),
        ("#!::r=k3y,role=backup", ("k3y", None, None, Some("backup"))),
        (
            "#!::r=k3y?role=backup&latency=9",
            ("k3y", None, None, Some("backup")),
        ),
        (
            "%23!%3A%3Am%3Dpublish%2Cr%3Dmain%2Cs%3Dk3y",
            ("k3y", Some("main"), None, None),
        ),
        ("?#!::m=bidirectional,s=k3y", ("k3y", None, None, None)),
        ("schlüssel", ("schlüssel", None, None, None)),
    ];
    for (raw, (key, resource, user, role)) in table {
        let seen = parse(raw.as_bytes()).unwrap_or_else(|error| panic!("{raw:?}: {error}"));
        assert_eq!(seen.key.expose(), *key, "{raw:?}");
        assert_eq!(seen.resource.as_deref(), *resource, "{raw:?}");
        assert_eq!(seen.user.as_deref(), *user, "{raw:?}");
        assert_eq!(seen.role.as_deref(), *role, "{raw:?}");
    }
}

#[test]
fn what_cannot_be_used_is_named() {
    let table: &[(&[u8], Error)] = &[
        (b"", Error::Empty),
        (b" \0\r\n", Error::Empty),
        (b"??", Error::Empty),
        (b"streamid=", Error::Empty),
        (&[b'x'; 513], Error::TooLong),
        (b"\xff\xfe", Error::NotUtf8),
        (b"%ff", Error::NotUtf8),
        (b"k3\ny", Error::Control),
        (b"k3%00y", Error::Control),
        (b"k3\xc2\x85y", Error::Control),
        (b"?&role=backup", Error::NoKey),
        (b"publish:", Error::NoKey),
        (b"publish/", Error::NoKey),
        (b"publish:main:ann:", Error::NoKey),
        (b"#!::m=publish,u=ann", Error::NoKey),
        (b"#!::", Error::NoKey),
        (b"#!::m=request,r=k3y", Error::Play),
        (b"#!::m=play,r=k3y", Error::Play),
        (b"read:k3y", Error::Play),
        (b"play/k3y", Error::Play),
        (b"request:k3y", Error::Play),
        (b"#!::m=steal,r=k3y", Error::Mode),
        (b"#!::t=file,r=k3y", Error::Type),
        (b"#!::r", Error::Syntax),
        (b"#!:{r=k3y}", Error::Syntax),
        (b"#!r=k3y", Error::Syntax),
        (b"#!::s=a,s=b", Error::Syntax),
        (b"#!::r=a,role=x?role=y", Error::Syntax),
        (b"k3y?role=", Error::Syntax),
        (b"k3y?role=back%20up", Error::Syntax),
        (b"publish:a:b:c:d:e", Error::Syntax),
    ];
    for (raw, error) in table {
        assert_eq!(
            parse(raw).err(),
            Some(*error),
            "{:?}",
            String::from_utf8_lossy(raw)
        );
    }
    assert!(parse(&[b'x'; LENGTH_MAX]).is_ok());
}

#[test]
fn a_copied_live_is_tried_without_it_second() {
    let candidates = |raw: &str| -> Vec<String> {
        let stream_id = parse(raw.as_bytes()).unwrap();
        stream_id.key.candidates().map(str::to_owned).collect()
    };
    assert_eq!(candidates("live/k3y"), ["live/k3y", "k3y"]);
    assert_eq!(candidates("live/live/k3y"), ["live/live/k3y", "live/k3y"]);
    assert_eq!(candidates("k3y"), ["k3y"]);
    assert_eq!(candidates("live/"), ["live/"]);
}

#[test]
fn nothing_prints_a_key() {
    for raw in [
        "s3cret",
        "#!::r=s3cret",
        "#!::r=main,s=s3cret",
        "publish:main:ann:s3cret",
        "live/s3cret",
    ] {
        let seen = format!("{:?}", parse(raw.as_bytes()).unwrap());
        assert!(!seen.contains("s3cret"), "{seen}");
    }
}

proptest! {
    #[test]
    fn any_bytes(raw in prop::collection::vec(any::<u8>(), 0..600)) {
        check(&raw);
    }

    #[test]
    fn likely_text(raw in "(\\?|%3F)?(streamid=)?(#!::|publish:|publish/|live/|read:)?([a-z]=)?[ -~,%:&?=ü\\x00\\n]{0,40}") {
        check(raw.as_bytes());
    }
}
