//! Are the ports free that the configuration names, and who has them if not?

use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use super::Check;
use crate::announce;
use crate::config::Config;

/// How long the ringside of `data.dir` may take to accept a connection.
const ANSWER: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Tcp,
    Udp,
}

/// The ringside that runs on this `data.dir`.
#[derive(Debug)]
pub(super) struct Running {
    /// Where it answers operators.
    pub(super) ops_url: String,
    pid: Option<u32>,
}

impl Running {
    /// By its `up.json`, if somebody answers there.
    pub(super) fn find(config: &Config) -> Option<Self> {
        let text = fs::read_to_string(config.data.dir.join(announce::FILE)).ok()?;
        let json: serde_json::Value = serde_json::from_str(&text).ok()?;
        let ops_url = json.get("ops_url")?.as_str()?.to_owned();
        let address: SocketAddr = ops_url.strip_prefix("http://")?.parse().ok()?;
        TcpStream::connect_timeout(&address, ANSWER).ok()?;
        let holder = holder(address.port(), Transport::Tcp);
        Some(Self {
            ops_url,
            pid: holder.map(|holder| holder.pid),
        })
    }
}

/// One check for each port.
pub(super) fn checks(config: &Config, running: Option<&Running>) -> Vec<Check> {
    let ports = listeners(config).into_iter();
    ports
        .map(|(key, address, transport)| check(key, address, transport, running))
        .collect()
}

fn listeners(config: &Config) -> Vec<(&'static str, SocketAddr, Transport)> {
    let mut ports = vec![("ops.listen", config.ops.listen, Transport::Tcp)];
    #[cfg(feature = "ingest")]
    ports.extend([
        ("ingest.rtmp.listen", config.ingest.rtmp.listen, Transport::Tcp),
        ("ingest.rtmps.listen", config.ingest.rtmps.listen, Transport::Tcp),
        ("ingest.srt.listen", config.ingest.srt.listen, Transport::Udp),
    ]);
    #[cfg(feature = "ingest")]
    if !config.ladder.passthrough.is_empty() {
        let listen = config.ingest.multitrack.listen;
        ports.push(("ingest.multitrack.listen", listen, Transport::Tcp));
    }
    #[cfg(feature = "packager")]
    ports.extend([
        (
            "packager.feed.listen",
            config.packager.feed.listen,
            Transport::Tcp,
        ),
        ("origin.listen", config.origin.listen, Transport::Tcp),
    ]);
    #[cfg(feature = "packager")]
    if let Some(listen) = config.packager.cmaf.listen {
        ports.push(("packager.cmaf.listen", listen, Transport::Tcp));
    }
    #[cfg(feature = "edge")]
    ports.extend([
        ("edge.http.listen", config.edge.http.listen, Transport::Tcp),
        ("edge.https.listen", config.edge.https.listen, Transport::Tcp),
    ]);
    ports
}

fn check(key: &'static str, address: SocketAddr, transport: Transport, running: Option<&Running>) -> Check {
    let bound = match transport {
        Transport::Tcp => TcpListener::bind(address).map(drop),
        Transport::Udp => UdpSocket::bind(address).map(drop),
    };
    let word = match transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    };
    let port = format!("{word} {address} ({key})");
    let error = match bound {
        Ok(()) => return Check::ok("port", format!("{port} is free")),
        Err(error) => error,
    };
    if error.kind() != ErrorKind::AddrInUse {
        let mend = if error.kind() == ErrorKind::PermissionDenied {
            "ports below 1024 need root or CAP_NET_BIND_SERVICE"
        } else {
            "name an address of this machine, or 0.0.0.0"
        };
        return Check::fail("port", format!("{port} cannot be opened: {error}"), mend);
    }
    match holder(address.port(), transport) {
        Some(holder) if running.is_some_and(|running| running.pid == Some(holder.pid)) => {
            let found = format!("{port} is held by the ringside that runs on this data.dir");
            Check::ok("port", found)
        }
        Some(Holder { pid, name }) => Check::fail(
            "port",
            format!("{port} is taken by {name}, process {pid}"),
            format!("stop it, or set another port: --set {key}=ADDRESS:PORT"),
        ),
        None => Check::fail(
            "port",
            format!("{port} is taken by a process of another user"),
            format!("`ss -lntup` as root names it; or set another port: --set {key}=ADDRESS:PORT"),
        ),
    }
}

/// Who has a port.
#[derive(Debug, PartialEq, Eq)]
struct Holder {
    pid: u32,
    name: String,
}

/// The process with a socket on a local port, where it may be seen.
fn holder(port: u16, transport: Transport) -> Option<Holder> {
    let tables = match transport {
        Transport::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
        Transport::Udp => ["/proc/net/udp", "/proc/net/udp6"],
    };
    let tables = tables.iter().filter_map(|table| fs::read_to_string(table).ok());
    let sockets: Vec<String> = tables
        .flat_map(|table| inodes(&table, port, transport))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let mut open = fs::read_dir(process.path().join("fd")).ok()?.flatten();
        let held = open.any(|file| {
            let target = fs::read_link(file.path()).ok();
            target.is_some_and(|target| sockets.iter().any(|socket| target.as_os_str() == socket.as_str()))
        });
        let name = fs::read_to_string(process.path().join("comm")).ok()?;
        let name = name.trim().to_owned();
        held.then_some(Holder { pid, name })
    })
}

/// proc(5), `/proc/net/tcp`: local address, state and inode of each socket. Listening is state 0A; UDP has no such.
fn inodes(table: &str, port: u16, transport: Transport) -> Vec<u64> {
    let lines = table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_whitespace();
        let local = fields.nth(1)?.rsplit_once(':')?.1;
        let state = fields.nth(1)?;
        let inode = fields.nth(5)?.parse().ok()?;
        let ours = u16::from_str_radix(local, 16).ok()? == port;
        (ours && (transport == Transport::Udp || state == "0A")).then_some(inode)
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_names_its_process_and_its_key() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        for (address, transport) in [
            (tcp.local_addr().unwrap(), Transport::Tcp),
            (udp.local_addr().unwrap(), Transport::Udp),
        ] {
            let found = holder(address.port(), transport).unwrap();
            assert_eq!(found.pid, std::process::id());
            let check = check("edge.http.listen", address, transport, None);
            assert_eq!(check.status, super::super::Status::Fail);
            assert!(
                check.found.contains(&format!("process {}", found.pid)),
                "{check:?}"
            );
            assert!(check.mend.unwrap().contains("edge.http.listen"));
            let running = Running {
                ops_url: String::new(),
                pid: Some(found.pid),
            };
            let check = super::check("ops.listen", address, transport, Some(&running));
            assert_eq!(check.status, super::super::Status::Ok);
        }
        let address = tcp.local_addr().unwrap();
        drop(tcp);
        assert_eq!(
            check("x", address, Transport::Tcp, None).status,
            super::super::Status::Ok
        );
    }

    #[test]
    fn an_address_of_somebody_else_is_not_called_taken() {
        let check = check(
            "ops.listen",
            "192.0.2.1:9600".parse().unwrap(),
            Transport::Tcp,
            None,
        );
        assert!(check.found.contains("cannot be opened"), "{check:?}");
    }
}
