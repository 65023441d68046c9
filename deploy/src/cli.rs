//! What can be said on the command line.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::config::{self, Loaded};
use crate::doctor;
#[cfg(feature = "drill")]
use crate::drill;
#[cfg(feature = "packager")]
use crate::events;
#[cfg(feature = "ingest")]
use crate::key;
#[cfg(feature = "edge")]
use crate::token;
use crate::up::{self, Roles};

/// Live events that do not collapse.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything in this process: test picture, RTMP and SRT, ladder, packager, edge and watch page.
    Up(Settings),
    /// Start only the ingest; it feeds the packagers in `ingest.packagers`.
    Ingest(Settings),
    /// Start only the packager and its origin.
    Packager(Settings),
    /// Start only an edge of the parents in `edge.parents`.
    Edge(Settings),
    /// Make, list, rotate and revoke stream keys; an ingest that runs follows within two seconds.
    #[cfg(feature = "ingest")]
    Key {
        #[command(subcommand)]
        command: key::Command,
    },
    /// Sign playback tokens; make, list and revoke their keys.
    #[cfg(feature = "edge")]
    Token {
        #[command(subcommand)]
        command: token::Command,
    },
    /// List, show and delete the events that are kept in `data.dir`.
    #[cfg(feature = "packager")]
    Events {
        #[command(subcommand)]
        command: events::Command,
    },
    /// Check this machine before the night; with `--live`, what encoders send to a running ringside.
    Doctor(doctor::Arguments),
    /// Send a crowd of viewers to an edge, and judge what they saw: exit code 0 pass, 1 fail, 2 invalid.
    #[cfg(feature = "drill")]
    Drill(drill::Arguments),
    /// Look at the configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every key with its value and where that came from.
    Print(Settings),
}

#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// TOML file to read.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set one key, for example `--set edge.http.listen=127.0.0.1:8080`; wins over file and environment.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// How a run ended badly.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Exit code 64.
    Usage(String),
    /// Exit code 1.
    Run(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Run(error)
    }
}

impl Cli {
    /// Does what was asked for; returns when it is done.
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let (settings, roles) = match self.command {
            Command::Config {
                command: ConfigCommand::Print(settings),
            } => return print(&settings).map(done),
            #[cfg(feature = "ingest")]
            Command::Key { command } => return command.run().map(done),
            #[cfg(feature = "edge")]
            Command::Token { command } => return command.run().map(done),
            #[cfg(feature = "packager")]
            Command::Events { command } => return command.run().map(done),
            Command::Doctor(arguments) => {
                let loaded = arguments.settings().load()?;
                return Ok(doctor::run(&loaded.config, &arguments).map(done)?);
            }
            #[cfg(feature = "drill")]
            Command::Drill(arguments) => return drill::run(&arguments),
            Command::Up(settings) => (settings, Roles::ALL),
            Command::Ingest(settings) => (
                settings,
                Roles {
                    ingest: true,
                    ..Roles::NONE
                },
            ),
            Command::Packager(settings) => (
                settings,
                Roles {
                    packager: true,
                    ..Roles::NONE
                },
            ),
            Command::Edge(settings) => (
                settings,
                Roles {
                    edge: true,
                    ..Roles::NONE
                },
            ),
        };
        let loaded = settings.load()?;
        #[cfg(feature = "ingest")]
        if roles.ingest {
            key::check(&loaded.config)?;
        }
        log();
        Ok(up::run(loaded, roles).map(done)?)
    }
}

impl Settings {
    /// The configuration, or every mistake in it.
    pub(crate) fn load(&self) -> Result<Loaded, Failure> {
        let environment = std::env::vars();
        config::load(self.config.as_deref(), environment, &self.set).map_err(|mistakes| {
            Failure::Usage(format!(
                "ringside: the configuration cannot be used\n  {}",
                mistakes.join("\n  ")
            ))
        })
    }
}

/// What was asked for is done.
fn done((): ()) -> ExitCode {
    ExitCode::SUCCESS
}

fn print(settings: &Settings) -> Result<(), Failure> {
    let loaded = settings.load()?;
    let text = loaded.print();
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| Failure::Run(error.into()))
}

/// A number and its unit, `s m h d w`, in seconds; at most a hundred years.
#[cfg(any(feature = "ingest", feature = "edge"))]
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || "a number and s, m, h, d or w, such as 90m or 30d".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let each: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Err(wrong()),
    };
    let number = text.strip_suffix(unit).ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = number
        .checked_mul(each)
        .filter(|seconds| *seconds <= 36_525 * 86_400);
    seconds.ok_or_else(|| "at most a hundred years".to_owned())
}

/// `RUST_LOG` decides; without it, what an operator should see.
fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,ringside=info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
}
