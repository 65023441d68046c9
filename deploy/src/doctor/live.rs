//! `doctor --live`: what encoders send to a running ringside, asked on its operators' port.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

use super::sheet::Streams;
use super::{ports, print};
use crate::config::Config;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(3);
/// Bytes of an answer; 64 streams with two encoders each stay far below.
const ANSWER_BYTES_MAX: u64 = 4 << 20;
/// Between two sheets.
const REFRESH: Duration = Duration::from_secs(1);
/// Cursor to the upper left, and nothing below it.
const CLEAR: &str = "\x1b[H\x1b[J";

/// Prints one sheet, or on a terminal one a second until interrupted.
pub(super) fn run(config: &Config, url: Option<&str>, json: bool) -> anyhow::Result<()> {
    let known = || ports::Running::find(config).map(|running| running.ops_url);
    let url = url.map(str::to_owned).or_else(known);
    let url = url.unwrap_or_else(|| format!("http://{}", config.ops.listen));
    let host = host(&url)?;
    if json {
        return print(&format!("{}\n", get(host, "/api/streams")?));
    }
    if !std::io::stdout().is_terminal() {
        return print(&sheet(host)?);
    }
    loop {
        let sheet = sheet(host).unwrap_or_else(|error| format!("{error:#}\n"));
        print(&format!(
            "{CLEAR}ringside doctor --live   {url}   (Ctrl-C ends)\n\n{sheet}"
        ))?;
        std::io::stdout().flush().context("standard output")?;
        thread::sleep(REFRESH);
    }
}

fn sheet(host: &str) -> anyhow::Result<String> {
    let text = get(host, "/api/streams")?;
    let streams: Streams = serde_json::from_str(&text).with_context(|| format!("the answer of {host}"))?;
    Ok(streams.to_string())
}

fn host(url: &str) -> anyhow::Result<&str> {
    let host = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    let host = host.filter(|host| !host.is_empty() && !host.contains('/'));
    host.with_context(|| format!("--ops {url}: written http://HOST:PORT"))
}

/// The body of a plain GET, in HTTP/1.0, so that it ends with the connection.
fn get(host: &str, path: &str) -> anyhow::Result<String> {
    let nobody = || format!("no ringside answers operators at {host}");
    let mut addresses = host.to_socket_addrs().with_context(nobody)?;
    let address = addresses.next().with_context(nobody)?;
    let mut stream = TcpStream::connect_timeout(&address, ANSWER).with_context(nobody)?;
    stream.set_read_timeout(Some(ANSWER)).with_context(nobody)?;
    stream.set_write_timeout(Some(ANSWER)).with_context(nobody)?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).with_context(nobody)?;
    let mut answer = String::new();
    stream
        .take(ANSWER_BYTES_MAX)
        .read_to_string(&mut answer)
        .with_context(nobody)?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(nobody)?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    match status {
        "200" => Ok(body.to_owned()),
        "404" => anyhow::bail!("what answers at {host} has no streams: is it an ingest?"),
        other => anyhow::bail!("{host} answered {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_as_up_prints_them() {
        assert_eq!(host("http://127.0.0.1:9600").unwrap(), "127.0.0.1:9600");
        assert_eq!(host("http://localhost:1/").unwrap(), "localhost:1");
        for bad in ["127.0.0.1:9600", "https://x:1", "http://", "http://x/y"] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }
}
