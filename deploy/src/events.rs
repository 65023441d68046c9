//! `ringside events`: recordings in `data.dir` and in the archive, listed, shown and deleted, and clips of them, whether
//! a packager runs or not.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use hls::id::StreamId;
use packager::Archive;
use packager::archive::{Absent, Order, Record};
use packager::events::{self, Event};

use crate::cli::{Failure, Settings};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the events that are kept: when they began, how long they are, and how large.
    List(List),
    /// Show one event.
    Show(One),
    /// Delete one event, from the archive too; a stream's newest only where no packager runs.
    Delete(One),
    /// Make a clip of what is archived.
    Clip(Cut),
}

#[derive(Debug, Args)]
pub(crate) struct Cut {
    /// The stream.
    #[arg(value_parser = stream)]
    stream: StreamId,
    /// When it begins, RFC 3339.
    #[arg(long)]
    from: String,
    /// When it ends, RFC 3339.
    #[arg(long)]
    to: String,
    /// The event, as `ringside events list` names it; the newest that has the range.
    #[arg(long)]
    event: Option<u64>,
    /// What it is called.
    #[arg(long)]
    name: Option<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
pub(crate) struct One {
    /// The stream.
    #[arg(value_parser = stream)]
    stream: StreamId,
    /// The event, as `ringside events list` names it.
    event: u64,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

fn stream(text: &str) -> Result<StreamId, String> {
    StreamId::new(text).map_err(|error| error.to_string())
}

impl Command {
    /// Does it, and says what was done.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let said = match self {
            Self::List(list) => list.run(),
            Self::Show(one) => one.show(),
            Self::Delete(one) => one.delete(),
            Self::Clip(cut) => cut.run(),
        }?;
        let written = std::io::stdout().write_all(said.as_bytes());
        written.map_err(|error| Failure::Run(error.into()))
    }
}

impl List {
    fn run(self) -> Result<String, Failure> {
        let known = Known::find(&self.settings)?;
        if self.json {
            json(&known.all)
        } else {
            Ok(table(&known.all))
        }
    }
}

impl One {
    fn show(self) -> Result<String, Failure> {
        let known = Known::find(&self.settings)?.all.into_iter();
        let mut this = known.filter(|one| one.event == self.event && one.stream == self.stream.as_str());
        let one = this
            .next()
            .ok_or_else(|| events::Error::Unknown(self.stream.clone(), self.event))
            .map_err(anyhow::Error::from)?;
        if self.json {
            return json(&one);
        }
        let (disk, stored) = (one.disk.as_ref(), one.archive.as_ref());
        Ok(format!(
            "stream    {}\nevent     {}\nstarted   {}\nlength    {}\nsegments  {} on disk\nsize      {} on disk, {} in the archive\nstate     {}\narchive   {}\ntracks    {}\n",
            one.stream,
            one.event,
            one.started(),
            length(one.length_s()),
            disk.map_or(0, |disk| disk.segments),
            size(disk.map_or(0, |disk| disk.bytes)),
            size(stored.map_or(0, |stored| stored.bytes)),
            one.state(),
            one.archived(),
            disk.map_or_else(|| stored.map(|stored| &stored.tracks), |disk| Some(&disk.tracks))
                .map_or(String::new(), |tracks| tracks.join(", ")),
        ))
    }

    fn delete(self) -> Result<String, Failure> {
        let config = self.settings.load()?.config;
        let on_disk = match events::delete(&config.data.dir, &self.stream, self.event) {
            Err(events::Error::Unknown(..)) => false,
            deleted => deleted.map(|()| true).map_err(anyhow::Error::from)?,
        };
        let stored = match archive(&config)? {
            Some(archive) => {
                let deleted = block_on(archive.delete(&self.stream, self.event))?;
                deleted.context("the event is not deleted from the archive: say it again")?
            }
            None => false,
        };
        let Self { stream, event, .. } = self;
        if !on_disk && !stored {
            let unknown = events::Error::Unknown(stream, event);
            return Err(anyhow::Error::from(unknown).into());
        }
        if self.json {
            return json(&serde_json::json!({ "deleted": { "stream": stream, "event": event } }));
        }
        Ok(format!("event {event} of stream {stream} is deleted\n"))
    }
}

impl Cut {
    fn run(self) -> Result<String, Failure> {
        let config = self.settings.load()?.config;
        let archive = archive(&config)?.context("packager.archive.url is off")?;
        let order = Order {
            from: self.from,
            to: self.to,
            event: self.event,
            name: self.name,
        };
        let clip = block_on(archive.clip(self.stream, order))?;
        let clip = clip.map_err(anyhow::Error::from)?;
        if self.json {
            return json(&clip);
        }
        Ok(format!("clip {} is {:?}: {}\n", clip.id, clip.state, clip.path).to_lowercase())
    }
}

/// An event on disk, in the archive, or both.
#[derive(Debug, serde::Serialize)]
struct Whole {
    stream: String,
    event: u64,
    /// On disk.
    disk: Option<Event>,
    /// In the archive.
    archive: Option<Record>,
    /// Objects there are to be archived, as far as is known here.
    objects_due: u64,
}

/// All events.
struct Known {
    all: Vec<Whole>,
}

impl Known {
    fn find(settings: &Settings) -> Result<Self, Failure> {
        let config = settings.load()?.config;
        let dir = &config.data.dir;
        let disk = events::list(dir).with_context(|| format!("events of data.dir {}", dir.display()))?;
        let stored = match archive(&config)? {
            Some(archive) => block_on(archive.records())?.unwrap_or_else(|failure| {
                eprintln!("ringside: the archive is left out: {failure}");
                Vec::new()
            }),
            None => Vec::new(),
        };
        let mut all: std::collections::BTreeMap<(String, u64), Whole> = disk
            .into_iter()
            .map(|event| ((event.stream.clone(), event.event), Whole::of(event)))
            .collect();
        for record in stored {
            let key = (record.stream.clone(), record.event);
            let whole = all.entry(key).or_insert_with(|| Whole {
                stream: record.stream.clone(),
                event: record.event,
                disk: None,
                archive: None,
                objects_due: 0,
            });
            whole.store(record);
        }
        let all = all.into_values().collect();
        Ok(Self { all })
    }
}

impl Whole {
    fn of(event: Event) -> Self {
        Self {
            stream: event.stream.clone(),
            event: event.event,
            objects_due: event.segments_from(0) * event.tracks.len() as u64,
            disk: Some(event),
            archive: None,
        }
    }

    fn store(&mut self, record: Record) {
        let waits = |disk: &Event| disk.segments_from(record.next) * disk.tracks.len() as u64;
        let waits = self.disk.as_ref().filter(|_| !record.ended).map_or(0, waits);
        self.objects_due = record.objects + waits;
        self.archive = Some(record);
    }

    fn started(&self) -> &str {
        let stored = self.archive.as_ref().map(|stored| &stored.started);
        let started = stored.or(self.disk.as_ref().map(|disk| &disk.started));
        started.map_or("", String::as_str)
    }

    fn length_s(&self) -> f64 {
        let disk = self.disk.as_ref().map_or(0.0, |disk| disk.length_s);
        disk.max(self.archive.as_ref().map_or(0.0, |stored| stored.length_s))
    }

    fn bytes(&self) -> u64 {
        let disk = self.disk.as_ref().map_or(0, |disk| disk.bytes);
        disk.max(self.archive.as_ref().map_or(0, |stored| stored.bytes))
    }

    /// What became of it: a packager that is killed says nothing.
    fn state(&self) -> &'static str {
        match (&self.disk, &self.archive) {
            (Some(disk), _) if disk.ended => "ended",
            (Some(disk), _) if disk.newest => "open",
            (None, Some(stored)) if stored.ended && !stored.cut_off => "ended",
            _ => "cut off",
        }
    }

    fn archived(&self) -> String {
        match &self.archive {
            None => "-".to_owned(),
            Some(stored) if stored.ended => "whole".to_owned(),
            Some(stored) => format!("{} of {}", stored.objects, self.objects_due),
        }
    }
}

/// The archive that is set; none where it is off, or where nothing has been recorded.
fn archive(config: &crate::config::Config) -> anyhow::Result<Option<std::sync::Arc<Archive>>> {
    if !config.data.dir.exists() {
        return Ok(None);
    }
    match Archive::open(&config.packager.archive, &config.data.dir) {
        Ok(archive) => Ok(Some(std::sync::Arc::new(archive))),
        Err(Absent::Off) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.context("runtime")?.block_on(work))
}

fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value).context("JSON")?;
    Ok(text + "\n")
}

fn table(events: &[Whole]) -> String {
    if events.is_empty() {
        return "no events are kept\n".to_owned();
    }
    let mut out = String::new();
    let mut line = |cells: [&str; 7]| {
        let [stream, event, started, length, size, state, archive] = cells;
        writeln!(
            out,
            "{stream:16}  {event:>12}  {started:24}  {length:>8}  {size:>9}  {state:7}  {archive}"
        )
        .expect("writing to a String does not fail");
    };
    line(["STREAM", "EVENT", "STARTED", "LENGTH", "SIZE", "STATE", "ARCHIVE"]);
    for event in events {
        line([
            &event.stream,
            &event.event.to_string(),
            event.started(),
            &length(event.length_s()),
            &size(event.bytes()),
            event.state(),
            &event.archived(),
        ]);
    }
    out
}

fn length(seconds: f64) -> String {
    let minutes = (seconds / 60.0).floor();
    format!(
        "{:.0}:{:02.0}:{:02.0}",
        (minutes / 60.0).floor(),
        minutes % 60.0,
        (seconds % 60.0).floor()
    )
}

fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= 10 << 30 => format!("{} GiB", bytes >> 30),
        bytes if bytes >= 10 << 20 => format!("{} MiB", bytes >> 20),
        bytes => format!("{} KiB", bytes >> 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(event: u64, ended: bool, newest: bool) -> Event {
        let text = serde_json::json!({
            "stream": "main", "event": event, "started": "2026-07-14T22:13:20.000Z", "length_s": 7_384.0,
            "bytes": 3_u64 << 30, "segments": 3_692, "tracks": ["360p", "audio"], "ended": ended, "newest": newest,
            "numbers": (0..3_692).collect::<Vec<u64>>(),
        });
        serde_json::from_value(text).unwrap()
    }

    fn record(event: u64, ended: bool) -> Record {
        let text = serde_json::json!({
            "version": 1, "stream": "main", "event": event, "started": "2026-07-14T22:13:20.000Z",
            "tracks": ["360p", "audio"], "length_s": 60.0, "bytes": 100, "objects": 7_300, "gaps": 0, "next": 3_650,
            "ended": ended, "cut_off": false, "written_s": 0,
        });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn a_line_for_each_event_on_disk_in_the_archive_or_in_both() {
        let mut open = Whole::of(event(160_000_000, false, true));
        open.store(record(160_000_000, false));
        let mut stored = Whole::of(event(7, true, false));
        (stored.disk, stored.event) = (None, 6);
        stored.store(record(6, true));
        let text = table(&[stored, Whole::of(event(7, false, false)), open]);
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let head = ["STREAM", "EVENT", "STARTED", "LENGTH", "SIZE", "STATE", "ARCHIVE"];
        assert_eq!(lines[0], head);
        let started = "2026-07-14T22:13:20.000Z";
        assert_eq!(
            lines[1],
            ["main", "6", started, "0:01:00", "0", "KiB", "ended", "whole"]
        );
        let cut_off = ["main", "7", started, "2:03:04", "3072", "MiB", "cut", "off", "-"];
        assert_eq!(lines[2], cut_off);
        assert_eq!(lines[3][6..], ["open", "7300", "of", "7384"]);
        assert_eq!(table(&[]), "no events are kept\n");
    }
}
