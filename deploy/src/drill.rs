//! `ringside drill`: a crowd of viewers against an edge, and a verdict.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use clap::Args;

use crate::cli::Failure;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What the drill is to be: a TOML file, or one of the names that --list prints.
    #[arg(value_name = "SCENARIO", required_unless_present_any = ["worker", "list"])]
    scenario: Option<PathBuf>,
    /// Base URL of an edge; several times for several edges, to which viewers are dealt in turn.
    #[arg(long, value_name = "URL", required_unless_present_any = ["worker", "list", "fleet"])]
    target: Vec<String>,
    /// What the drill may kill, stop, cut off and slow down: the file that deploy/drill writes.
    #[arg(long, value_name = "FILE")]
    fleet: Option<PathBuf>,
    /// Print the scenarios in this binary.
    #[arg(long)]
    list: bool,
    /// Play a part of a crowd, as a drill says over stdin.
    #[arg(long, hide = true)]
    worker: bool,
    /// Base URL of the origin: lateness is then counted by its clock. Needed where it is another machine.
    #[arg(long, value_name = "URL")]
    origin: Option<String>,
    /// Base URL of the origin's operators' port: whether it gave each object once is then counted.
    #[arg(long, value_name = "URL")]
    origin_ops: Option<String>,
    /// What targets beyond this machine serve at /.well-known/ringside-drill.
    #[arg(long, value_name = "TOKEN")]
    consent: Option<String>,
    /// Write the whole result there.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Plays the drill: exit code 0 pass, 1 fail, 2 invalid. Ctrl-C ends it early, with a report of what there is.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    if arguments.worker {
        loadtest::worker::serve(std::io::stdin(), std::io::stdout())
            .context("the worker's coordinator is gone")?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.list {
        return list();
    }
    let path = arguments.scenario.as_deref().unwrap_or_else(|| Path::new(""));
    let this = std::env::current_exe().context("this binary is not found again")?;
    let order = loadtest::Order {
        scenario: scenario(path)?,
        worker: vec![this.into(), "drill".into(), "--worker".into()],
        fleet: arguments.fleet.clone(),
        targets: arguments.target.clone(),
        origin: arguments.origin.clone(),
        origin_ops: arguments.origin_ops.clone(),
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

/// The text of a file, or of a scenario in this binary.
fn scenario(path: &Path) -> Result<String, Failure> {
    let shipped = path.to_str().and_then(loadtest::shipped::named);
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) => shipped.map(str::to_owned).ok_or_else(|| {
            Failure::Usage(format!(
                "ringside: {}: {error}; see ringside drill --list",
                path.display()
            ))
        }),
    }
}

fn list() -> Result<ExitCode, Failure> {
    let mut text = String::new();
    for (name, scenario) in loadtest::shipped::ALL {
        text += &format!("{name:20} {}\n", loadtest::shipped::about(scenario));
    }
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("the list is not printed")?;
    Ok(ExitCode::SUCCESS)
}

/// A mistake in the scenario names its file.
fn named(said: &str, path: &Path) -> String {
    match said.strip_prefix("line ") {
        Some(rest) => format!("{}:{rest}", path.display()),
        None => said.to_owned(),
    }
}
