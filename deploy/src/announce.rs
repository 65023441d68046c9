//! What people and scripts need to know once everything runs: the box, and `up.json`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde::Serialize;

#[cfg(feature = "ingest")]
use crate::config::Config;

/// Name of the file for scripts.
pub(crate) const FILE: &str = "up.json";

/// Where everything of one `up` is.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) stream: String,
    pub(crate) stream_key: String,
    pub(crate) publishers: Publishers,
    pub(crate) http: SocketAddr,
    pub(crate) https: Option<SocketAddr>,
    pub(crate) origin: SocketAddr,
    pub(crate) ops: SocketAddr,
}

/// Where encoders connect.
#[derive(Debug, Clone)]
pub(crate) struct Publishers {
    pub(crate) rtmp: SocketAddr,
    pub(crate) rtmps: Option<SocketAddr>,
    pub(crate) srt: SocketAddr,
    /// Where an OBS asks that sends the whole ladder.
    pub(crate) multitrack: Option<SocketAddr>,
    /// What SRT encoders must encrypt with, unless their key says otherwise.
    pub(crate) srt_passphrase: Option<String>,
}

/// Where an encoder connects that is set up by hand.
#[cfg(feature = "ingest")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) rtmp: SocketAddr,
    pub(crate) srt: SocketAddr,
}

#[cfg(feature = "ingest")]
impl Addresses {
    /// Of an `up` that runs, or else those it would have by its configuration.
    pub(crate) fn of(config: &Config) -> Self {
        let up = std::fs::read(config.data.dir.join(FILE)).ok();
        let up: Option<serde_json::Value> = up.and_then(|json| serde_json::from_slice(&json).ok());
        let host = own_address();
        let at = |listen: SocketAddr, key| {
            let url = up.as_ref().and_then(|up| up.get(key)?.as_str());
            let open = url.and_then(|url| url.split(['/', '?']).nth(2)?.parse::<SocketAddr>().ok());
            let port = open.map_or(listen.port(), |open| open.port());
            dialable(SocketAddr::new(listen.ip(), port), host)
        };
        Self {
            rtmp: at(config.ingest.rtmp.listen, "rtmp_server"),
            srt: at(config.ingest.srt.listen, "srt_url"),
        }
    }
}

#[derive(Debug, Serialize)]
struct UpJson<'a> {
    stream: &'a str,
    rtmp_server: String,
    stream_key: &'a str,
    srt_url: Option<String>,
    watch_url: String,
    playlist_url: String,
    origin_url: String,
    ops_url: String,
}

impl Places {
    /// For scripts on this machine.
    pub(crate) fn json(&self) -> String {
        let here = |address| dialable(address, Ipv4Addr::LOCALHOST.into());
        let stream = &self.stream;
        let json = UpJson {
            stream,
            rtmp_server: format!("rtmp://{}/live", here(self.publishers.rtmp)),
            stream_key: &self.stream_key,
            srt_url: Some(self.srt_url(here(self.publishers.srt))),
            watch_url: format!("http://{}/watch/{stream}", here(self.http)),
            playlist_url: format!("http://{}/live/{stream}/index.m3u8", here(self.http)),
            origin_url: format!("http://{}", here(self.origin)),
            ops_url: format!("http://{}", here(self.ops)),
        };
        serde_json::to_string_pretty(&json).expect("strings have a JSON form") + "\n"
    }

    /// For people: the two lines OBS asks for, and where to watch.
    pub(crate) fn card(&self) -> String {
        let host = own_address();
        let watch = format!("http://{}/watch/{}", dialable(self.http, host), self.stream);
        let mut lines = vec![
            "ringside is up".to_owned(),
            String::new(),
            format!(
                "OBS   Server      rtmp://{}/live",
                dialable(self.publishers.rtmp, host)
            ),
            format!("      Stream Key  {}", self.stream_key),
            format!(
                "SRT               {}",
                self.srt_url(dialable(self.publishers.srt, host))
            ),
            String::new(),
            format!("Watch             {watch}"),
        ];
        if let Some(rtmps) = self.publishers.rtmps {
            let line = format!("RTMP with TLS     rtmps://{}/live", dialable(rtmps, host));
            lines.insert(5, line);
        }
        if let Some(multitrack) = self.publishers.multitrack {
            let url = format!("http://{}/multitrack", dialable(multitrack, host));
            lines.insert(lines.len() - 2, format!("OBS multitrack    {url}"));
        }
        match self.https {
            Some(https) => {
                let url = format!("https://{}/watch/{}", dialable(https, host), self.stream);
                lines.push(format!("with TLS, HTTP/2  {url}"));
                lines.push("                  (self-signed: the browser asks once)".to_owned());
            }
            None => lines.push("TLS               off".to_owned()),
        }
        lines.push(format!("Metrics           http://{}/metrics", self.ops));
        format!("\n{}\n{}\n", boxed(&lines), qr(&watch))
    }
}

impl Places {
    fn srt_url(&self, at: SocketAddr) -> String {
        let url = format!("srt://{at}?streamid={}", self.stream_key);
        match &self.publishers.srt_passphrase {
            Some(passphrase) => format!("{url}&passphrase={passphrase}"),
            None => url,
        }
    }
}

/// An address somebody can connect to: a wildcard stands for `host`.
fn dialable(address: SocketAddr, host: IpAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(host, address.port())
    } else {
        address
    }
}

/// This machine's address as its network sees it. Nothing is sent: connecting a datagram socket only asks
/// the routing table.
fn own_address() -> IpAddr {
    let ask = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
        socket.local_addr()
    };
    ask().map_or(Ipv4Addr::LOCALHOST.into(), |address| address.ip())
}

fn boxed(lines: &[String]) -> String {
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let rule = "─".repeat(width + 4);
    let rows: String = lines
        .iter()
        .map(|line| format!("│  {line:width$}  │\n"))
        .collect();
    format!("╭{rule}╮\n{rows}╰{rule}╯")
}

fn qr(text: &str) -> String {
    let Ok(code) = QrCode::new(text) else {
        return String::new();
    };
    // Light modules are drawn, since most terminals are dark.
    let code = code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .build();
    code.lines().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        let at = |port| SocketAddr::from(([0, 0, 0, 0], port));
        Places {
            stream: "main".to_owned(),
            stream_key: "k3y".to_owned(),
            publishers: Publishers {
                rtmp: at(1935),
                rtmps: Some(at(1936)),
                srt: at(8890),
                multitrack: Some(at(1937)),
                srt_passphrase: None,
            },
            http: at(8080),
            https: Some(at(8443)),
            origin: SocketAddr::from(([127, 0, 0, 1], 9601)),
            ops: SocketAddr::from(([127, 0, 0, 1], 9600)),
        }
    }

    #[test]
    fn scripts_get_hosts_they_can_dial() {
        let json: serde_json::Value = serde_json::from_str(&places().json()).unwrap();
        assert_eq!(json["rtmp_server"], "rtmp://127.0.0.1:1935/live");
        assert_eq!(json["playlist_url"], "http://127.0.0.1:8080/live/main/index.m3u8");
        assert_eq!(json["srt_url"], "srt://127.0.0.1:8890?streamid=k3y");
    }

    #[test]
    fn the_box_has_straight_edges_and_says_whether_tls_is_on() {
        let card = places().card();
        let widths: Vec<_> = card
            .lines()
            .filter(|line| line.starts_with(['│', '╭', '╰']))
            .map(|line| line.chars().count())
            .collect();
        assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{card}");
        assert!(card.contains("Stream Key  k3y") && card.contains("https://"));
        assert!(card.contains(":1937/multitrack"));
        assert!(
            Places {
                https: None,
                ..places()
            }
            .card()
            .contains("TLS               off")
        );
    }
}
