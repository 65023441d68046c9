//! What `ringside key` says, and the times it is told.

use std::fmt::Write as _;

use ingest::keys::file::{Entry, File};
use ingest::keys::{self, Unix};

use crate::announce::Addresses;
use crate::config::Config;

/// A key just made, with what goes into an encoder.
pub(super) fn made(config: &Config, entry: &Entry, secret: &str) -> String {
    let Addresses { rtmp, srt } = Addresses::of(config);
    let stream = &entry.stream;
    let ends = match entry.expires {
        Some(at) => format!("until {} UTC", keys::minute(at)),
        None => "until it is revoked".to_owned(),
    };
    let mut said = format!(
        "key {} opens `{stream}` as {} {ends}\n\n",
        entry.id.as_str(),
        entry.role.as_str(),
    );
    let passphrase = entry.passphrase.as_ref();
    let encrypted = passphrase
        .map(|secret| format!("&passphrase={}", percent(secret.expose())))
        .unwrap_or_default();
    line(&mut said, "OBS   Server", &format!("rtmp://{rtmp}/live"));
    line(&mut said, "      Stream Key", secret);
    line(&mut said, "RTMP", &format!("rtmp://{rtmp}/live/{secret}"));
    line(
        &mut said,
        "SRT",
        &format!("srt://{srt}?streamid={secret}{encrypted}"),
    );
    if passphrase.is_none() && config.ingest.srt.passphrase.is_some() {
        line(
            &mut said,
            "",
            "over SRT, with the passphrase in ingest.srt.passphrase",
        );
    }
    said.push_str("\nThe key is shown this once; only its hash is kept.\n");
    said
}

/// How long the secret before works on.
pub(super) fn grace(seconds: Unix, until: Unix) -> String {
    if seconds == 0 {
        "The old one lets nobody in any more.\n".to_owned()
    } else {
        format!("The old one works until {} UTC.\n", keys::minute(until))
    }
}

/// A key taken back.
pub(super) fn revoked(entry: &Entry) -> String {
    let live = if entry.disconnect {
        "Encoders that are live with it are closed within two seconds."
    } else {
        "Encoders that are live with it stay; --disconnect closes them."
    };
    let (id, stream) = (entry.id.as_str(), &entry.stream);
    format!("key {id} no longer opens `{stream}`\n{live}\n")
}

/// All keys, one a line.
pub(super) fn table(file: &File, first: bool, now: Unix) -> String {
    let mut rows = vec![["ID", "STREAM", "ROLE", "PRIORITY", "ENDS", "NOTE"].map(str::to_owned)];
    if first {
        rows.push(
            [
                keys::FIRST,
                "main",
                "primary",
                "0",
                "never",
                "the key `up` prints",
            ]
            .map(str::to_owned),
        );
    }
    for entry in &file.key {
        rows.push([
            entry.id.as_str().to_owned(),
            entry.stream.to_string(),
            entry.role.as_str().to_owned(),
            entry.priority.to_string(),
            ends(entry, now),
            entry.note.clone().unwrap_or_default(),
        ]);
    }
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in &rows {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}  "));
        text.push_str(cells.collect::<String>().trim_end());
        text.push('\n');
    }
    text
}

fn ends(entry: &Entry, now: Unix) -> String {
    if let Some(at) = entry.revoked {
        return format!("revoked {}", keys::day(at));
    }
    match entry.expires {
        Some(at) if at <= now => format!("expired {}", keys::day(at)),
        Some(at) => format!("{} UTC", keys::minute(at)),
        None => "never".to_owned(),
    }
}

fn line(said: &mut String, name: &str, value: &str) {
    // Writing to a string cannot fail.
    let _always_ok = writeln!(said, "{name:16}  {value}");
}

/// As a value in the query of a URL.
fn percent(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _always_ok = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::seconds;

    #[test]
    fn times_have_a_unit_and_a_bound() {
        for (text, expected) in [
            ("0s", 0),
            ("90m", 5_400),
            ("1h", 3_600),
            ("30d", 2_592_000),
            ("2w", 1_209_600),
        ] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for wrong in [
            "",
            "h",
            "30",
            "-1d",
            "1.5h",
            "30dd",
            "1 h",
            "101w1",
            "99999w",
            "99999999999999999999s",
        ] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_list_is_aligned_and_has_no_secret() {
        let text = "[[key]]\nid = \"0123abcd\"\nstream = \"main\"\nhash = \
            \"5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8\"\ncreated = 1795255474\n\
            passphrase = \"correct-horse\"\nexpires = 1795255474\nnote = \"van 2\"\n";
        let file = File::parse(text).unwrap();
        assert_eq!(
            table(&file, true, 1_795_255_473),
            "ID        STREAM  ROLE     PRIORITY  ENDS                  NOTE\n\
             first     main    primary  0         never                 the key `up` prints\n\
             0123abcd  main    primary  0         2026-11-21 10:04 UTC  van 2\n"
        );
        assert!(table(&file, false, 1_795_255_474).contains("expired 2026-11-21"));
    }

    #[test]
    fn a_passphrase_survives_a_url() {
        assert_eq!(percent("a b&c=d/é"), "a%20b%26c%3Dd%2F%C3%A9");
    }
}
