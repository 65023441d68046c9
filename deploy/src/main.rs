//! `ringside`: the one binary. See `ringside --help`.
//!
//! Code map: [`cli`] what can be said on the command line, [`config`] what is set and by whom, [`up`] every role
//! in one process, [`parts`] how a role is put together, [`ops`] the operators' port, [`data`] what is kept
//! between runs, [`announce`] the box and `up.json`.

#![cfg_attr(
    not(all(feature = "ingest", feature = "packager", feature = "edge")),
    allow(
        dead_code,
        unused_imports,
        unused_mut,
        unused_variables,
        reason = "a build with fewer roles leaves some of this unused"
    )
)]

mod announce;
mod cli;
mod config;
mod data;
mod ops;
mod parts;
mod up;

use std::process::ExitCode;

use clap::Parser as _;

/// Exit codes: 0 clean, 64 bad command line or config, 1 failure.
fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(cli::Failure::Usage(text)) => {
            eprintln!("{text}");
            ExitCode::from(64)
        }
        Err(cli::Failure::Run(error)) => {
            eprintln!("ringside: {error:#}");
            ExitCode::FAILURE
        }
    }
}
