//! The processes and links that a drill may touch: those in a file that whoever started them wrote, on this machine.

use std::fs::{self, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::toxic::Link;

/// Longest wait for a process to end after SIGKILL; after SIGTERM it is [`DRAIN_WAIT`].
const KILL_WAIT: Duration = Duration::from_secs(5);
/// Longest wait for a process to end by itself.
const DRAIN_WAIT: Duration = Duration::from_secs(40);

/// A process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// As faults name it.
    pub name: String,
    /// Its id.
    pub pid: i32,
    /// When it started, field 22 of `/proc/PID/stat`: an id that was given to another process is not touched.
    pub started: u64,
    /// What starts it again; nothing where it cannot be.
    #[serde(default)]
    pub command: Vec<String>,
    /// Where it writes to.
    #[serde(default)]
    pub log: Option<PathBuf>,
}

/// A link between two tiers; the drill passes on what comes to it while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Way {
    /// As faults name it.
    pub name: String,
    /// What the lower tier asks.
    pub listen: SocketAddr,
    /// The upper tier.
    pub to: SocketAddr,
}

/// What a fleet file says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listed {
    /// Base URLs of edges.
    pub targets: Vec<String>,
    /// Base URL of the origin.
    pub origin: Option<String>,
    /// Base URL of the origin's operators' port.
    pub origin_ops: Option<String>,
    /// Processes.
    pub nodes: Vec<Node>,
    /// Links.
    pub links: Vec<Way>,
}

impl Listed {
    /// Reads a fleet file, and checks that its processes are those that were meant.
    pub fn read(path: &Path) -> Result<Self, Vec<String>> {
        let named = |why: String| vec![format!("{}: {why}", path.display())];
        let text = fs::read(path).map_err(|error| named(error.to_string()))?;
        let listed: Self = serde_json::from_slice(&text).map_err(|error| named(error.to_string()))?;
        let mut mistakes = Vec::new();
        for node in &listed.nodes {
            if node.pid <= 1 || started(node.pid) != Some(node.started) {
                mistakes.extend(named(format!(
                    "{}: process {} is not the one listed",
                    node.name, node.pid
                )));
            }
        }
        for link in &listed.links {
            if !link.listen.ip().is_loopback() || !link.to.ip().is_loopback() {
                mistakes.extend(named(format!("link {}: not on this machine", link.name)));
            }
        }
        if mistakes.is_empty() {
            Ok(listed)
        } else {
            Err(mistakes)
        }
    }
}

/// A fleet that is being drilled.
#[derive(Debug)]
pub(crate) struct Fleet {
    path: PathBuf,
    listed: Listed,
    links: Vec<(String, Link)>,
    children: Vec<Child>,
}

impl Fleet {
    /// Opens its links.
    pub(crate) fn open(path: &Path, listed: Listed) -> io::Result<Self> {
        let links: io::Result<_> = listed
            .links
            .iter()
            .map(|way| Ok((way.name.clone(), Link::open(way.listen, way.to)?)))
            .collect();
        Ok(Self {
            path: path.to_owned(),
            links: links?,
            listed,
            children: Vec::new(),
        })
    }

    pub(crate) fn link(&self, name: &str) -> Option<&Link> {
        self.links
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, link)| link)
    }

    fn node(&mut self, name: &str) -> io::Result<&mut Node> {
        let found = self.listed.nodes.iter_mut().find(|node| node.name == name);
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no node {name}")))
    }

    /// Sends a signal to the process that is meant, and to no other.
    pub(crate) fn signal(&mut self, name: &str, signal: Signal) -> io::Result<()> {
        let node = self.node(name)?;
        if started(node.pid) != Some(node.started) {
            return Err(io::Error::other(format!("{name} is no longer there")));
        }
        kill(Pid::from_raw(node.pid), signal).map_err(io::Error::from)
    }

    /// Ends a process, and waits until it has ended.
    pub(crate) fn end(&mut self, name: &str, signal: Signal) -> io::Result<()> {
        self.signal(name, signal)?;
        let node = self.node(name)?;
        let (pid, began) = (node.pid, node.started);
        let wait = if signal == Signal::SIGKILL {
            KILL_WAIT
        } else {
            DRAIN_WAIT
        };
        let deadline = Instant::now() + wait;
        loop {
            // Those that a drill started are its own to bury.
            self.children
                .retain_mut(|child| !matches!(child.try_wait(), Ok(Some(_))));
            if started(pid) != Some(began) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(io::Error::other(format!(
                    "{name} did not end within {} s",
                    wait.as_secs()
                )));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts a process that has ended, and writes down its new id.
    pub(crate) fn start(&mut self, name: &str) -> io::Result<()> {
        let node = self.node(name)?;
        let Some((program, arguments)) = node.command.split_first() else {
            return Err(io::Error::other(format!("{name} has no command")));
        };
        let output = |log: &Option<PathBuf>| {
            log.as_ref().map_or(Ok(Stdio::null()), |log| {
                OpenOptions::new()
                    .append(true)
                    .create(true)
                    .open(log)
                    .map(Stdio::from)
            })
        };
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        command.stdout(output(&node.log)?).stderr(output(&node.log)?);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn()?;
        node.pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        node.started = started(node.pid).unwrap_or(0);
        self.children.push(child);
        self.write()
    }

    /// Whoever started the fleet ends what is in the file.
    fn write(&self) -> io::Result<()> {
        let fresh = self.path.with_extension("new");
        fs::write(&fresh, serde_json::to_vec_pretty(&self.listed)?)?;
        fs::rename(fresh, &self.path)
    }
}

/// When a process started; none where there is none that runs.
pub fn started(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it is in brackets, and may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    match fields.next()? {
        "Z" | "X" => None,
        _ => fields.nth(18)?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_process_that_was_listed_is_touched_and_a_new_one_takes_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fleet.json");
        let mut other = Command::new("sleep").arg("100").spawn().unwrap();
        let pid = i32::try_from(other.id()).unwrap();
        let node = |started| Node {
            name: "sleeper".to_owned(),
            pid,
            started,
            command: vec!["sleep".to_owned(), "200".to_owned()],
            log: None,
        };
        let listed = |started| Listed {
            nodes: vec![node(started)],
            ..Listed::default()
        };
        fs::write(&path, serde_json::to_vec(&listed(1)).unwrap()).unwrap();
        let said = Listed::read(&path).unwrap_err();
        assert!(said[0].contains("is not the one listed"), "{said:?}");
        let mut strange = Fleet::open(&path, listed(1)).unwrap();
        assert!(strange.signal("sleeper", Signal::SIGKILL).is_err());
        assert!(other.try_wait().unwrap().is_none());

        let right = listed(started(pid).unwrap());
        fs::write(&path, serde_json::to_vec(&right).unwrap()).unwrap();
        let mut fleet = Fleet::open(&path, Listed::read(&path).unwrap()).unwrap();
        fleet.end("sleeper", Signal::SIGKILL).unwrap();
        other.wait().unwrap();
        assert!(fleet.signal("sleeper", Signal::SIGTERM).is_err());
        fleet.start("sleeper").unwrap();
        let fresh = Listed::read(&path).unwrap().nodes.remove(0);
        assert_ne!(fresh.pid, pid);
        fleet.end("sleeper", Signal::SIGTERM).unwrap();
        assert_eq!(started(fresh.pid), None);
    }
}
