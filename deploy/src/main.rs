//! `ringside`: the one binary. See `ringside --help`.
//!
//! Code map: [`cli`] what can be said on the command line, [`config`] what is set and by whom, [`up`] every role
//! in one process, [`parts`] how a role is put together, [`ops`] the operators' port, [`api`] what an ingest answers
//! there, `clips` and `subtitles` what a packager does, [`doctor`] this machine before the night and encoders during it, [`data`] what is
//! kept between runs, `key` who may publish, `events` what is kept of them, `drill` a crowd and its verdict,
//! [`announce`] the box and `up.json`.

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
#[cfg(feature = "ingest")]
mod api;
mod cli;
#[cfg(feature = "packager")]
mod clips;
mod config;
mod data;
mod doctor;
#[cfg(feature = "drill")]
mod drill;
#[cfg(feature = "edge")]
mod edge_api;
#[cfg(feature = "packager")]
mod events;
#[cfg(feature = "ingest")]
mod key;
mod ops;
mod parts;
#[cfg(feature = "packager")]
mod subtitles;
#[cfg(feature = "edge")]
mod token;
mod up;

use std::process::ExitCode;

use clap::Parser as _;

/// A crowd's requests are many small allocations on few threads: glibc's cost an edge an eighth of its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit codes: 0 clean, 64 bad command line or config, 1 failure; a drill's are 0 pass, 1 fail, 2 invalid.
fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(said) => {
            // Nobody may be reading; the exit code says it as well.
            let _printed_if_possible = said.print();
            return ExitCode::from(if said.use_stderr() { 64 } else { 0 });
        }
    };
    match cli.run() {
        Ok(code) => code,
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
