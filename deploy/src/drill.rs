//! `ringside drill`: a crowd of viewers against an edge, and a verdict.

mod results;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use clap::Args;
use loadtest::report::Report;
use loadtest::scenario::Scenario;
use loadtest::view::View;
use results::Results;

use crate::cli::Failure;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What the drill is to be: a TOML file, or one of the names that --list prints.
    #[arg(value_name = "SCENARIO", required_unless_present_any = ["worker", "list", "render"])]
    scenario: Option<PathBuf>,
    /// Base URL of an edge; several times for several edges, to which viewers are dealt in turn.
    #[arg(long, value_name = "URL", required_unless_present_any = ["worker", "list", "fleet", "render"])]
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
    #[command(flatten)]
    results: Results,
    /// Play nothing: make page, JUnit file and comparison of a result file, and exit as that drill did.
    #[arg(long, value_name = "REPORT.json", conflicts_with_all = ["scenario", "target", "origin", "consent"])]
    render: Option<PathBuf>,
    /// Print plain lines where there is a terminal, too.
    #[arg(long)]
    plain: bool,
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
    let older = arguments.results.older()?;
    let mut report = match (&arguments.render, &arguments.scenario) {
        (Some(file), _) => results::read(file)?,
        (None, Some(scenario)) => play(arguments, scenario)?,
        (None, None) => return Err(Failure::Usage("ringside: no scenario".to_owned())),
    };
    if let Some(older) = &older {
        report.against(older);
    }
    // What was measured is seen, even where a file cannot be written.
    let printed = std::io::stdout().write_all(report.text().as_bytes());
    arguments.results.write(&report)?;
    printed.context("the report is not printed")?;
    Ok(ExitCode::from(report.exit_code()))
}

fn play(arguments: &Arguments, path: &Path) -> Result<Report, Failure> {
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
        if ended().await.is_ok() {
            heard.store(true, Ordering::Relaxed);
        }
    });
    let view = if arguments.plain {
        None
    } else {
        view(&order, &stop)
    };
    let played = loadtest::run(&order, &stop, |said| match &view {
        Some(view) => view.say(&said),
        None => eprintln!("{said}"),
    });
    // The terminal is as it was before anything else is said.
    drop(view);
    played.map_err(|error| match error {
        loadtest::Error::Order(mistakes) => Failure::Usage(format!(
            "ringside: the drill cannot begin\n  {}",
            mistakes
                .iter()
                .map(|said| named(said, path))
                .collect::<Vec<_>>()
                .join("\n  ")
        )),
        broken @ loadtest::Error::Broken(_) => Failure::Run(broken.into()),
    })
}

/// Ctrl-C, or what a supervisor sends.
async fn ended() -> std::io::Result<()> {
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminated.recv() => Ok(()),
    }
}

/// The terminal, where there is one and the scenario can be read.
fn view(order: &loadtest::Order, stop: &Arc<AtomicBool>) -> Option<View> {
    let seen = std::io::stdout().is_terminal() && std::env::var_os("TERM").is_some_and(|name| name != "dumb");
    let scenario = Scenario::read(&order.scenario).ok().filter(|_| seen)?;
    View::open(
        &scenario.stream,
        &order.targets,
        scenario.duration_s,
        stop.clone(),
    )
    .ok()
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
