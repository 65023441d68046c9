//! What a token says (RFC 8392 §3, CTA-5007 §4.6), and whether that lets a request in.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ciborium::Value;
use hls::id::StreamId;

use super::{Network, Refusal, Unix};

/// Clocks that sign and clocks that check differ by so much at most, seconds.
const SKEW: Unix = 60;

/// Our own claim, by name: streams the token opens.
const STREAMS: &str = "ringside-streams";

const ISS: i128 = 1;
const SUB: i128 = 2;
const AUD: i128 = 3;
const EXP: i128 = 4;
const NBF: i128 = 5;
const IAT: i128 = 6;
const CTI: i128 = 7;
const CATV: i128 = 310;
const CATNIP: i128 = 311;
const CATU: i128 = 312;
const CATM: i128 = 313;
const CATGEOISO3166: i128 = 316;
/// Data for, and terms of, a renewal or an answer: they restrict nothing.
const CATIFDATA: i128 = 320;
const CATIF: i128 = 322;
const CATR: i128 = 323;
/// Where registered claims of CTA-5007 are; those that are not named above restrict.
const CTA: std::ops::RangeInclusive<i128> = 308..=339;

/// The path, among the components of a URI that `catu` may restrict.
const PATH: i128 = 3;

/// How a text must look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matches {
    /// It is this.
    Exact(String),
    /// It begins with this.
    Prefix(String),
    /// It ends with this.
    Suffix(String),
    /// This is in it.
    Contains(String),
}

/// What a token says. What is `None` or empty restricts nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claims {
    /// Who made it.
    pub issuer: Option<String>,
    /// Whom it is for.
    pub audience: Vec<String>,
    /// Its end.
    pub expires: Option<Unix>,
    /// Its begin.
    pub not_before: Option<Unix>,
    /// Its own name.
    pub id: Option<Vec<u8>>,
    /// All of these hold for the path without the token.
    pub path: Vec<Matches>,
    /// Streams it opens.
    pub streams: Option<BTreeSet<StreamId>>,
    /// HTTP methods it opens.
    pub methods: Option<Vec<String>>,
    /// Networks its viewer is in one of.
    pub networks: Option<Vec<Network>>,
    /// ISO 3166 codes its viewer is in one of, upper case.
    pub countries: Option<Vec<String>>,
}

/// What is asked for, and by whom.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The stream.
    pub stream: &'a StreamId,
    /// The path without the token.
    pub path: &'a str,
    /// Where the viewer is.
    pub address: IpAddr,
    /// Its country, where somebody trusted says so.
    pub country: Option<&'a str>,
    /// Whether playing begins with this: later requests outlive the token.
    pub begins: bool,
}

/// How an operator wants claims to be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// Playing may still begin so many seconds after the token's end.
    pub grace_s: u64,
    /// Whoever plays may go on for so many seconds after the token's end.
    pub session_s: u64,
    /// Who we are; a token for others is refused.
    pub audience: Option<String>,
}

impl Claims {
    /// Whether the request may be answered at `now`.
    pub fn check(&self, asked: &Asked<'_>, policy: &Policy, now: Unix) -> Result<(), Refusal> {
        let want = |good: bool, refusal: Refusal| if good { Ok(()) } else { Err(refusal) };
        // RFC 8392 §3.1.3 (RFC 7519 §4.1.3): who does not find itself among the audience refuses.
        let is_us = |name: &String| Some(name) == policy.audience.as_ref();
        want(
            self.audience.is_empty() || self.audience.iter().any(is_us),
            Refusal::Audience,
        )?;
        let opens = |streams: &BTreeSet<StreamId>| streams.contains(asked.stream);
        want(self.streams.as_ref().is_none_or(opens), Refusal::Path)?;
        want(self.path.iter().all(|one| one.hold(asked.path)), Refusal::Path)?;
        let reads = |methods: &Vec<String>| methods.iter().any(|method| method == "GET");
        want(self.methods.as_ref().is_none_or(reads), Refusal::Path)?;
        let near = |networks: &Vec<Network>| networks.iter().any(|one| one.contains(asked.address));
        want(self.networks.as_ref().is_none_or(near), Refusal::Network)?;
        let home = |countries: &Vec<String>| asked.country.is_some_and(|code| is_in(code, countries));
        want(self.countries.as_ref().is_none_or(home), Refusal::Country)?;
        let begun = |begin: Unix| begin <= now.saturating_add(SKEW);
        want(self.not_before.is_none_or(begun), Refusal::Early)?;
        let after = if asked.begins {
            policy.grace_s
        } else {
            policy.session_s.max(policy.grace_s)
        };
        let alive = |end: Unix| now <= end.saturating_add(after);
        want(self.expires.is_none_or(alive), Refusal::Expired)
    }

    pub(super) fn write(&self) -> Value {
        let mut map = Vec::new();
        let mut put = |label: Value, value: Option<Value>| {
            if let Some(value) = value {
                map.push((label, value));
            }
        };
        let label = |number: i128| i64::try_from(number).map_or(Value::Null, Value::from);
        let texts = |texts: &[String]| Value::Array(texts.iter().cloned().map(Value::Text).collect());
        put(label(ISS), self.issuer.clone().map(Value::Text));
        put(
            label(AUD),
            (!self.audience.is_empty()).then(|| texts(&self.audience)),
        );
        put(label(EXP), self.expires.map(Value::from));
        put(label(NBF), self.not_before.map(Value::from));
        put(label(CTI), self.id.clone().map(Value::Bytes));
        put(label(CATV), Some(Value::from(1)));
        let networks = |all: &Vec<Network>| Value::Array(all.iter().map(Network::write).collect());
        put(label(CATNIP), self.networks.as_ref().map(networks));
        let rules = self.path.iter().map(Matches::write).collect();
        let path = (!self.path.is_empty()).then(|| Value::Map(vec![(label(PATH), Value::Map(rules))]));
        put(label(CATU), path);
        put(label(CATM), self.methods.as_deref().map(texts));
        put(label(CATGEOISO3166), self.countries.as_deref().map(texts));
        let names = |all: &BTreeSet<StreamId>| {
            Value::Array(all.iter().map(|id| Value::Text(id.to_string())).collect())
        };
        put(Value::Text(STREAMS.to_owned()), self.streams.as_ref().map(names));
        Value::Map(map)
    }

    /// Reads a verified payload. A claim of CTA-5007 that restricts and is not known here refuses; any other that is not
    /// known is passed over (RFC 8392 §3).
    pub(super) fn read(value: Value) -> Result<Self, Refusal> {
        let map = value.into_map().map_err(|_| Refusal::Malformed)?;
        let mut claims = Self::default();
        let mut seen = BTreeSet::new();
        for (label, value) in map {
            if label.as_text() == Some(STREAMS) {
                if claims.streams.replace(streams(value)?).is_some() {
                    return Err(Refusal::Malformed);
                }
                continue;
            }
            let Some(label) = label.as_integer().map(i128::from) else {
                continue;
            };
            if !seen.insert(label) {
                return Err(Refusal::Malformed);
            }
            claims.take(label, value)?;
        }
        Ok(claims)
    }

    fn take(&mut self, label: i128, value: Value) -> Result<(), Refusal> {
        match label {
            ISS => self.issuer = Some(text(value)?),
            AUD if value.is_text() => self.audience = vec![text(value)?],
            AUD => self.audience = texts(value)?,
            EXP => self.expires = Some(time(&value)?),
            NBF => self.not_before = Some(time(&value)?),
            CTI => self.id = Some(value.into_bytes().map_err(|_| Refusal::Malformed)?),
            CATV if value == Value::from(1) => {}
            CATNIP => self.networks = Some(array(value)?.iter().filter_map(Network::read).collect()),
            CATU => self.path = uri(value)?,
            CATM => self.methods = Some(texts(value)?),
            CATGEOISO3166 => self.countries = Some(texts(value)?),
            SUB | IAT | CATIFDATA | CATIF | CATR => {}
            // `cnf` (8) binds the token to a key whose possession nobody proves here.
            8 => return Err(Refusal::Unsupported),
            _ if CTA.contains(&label) => return Err(Refusal::Unsupported),
            _ => {}
        }
        Ok(())
    }
}

impl Matches {
    fn hold(&self, text: &str) -> bool {
        match self {
            Self::Exact(wanted) => text == wanted,
            Self::Prefix(wanted) => text.starts_with(wanted.as_str()),
            Self::Suffix(wanted) => text.ends_with(wanted.as_str()),
            Self::Contains(wanted) => text.contains(wanted.as_str()),
        }
    }

    fn write(&self) -> (Value, Value) {
        let (kind, wanted) = match self {
            Self::Exact(wanted) => (0, wanted),
            Self::Prefix(wanted) => (1, wanted),
            Self::Suffix(wanted) => (2, wanted),
            Self::Contains(wanted) => (3, wanted),
        };
        (Value::from(kind), Value::Text(wanted.clone()))
    }
}

/// Whether a code is listed: a country covers its subdivisions, so `US` lets `US-CA` in.
fn is_in(code: &str, listed: &[String]) -> bool {
    let country = code.split('-').next().unwrap_or(code);
    listed
        .iter()
        .any(|one| one.eq_ignore_ascii_case(code) || one.eq_ignore_ascii_case(country))
}

/// CTA-5007 §4.6.6: components of the URI, each with how it must look. Only the path is known here: hosts, schemes and
/// ports are those of whoever is in front of us.
fn uri(value: Value) -> Result<Vec<Matches>, Refusal> {
    let mut all = Vec::new();
    for (component, rules) in value.into_map().map_err(|_| Refusal::Malformed)? {
        if component != Value::from(3) {
            return Err(Refusal::Unsupported);
        }
        for (kind, wanted) in rules.into_map().map_err(|_| Refusal::Malformed)? {
            let kind = kind.as_integer().map(i128::from);
            all.push(match kind.ok_or(Refusal::Malformed)? {
                0 => Matches::Exact(text(wanted)?),
                1 => Matches::Prefix(text(wanted)?),
                2 => Matches::Suffix(text(wanted)?),
                3 => Matches::Contains(text(wanted)?),
                _ => return Err(Refusal::Unsupported),
            });
        }
    }
    Ok(all)
}

fn streams(value: Value) -> Result<BTreeSet<StreamId>, Refusal> {
    let id = |name: String| StreamId::new(&name).map_err(|_| Refusal::Malformed);
    texts(value)?.into_iter().map(id).collect()
}

fn text(value: Value) -> Result<String, Refusal> {
    value.into_text().map_err(|_| Refusal::Malformed)
}

fn array(value: Value) -> Result<Vec<Value>, Refusal> {
    value.into_array().map_err(|_| Refusal::Malformed)
}

fn texts(value: Value) -> Result<Vec<String>, Refusal> {
    array(value)?.into_iter().map(text).collect()
}

/// RFC 8392 §2: a NumericDate, without a tag.
fn time(value: &Value) -> Result<Unix, Refusal> {
    if let Some(seconds) = value.as_integer() {
        return Unix::try_from(seconds).map_err(|_| Refusal::Malformed);
    }
    let seconds = value.as_float().filter(|seconds| (0.0..1e15).contains(seconds));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it fits, as was asked; fractions of a second are dropped"
    )]
    seconds.map(|seconds| seconds as Unix).ok_or(Refusal::Malformed)
}
