//! `ringside events`: recordings in `data.dir`, listed, shown and deleted, whether a packager runs or not.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use hls::id::StreamId;
use packager::events::{self, Event};

use crate::cli::{Failure, Settings};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the events that are kept: when they began, how long they are, and how large.
    List(List),
    /// Show one event.
    Show(One),
    /// Delete one event; a stream's newest only where no packager runs.
    Delete(One),
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
        }?;
        let written = std::io::stdout().write_all(said.as_bytes());
        written.map_err(|error| Failure::Run(error.into()))
    }
}

impl List {
    fn run(self) -> Result<String, Failure> {
        let events = found(&self.settings)?;
        if self.json {
            json(&events)
        } else {
            Ok(table(&events))
        }
    }
}

impl One {
    fn show(self) -> Result<String, Failure> {
        let events = found(&self.settings)?.into_iter();
        let mut this =
            events.filter(|event| event.event == self.event && event.stream == self.stream.as_str());
        let event = this
            .next()
            .ok_or_else(|| events::Error::Unknown(self.stream.clone(), self.event))
            .map_err(anyhow::Error::from)?;
        if self.json {
            return json(&event);
        }
        Ok(format!(
            "stream    {}\nevent     {}\nstarted   {}\nlength    {}\nsegments  {}\nsize      {}\nstate     {}\ntracks    {}\n",
            event.stream,
            event.event,
            event.started,
            length(event.length_s),
            event.segments,
            size(event.bytes),
            state(&event),
            event.tracks.join(", "),
        ))
    }

    fn delete(self) -> Result<String, Failure> {
        let dir = self.settings.load()?.config.data.dir;
        events::delete(&dir, &self.stream, self.event).map_err(anyhow::Error::from)?;
        let Self { stream, event, .. } = &self;
        if self.json {
            return json(&serde_json::json!({ "deleted": { "stream": stream, "event": event } }));
        }
        Ok(format!("event {event} of stream {stream} is deleted\n"))
    }
}

fn found(settings: &Settings) -> Result<Vec<Event>, Failure> {
    let dir = settings.load()?.config.data.dir;
    let listed = events::list(&dir).with_context(|| format!("events of data.dir {}", dir.display()));
    Ok(listed?)
}

fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value).context("JSON")?;
    Ok(text + "\n")
}

fn table(events: &[Event]) -> String {
    if events.is_empty() {
        return "no events are kept\n".to_owned();
    }
    let mut out = String::new();
    let mut line = |cells: [&str; 6]| {
        let [stream, event, started, length, size, state] = cells;
        writeln!(
            out,
            "{stream:16}  {event:>12}  {started:24}  {length:>8}  {size:>9}  {state}"
        )
        .expect("writing to a String does not fail");
    };
    line(["STREAM", "EVENT", "STARTED", "LENGTH", "SIZE", "STATE"]);
    for event in events {
        line([
            &event.stream,
            &event.event.to_string(),
            &event.started,
            &length(event.length_s),
            &size(event.bytes),
            state(event),
        ]);
    }
    out
}

/// What became of it: a packager that is killed says nothing.
fn state(event: &Event) -> &'static str {
    match (event.ended, event.newest) {
        (true, _) => "ended",
        (false, true) => "open",
        (false, false) => "cut off",
    }
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
        Event {
            stream: "main".to_owned(),
            event,
            started: "2026-07-14T22:13:20.000Z".to_owned(),
            length_s: 7_384.0,
            bytes: 3 << 30,
            segments: 3_692,
            tracks: vec!["360p".to_owned()],
            ended,
            newest,
        }
    }

    #[test]
    fn a_line_for_each_event() {
        let text = table(&[event(7, false, false), event(160_000_000, true, true)]);
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            lines[0],
            ["STREAM", "EVENT", "STARTED", "LENGTH", "SIZE", "STATE"]
        );
        assert_eq!(
            lines[1],
            [
                "main",
                "7",
                "2026-07-14T22:13:20.000Z",
                "2:03:04",
                "3072",
                "MiB",
                "cut",
                "off"
            ]
        );
        assert_eq!(lines[2].last(), Some(&"ended"));
        assert_eq!(table(&[]), "no events are kept\n");
    }
}
