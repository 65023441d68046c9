//! `ringside doctor`: this machine before the night ([`machine`], [`ports`], [`ladder`]), encoders during it
//! ([`live`]).

#[cfg(feature = "ingest")]
mod ladder;
mod live;
mod machine;
mod ports;
mod sheet;
mod text;

use std::io::Write as _;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use crate::cli::Settings;
use crate::config::Config;

/// What `doctor` is asked.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 0 where nothing fails, warnings included; 1 where something does.\n\n\
    Examples:\n  ringside doctor                 ports, limits, codecs, clock, disk, and a 3 s encode\n  \
    ringside doctor --json          the same for scripts\n  \
    ringside doctor --live          what encoders send, and what to set in OBS; refreshed every second"
)]
pub(crate) struct Arguments {
    /// Look at the encoders of a running ringside instead of at this machine.
    #[arg(long)]
    live: bool,
    /// Where that ringside answers operators; default the one of `data.dir`, else `ops.listen`.
    #[arg(long, value_name = "URL", requires = "live")]
    ops: Option<String>,
    /// Print JSON, once.
    #[arg(long)]
    json: bool,
    /// Leave out the encode probe, which keeps all cores busy for 4 s.
    #[arg(long, conflicts_with = "live")]
    no_probe: bool,
    #[command(flatten)]
    settings: Settings,
}

impl Arguments {
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }
}

/// How one check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Warn,
    Fail,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    status: Status,
    /// Closed set, for scripts.
    name: &'static str,
    /// What was found.
    found: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            status: Status::Ok,
            name,
            found: found.into(),
            mend: None,
        }
    }

    fn warn(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            status: Status::Warn,
            mend: Some(mend.into()),
            ..Self::ok(name, found)
        }
    }

    fn fail(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            status: Status::Fail,
            ..Self::warn(name, found, mend)
        }
    }
}

/// Everything, for scripts.
#[derive(Debug, Serialize)]
struct Report {
    status: Status,
    checks: Vec<Check>,
}

/// Examines and prints; fails where a check does.
pub(crate) fn run(config: &Config, arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.live {
        return live::run(config, arguments.ops.as_deref(), arguments.json);
    }
    let mut report = Report {
        status: Status::Ok,
        checks: Vec::new(),
    };
    let mut tell = |check: Check| {
        if !arguments.json {
            print(&text::check(&check))?;
        }
        report.status = report.status.max(check.status);
        report.checks.push(check);
        anyhow::Ok(())
    };
    let running = ports::Running::find(config);
    for check in ports::checks(config, running.as_ref())
        .into_iter()
        .chain(machine::checks(config))
    {
        tell(check)?;
    }
    #[cfg(feature = "ingest")]
    {
        tell(ladder::elements())?;
        tell(match running {
            _ if arguments.no_probe => Check::ok("encode", "not measured, as asked"),
            Some(_) => Check::ok(
                "encode",
                "not measured: ringside is running, and would lose the time",
            ),
            None => ladder::speed(config),
        })?;
    }
    if arguments.json {
        let text = serde_json::to_string_pretty(&report).context("JSON")?;
        print(&format!("{text}\n"))?;
    }
    let failed = report
        .checks
        .iter()
        .filter(|check| check.status == Status::Fail)
        .count();
    anyhow::ensure!(failed == 0, "{failed} of {} checks failed", report.checks.len());
    Ok(())
}

fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("standard output")
}
