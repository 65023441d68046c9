//! The two ends of a comparison of servers, without anything that would disturb it: a feed that was encoded in advance,
//! and a crowd that does nothing but ask. `deploy/bench edge` runs both.
//!
//! - `live feed PACKAGER SECRET PROFILE PART_KB` plays one track to a packager until it is ended.
//! - `live crowd HOST:PORT PLAYLIST_PATH [--viewers N] [--warm S] [--seconds S] [--tls] [--foreign]` is viewers that each
//!   keep a connection: a blocking reload for the next part, then the part. Prints one JSON object.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench that cannot be run should say so"
)]
#![allow(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that measures"
)]

mod crowd;
mod feeding;
mod link;
mod listing;

fn main() {
    // Cargo passes `--bench`, too.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let told: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match told.as_slice() {
        ["feed", packager, secret, profile, kilobytes] => {
            feeding::play(packager, secret.as_bytes(), profile, kilobytes.parse().unwrap());
        }
        ["crowd", rest @ ..] => println!("{}", crowd::measure(&crowd::Order::read(rest))),
        [] => eprintln!("deploy/bench edge runs this"),
        other => panic!("not understood: {other:?}"),
    }
}
