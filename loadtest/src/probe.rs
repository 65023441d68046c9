//! Direct questions to one server, one after another: is a drill allowed there, and what is its clock.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use viewer::ladder::Ladder;
use viewer::listing::Listing;

use crate::clock::{Clock, Offset};
use crate::http::Head;

/// Where a target serves the token with which its owner agrees to a drill.
pub const CONSENT: &str = "/.well-known/ringside-drill";

/// Longest wait for any answer; a blocking reload takes a few seconds at most.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest body.
const BODY_BYTES_MAX: u64 = 4 << 20;
/// Between two tries after a failure.
const PAUSE: Duration = Duration::from_millis(200);

/// A server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Where it is.
    pub address: SocketAddr,
    /// As its URL names it.
    pub host: String,
}

impl Target {
    /// Reads `http://HOST:PORT`.
    pub fn read(url: &str) -> Result<Self, String> {
        let rest = url
            .strip_prefix("http://")
            .ok_or_else(|| match url.starts_with("https://") {
                true => format!("{url}: https is not supported by the crowd; drill the plain listener"),
                false => format!("{url}: not http://HOST:PORT"),
            })?;
        let host = rest.strip_suffix('/').unwrap_or(rest);
        if host.is_empty() || host.contains(['/', '?', '#', '@', ' ', '\r', '\n']) {
            return Err(format!("{url}: not http://HOST:PORT"));
        }
        let port = host
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let named = if port {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        let found = named
            .to_socket_addrs()
            .map_err(|error| format!("{url}: {error}"))?
            .next();
        Ok(Self {
            address: found.ok_or_else(|| format!("{url}: no address"))?,
            host: host.to_owned(),
        })
    }

    /// Whether its owner agrees to a drill: it is this machine, or it serves the token.
    pub fn consents(&self, token: Option<&str>) -> Result<(), String> {
        if self.address.ip().is_loopback() {
            return Ok(());
        }
        let host = &self.host;
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            return Err(format!(
                "{host} is not this machine: it has to serve {CONSENT}, and --consent has to say the same"
            ));
        };
        let answer = Connection::open(self).and_then(|mut connection| connection.get(CONSENT));
        match answer {
            Ok((head, body)) if head.status == 200 && body.trim_ascii() == token.as_bytes() => Ok(()),
            Ok((head, _)) => Err(format!(
                "{host} does not consent: {CONSENT} answers {} and not the token",
                head.status
            )),
            Err(error) => Err(format!("{host} does not consent: {CONSENT}: {error}")),
        }
    }
}

/// A connection for one question at a time.
struct Connection {
    stream: TcpStream,
    host: String,
}

impl Connection {
    fn open(target: &Target) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&target.address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            host: target.host.clone(),
        })
    }

    fn get(&mut self, path: &str) -> io::Result<(Head, Vec<u8>)> {
        self.timed(path, || ()).map(|(head, body, ())| (head, body))
    }

    /// An answer, and what `arrived` said when its head was here.
    fn timed<T>(&mut self, path: &str, arrived: impl Fn() -> T) -> io::Result<(Head, Vec<u8>, T)> {
        let unreadable = |why: crate::http::Error| io::Error::new(io::ErrorKind::InvalidData, why);
        let host = &self.host;
        write!(
            self.stream,
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: ringside-drill\r\n\r\n"
        )?;
        let (mut bytes, mut room) = (Vec::new(), vec![0; 64 << 10]);
        let mut more = |bytes: &mut Vec<u8>| -> io::Result<()> {
            let n = self.stream.read(&mut room)?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bytes.extend_from_slice(room.get(..n).unwrap_or_default());
            Ok(())
        };
        let (head, at, start) = loop {
            more(&mut bytes)?;
            let at = arrived();
            if let Some((head, start)) = Head::read(&bytes).map_err(unreadable)? {
                break (head, at, start);
            }
        };
        let length = head.length.filter(|length| *length <= BODY_BYTES_MAX);
        let length = length
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no or too large a Content-Length"))?;
        while ((bytes.len() - start) as u64) < length {
            more(&mut bytes)?;
        }
        Ok((head, bytes.split_off(start), at))
    }
}

/// Waits until a target gives the stream's multivariant playlist; whether it did.
pub(crate) fn await_stream(target: &Target, stream: &str, wait: Duration, stop: &AtomicBool) -> bool {
    let (began, path) = (Instant::now(), format!("/live/{stream}/index.m3u8"));
    while began.elapsed() < wait && !stop.load(Ordering::Relaxed) {
        let answer = Connection::open(target).and_then(|mut connection| connection.get(&path));
        if answer.is_ok_and(|(head, _)| head.status == 200) {
            return true;
        }
        thread::sleep(PAUSE);
    }
    false
}

/// What an origin says on its operators' port that it has given, for the first time and once more; none where it does not.
pub(crate) fn given(ops: &Target) -> Option<[u64; 2]> {
    let (head, body) = Connection::open(ops)
        .and_then(|mut ops| ops.get("/metrics"))
        .ok()?;
    let text = String::from_utf8(body).ok().filter(|_| head.status == 200)?;
    let sum = |name: &str| -> u64 {
        let own = |line: &str| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with([' ', '{']))
        };
        let values = text
            .lines()
            .filter(|line| own(line))
            .filter_map(|line| line.rsplit(' ').next());
        values.filter_map(|value| value.parse::<u64>().ok()).sum()
    };
    Some(["ringside_origin_objects_total", "ringside_origin_repeats_total"].map(sum))
}

/// Follows the lowest rung's playlist at the origin, and takes its clock from what it says, until `stop`.
pub(crate) fn follow(origin: &Target, stream: &str, clock: Clock, offset: &Mutex<Offset>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        // A failure is not the drill's subject: it shows as few samples.
        let _tried_again = session(origin, stream, clock, offset, stop);
        thread::sleep(PAUSE);
    }
}

fn session(
    origin: &Target,
    stream: &str,
    clock: Clock,
    offset: &Mutex<Offset>,
    stop: &AtomicBool,
) -> io::Result<()> {
    let unreadable = || io::Error::from(io::ErrorKind::InvalidData);
    let mut connection = Connection::open(origin)?;
    let path = format!("/live/{stream}/index.m3u8");
    let (_, body) = connection.get(&path)?;
    let ladder = Ladder::read(&path, &String::from_utf8_lossy(&body)).map_err(|_| unreadable())?;
    let playlist = ladder.paths.first().ok_or_else(unreadable)?.clone();
    let mut next = playlist.to_string();
    while !stop.load(Ordering::Relaxed) {
        let (head, body, at) = connection.timed(&next, || clock.now())?;
        if let Some(available) = head.available_us.filter(|_| head.status == 200) {
            let mut offset = offset.lock().unwrap_or_else(PoisonError::into_inner);
            offset.sample(at, clock.wall_us(at), available);
        }
        let text = String::from_utf8_lossy(&body).into_owned();
        let listing = Listing::read(&playlist, text).map_err(|_| unreadable())?;
        let (msn, part) = match listing.last {
            (msn, Some(part)) if !listing.closed => (msn, part + 1),
            (msn, _) => (msn + 1, 0),
        };
        if listing.ended || !listing.can_block {
            return Ok(());
        }
        next = format!("{playlist}?_HLS_msn={msn}&_HLS_part={part}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_needs_no_consent() {
        let target = |url| Target::read(url).unwrap();
        assert_eq!(target("http://127.0.0.1:8080/").consents(None), Ok(()));
        // TEST-NET-1: nobody is there, and without a token nobody is asked.
        let said = target("http://192.0.2.1:8080").consents(None).unwrap_err();
        assert!(said.contains(CONSENT), "{said}");
    }

    #[test]
    fn a_target_is_a_plain_base_url() {
        for wrong in [
            "https://127.0.0.1:1",
            "127.0.0.1:1",
            "http://",
            "http://127.0.0.1:1/live",
            "http://a b",
        ] {
            assert!(Target::read(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Target::read("http://127.0.0.1").unwrap().address.port(), 80);
    }
}
