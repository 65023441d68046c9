//! Layers of settings, each leaf with its origin, so that every mistake can be named at once.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::{Config, SECRET, UNSET};

/// Prefix of environment variables; `RINGSIDE__EDGE__HTTP__LISTEN` sets `edge.http.listen`.
const PREFIX: &str = "RINGSIDE__";

/// A configuration with the origin of each value.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    origins: BTreeMap<String, Origin>,
}

#[derive(Debug, Clone)]
enum Origin {
    File(String, usize),
    Environment(String),
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, line) => write!(f, "{path}:{line}"),
            Self::Environment(name) => f.write_str(name),
            Self::Flag => f.write_str("--set"),
        }
    }
}

/// One leaf as somebody set it. `texts` are readings to try, the likeliest first.
struct Setting {
    key: String,
    readings: Vec<Value>,
    origin: Origin,
}

impl Loaded {
    /// Every key with its value and origin, as TOML that can be read back.
    pub(crate) fn print(&self) -> String {
        let mut text = String::new();
        for (key, value) in leaves(&table(&self.config)) {
            let origin = self
                .origins
                .get(&key)
                .map_or_else(|| "default".to_owned(), Origin::to_string);
            let shown = if SECRET.contains(&key.as_str()) {
                "\"***\"".to_owned()
            } else {
                value.to_string()
            };
            text.push_str(&format!("{key} = {shown}  # {origin}\n"));
        }
        text
    }
}

pub(super) fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    set: &[String],
) -> Result<Loaded, Vec<String>> {
    let mut mistakes = Vec::new();
    let mut settings = Vec::new();
    if let Some(path) = file {
        from_file(path, &mut settings, &mut mistakes);
    }
    from_environment(environment, &mut settings);
    from_flags(set, &mut settings, &mut mistakes);

    let defaults = table(&Config::default());
    let known: Vec<String> = leaves(&defaults)
        .into_keys()
        .chain(UNSET.iter().map(|key| (*key).to_owned()))
        .collect();
    let (mut merged, mut origins) = (defaults.clone(), BTreeMap::new());
    for setting in settings {
        match settle(&setting, &known, &defaults) {
            Ok(value) => {
                put(&mut merged, &setting.key, value);
                origins.insert(setting.key, setting.origin);
            }
            Err(mistake) => mistakes.push(format!("{}: {mistake}", setting.origin)),
        }
    }
    match Config::deserialize_from(merged) {
        Ok(config) => {
            mistakes.extend(config.mistakes());
            if mistakes.is_empty() {
                Ok(Loaded { config, origins })
            } else {
                Err(mistakes)
            }
        }
        Err(error) => {
            mistakes.push(error);
            Err(mistakes)
        }
    }
}

impl Config {
    fn deserialize_from(table: Table) -> Result<Self, String> {
        table
            .try_into()
            .map_err(|error: toml::de::Error| error.message().trim().to_owned())
    }
}

/// The first reading of a setting that its key accepts.
fn settle(setting: &Setting, known: &[String], defaults: &Table) -> Result<Value, String> {
    if !known.contains(&setting.key) {
        let near = |name: &&String| strsim::damerau_levenshtein(name, &setting.key);
        let nearest = known.iter().min_by_key(near).filter(|name| near(name) <= 5);
        let hint = nearest
            .map(|name| format!(" (did you mean `{name}`?)"))
            .unwrap_or_default();
        return Err(format!("unknown key `{}`{hint}", setting.key));
    }
    let mut refused = String::new();
    for value in &setting.readings {
        let mut trial = defaults.clone();
        put(&mut trial, &setting.key, value.clone());
        match Config::deserialize_from(trial) {
            Ok(_) => return Ok(value.clone()),
            Err(error) => refused = error,
        }
    }
    Err(format!("{}: {refused}", setting.key))
}

fn from_file(path: &Path, settings: &mut Vec<Setting>, mistakes: &mut Vec<String>) {
    let name = path.display().to_string();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return mistakes.push(format!("{name}: {error}")),
    };
    let parsed = DeTable::parse(&text).and_then(|spans| Ok((spans, toml::from_str::<Table>(&text)?)));
    match parsed {
        Ok((spans, values)) => walk("", spans.get_ref(), &values, &mut |key, value, at| {
            let origin = Origin::File(name.clone(), line_of(&text, at));
            settings.push(Setting {
                key,
                readings: vec![value.clone()],
                origin,
            });
        }),
        Err(error) => {
            let line = error.span().map_or(1, |span| line_of(&text, span.start));
            mistakes.push(format!("{name}:{line}: {}", error.message().trim()));
        }
    }
}

/// Visits each leaf with its key and where the key stands in the text.
fn walk(prefix: &str, spans: &DeTable<'_>, values: &Table, visit: &mut impl FnMut(String, &Value, usize)) {
    for (name, span) in spans {
        let key = if prefix.is_empty() {
            name.get_ref().to_string()
        } else {
            format!("{prefix}.{}", name.get_ref())
        };
        match (span.get_ref(), values.get(name.get_ref().as_ref())) {
            (DeValue::Table(spans), Some(Value::Table(values))) => walk(&key, spans, values, visit),
            (_, Some(value)) => visit(key, value, name.span().start),
            (_, None) => {}
        }
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

fn from_environment(environment: impl IntoIterator<Item = (String, String)>, settings: &mut Vec<Setting>) {
    for (name, text) in environment {
        let Some(key) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let key = key.to_ascii_lowercase().replace("__", ".");
        settings.push(Setting {
            key,
            readings: readings(&text),
            origin: Origin::Environment(name),
        });
    }
}

fn from_flags(set: &[String], settings: &mut Vec<Setting>, mistakes: &mut Vec<String>) {
    for pair in set {
        match pair.split_once('=') {
            Some((key, text)) => {
                settings.push(Setting {
                    key: key.to_owned(),
                    readings: readings(text),
                    origin: Origin::Flag,
                });
            }
            None => mistakes.push(format!("--set: `{pair}` is not of the form key=value")),
        }
    }
}

/// What a text without quotes may mean: a TOML value, or itself.
fn readings(text: &str) -> Vec<Value> {
    let value = toml::from_str::<Table>(&format!("v = {text}"))
        .ok()
        .and_then(|mut table| table.remove("v"));
    value
        .into_iter()
        .chain([Value::String(text.to_owned())])
        .collect()
}

fn table(config: &Config) -> Table {
    Table::try_from(config).expect("every field of the configuration has a TOML form")
}

fn leaves(table: &Table) -> BTreeMap<String, Value> {
    fn visit(prefix: &str, table: &Table, into: &mut BTreeMap<String, Value>) {
        for (name, value) in table {
            let key = if prefix.is_empty() {
                name.clone()
            } else {
                format!("{prefix}.{name}")
            };
            match value {
                Value::Table(inner) => visit(&key, inner, into),
                Value::String(_)
                | Value::Integer(_)
                | Value::Float(_)
                | Value::Boolean(_)
                | Value::Datetime(_)
                | Value::Array(_) => {
                    into.insert(key, value.clone());
                }
            }
        }
    }
    let mut into = BTreeMap::new();
    visit("", table, &mut into);
    into
}

fn put(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((head, rest)) => {
            let inner = table
                .entry(head.to_owned())
                .or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> Vec<(String, String)> {
        Vec::new()
    }

    #[test]
    fn the_defaults_are_valid_and_print_their_origin() {
        let loaded = load(None, none(), &[]).unwrap();
        assert!(
            loaded
                .print()
                .contains("edge.http.listen = \"0.0.0.0:8080\"  # default\n"),
            "{}",
            loaded.print()
        );
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            "profile = \"ultra\"\n\n[edge]\nlinger_s = 1\nidle_s = 7\n",
        )
        .unwrap();
        let env = [
            ("RINGSIDE__EDGE__LINGER_S".to_owned(), "2".to_owned()),
            ("HOME".to_owned(), "x".to_owned()),
        ];
        let set = [
            "edge.linger_s=3".to_owned(),
            "feed.secret=0123456789abcdef".to_owned(),
        ];
        let loaded = load(Some(file.path()), env, &set).unwrap();
        assert_eq!((loaded.config.edge.linger_s, loaded.config.edge.idle_s), (3, 7));
        let text = loaded.print();
        assert!(text.contains("edge.linger_s = 3  # --set"), "{text}");
        assert!(text.contains(":5\n"), "the line of idle_s: {text}");
        assert!(text.contains("feed.secret = \"***\"") && !text.contains("0123456789abcdef"));
    }

    #[test]
    fn every_mistake_is_named_with_its_place_and_the_nearest_key() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[edge]\nlingers_s = 1\nidle_s = \"x\"\n").unwrap();
        let set = [
            "nonsense".to_owned(),
            "edge.connections_max=0".to_owned(),
            "ops.listen=0.0.0.0:1".to_owned(),
        ];
        let mistakes = load(Some(file.path()), none(), &set).unwrap_err().join("\n");
        for part in [
            ":2: unknown key `edge.lingers_s` (did you mean `edge.linger_s`?)",
            ":3: edge.idle_s: ",
            "--set: `nonsense`",
            "edge.connections_max",
            "ops.listen",
        ] {
            assert!(mistakes.contains(part), "{part}: {mistakes}");
        }
    }

    #[test]
    fn a_text_may_look_like_a_number() {
        let set = [
            "ladder.frame_rate=30000/1001".to_owned(),
            "ingest.slate=404".to_owned(),
        ];
        let loaded = load(None, none(), &set).unwrap();
        assert_eq!(loaded.config.ingest.slate, "404");
        let broken = load(None, none(), &["edge.parents=[1]".to_owned()]).unwrap_err();
        assert!(broken[0].contains("edge.parents"), "{broken:?}");
    }
}
