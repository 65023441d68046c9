//! `ringside drill`: a crowd of viewers against an edge, and a verdict.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use clap::Args;

use crate::cli::Failure;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What the drill is to be, as TOML.
    #[arg(value_name = "SCENARIO.toml")]
    scenario: PathBuf,
    /// Base URL of an edge; several times for several edges, to which viewers are dealt in turn.
    #[arg(long, value_name = "URL", required = true)]
    target: Vec<String>,
    /// Base URL of the origin: lateness is then counted by its clock. Needed where it is another machine.
    #[arg(long, value_name = "URL")]
    origin: Option<String>,
    /// What targets beyond this machine serve at /.well-known/ringside-drill.
    #[arg(long, value_name = "TOKEN")]
    consent: Option<String>,
    /// Write the whole result there.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Plays the drill: exit code 0 pass, 1 fail, 2 invalid. Ctrl-C ends it early, with a report of what there is.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let path = &arguments.scenario;
    let scenario = std::fs::read_to_string(path)
        .map_err(|error| Failure::Usage(format!("ringside: {}: {error}", path.display())))?;
    let order = loadtest::Order {
        scenario,
        targets: arguments.target.clone(),
        origin: arguments.origin.clone(),
        consent: arguments.consent.clone(),
    };
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("no runtime for signals")?;
    let heard = stop.clone();
    let _listening = runtime.spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            heard.store(true, Ordering::Relaxed);
        }
    });
    let report = loadtest::run(&order, &stop, |line| eprintln!("{line}")).map_err(|error| match error {
        loadtest::Error::Order(mistakes) => Failure::Usage(format!(
            "ringside: the drill cannot begin\n  {}",
            mistakes
                .iter()
                .map(|said| named(said, path))
                .collect::<Vec<_>>()
                .join("\n  ")
        )),
        broken @ loadtest::Error::Broken(_) => Failure::Run(broken.into()),
    })?;
    if let Some(file) = &arguments.json {
        let text = serde_json::to_string_pretty(&report).context("the report is not written")?;
        std::fs::write(file, text).with_context(|| file.display().to_string())?;
    }
    std::io::stdout()
        .write_all(report.text().as_bytes())
        .context("the report is not printed")?;
    Ok(ExitCode::from(report.exit_code()))
}

/// A mistake in the scenario names its file.
fn named(said: &str, path: &std::path::Path) -> String {
    match said.strip_prefix("line ") {
        Some(rest) => format!("{}:{rest}", path.display()),
        None => said.to_owned(),
    }
}
