//! Where a drill's result goes besides the terminal, and what it is compared with.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use loadtest::report::Report;

use crate::cli::Failure;

#[derive(Debug, Args)]
pub(super) struct Results {
    /// Write the whole result there.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write it as one HTML page there.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the verdict as JUnit XML there: a test case for each limit.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Compare with the result file of an older run; `baseline_tolerance` in the scenario decides whether that can fail.
    #[arg(long, value_name = "OLD.json")]
    baseline: Option<PathBuf>,
}

impl Results {
    /// The older run, read before the drill begins.
    pub(super) fn older(&self) -> Result<Option<Report>, Failure> {
        self.baseline.as_deref().map(read).transpose()
    }

    /// Writes what was asked for.
    pub(super) fn write(&self, report: &Report) -> anyhow::Result<()> {
        if let Some(file) = &self.json {
            put(
                file,
                &serde_json::to_string_pretty(report).context("the report is not written")?,
            )?;
        }
        if let Some(file) = &self.html {
            put(file, &loadtest::page::text(report))?;
        }
        if let Some(file) = &self.junit {
            put(
                file,
                &loadtest::junit::text(report).context("the verdict is not written")?,
            )?;
        }
        Ok(())
    }
}

/// A result file.
pub(super) fn read(file: &Path) -> Result<Report, Failure> {
    let wrong = |why: String| Failure::Usage(format!("ringside: {}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| wrong(format!("not the result of a drill: {error}")))
}

fn put(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| file.display().to_string())
}
