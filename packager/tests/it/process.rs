//! A packager in a process of its own, which can be killed: this test binary, started as one.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use metrics_exporter_prometheus::PrometheusBuilder;
use packager::Packager;
use packager::config::{Archive, Dvr, Section};
use tokio_util::sync::CancellationToken;

use crate::stage::{SECRET, config};

const DATA_DIR: &str = "RINGSIDE_TEST_PACKAGER_DATA_DIR";
const SECTION: &str = "RINGSIDE_TEST_PACKAGER_SECTION";
const PORTS: &str = "RINGSIDE_TEST_PACKAGER_PORTS";

pub(crate) struct Process {
    child: Child,
    section: Section,
    pub(crate) feed: SocketAddr,
    pub(crate) origin: SocketAddr,
    metrics: SocketAddr,
}

impl Process {
    /// Starts one that keeps what it publishes in this directory.
    pub(crate) fn start(data_dir: &Path) -> Self {
        Self::set(data_dir, Section::default())
    }

    pub(crate) fn with(data_dir: &Path, dvr: &Dvr) -> Self {
        // What waits for an archive would stay on disk for longer.
        let off = Archive {
            url: "off".to_owned(),
            ..Archive::default()
        };
        Self::archiving(data_dir, dvr, &off)
    }

    pub(crate) fn archiving(data_dir: &Path, dvr: &Dvr, archive: &Archive) -> Self {
        let (dvr, archive) = (dvr.clone(), archive.clone());
        Self::set(
            data_dir,
            Section {
                dvr,
                archive,
                ..Section::default()
            },
        )
    }

    pub(crate) fn set(data_dir: &Path, section: Section) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self::at(data_dir, section, (any, any))
    }

    /// Of its feed and its origin.
    pub(crate) fn addresses(&self) -> (SocketAddr, SocketAddr) {
        (self.feed, self.origin)
    }

    /// `kill -9`, and another one in its place.
    pub(crate) fn again(self, data_dir: &Path) -> Self {
        let (ports, section) = (self.addresses(), self.section.clone());
        self.kill();
        Self::at(data_dir, section, ports)
    }

    fn at(data_dir: &Path, section: Section, ports: (SocketAddr, SocketAddr)) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process::packager_process", "--nocapture"])
            .env(DATA_DIR, data_dir)
            .env(SECTION, serde_json::to_string(&section).unwrap())
            .env(PORTS, serde_json::to_string(&ports).unwrap())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ports = lines
            .map(Result::unwrap)
            .find_map(|line| Some(line.split_once("ports ")?.1.to_owned()));
        let ports = ports.expect("it says where it listens");
        let ports: Vec<SocketAddr> = ports.split(' ').map(|port| port.parse().unwrap()).collect();
        Self {
            child,
            section,
            feed: ports[0],
            origin: ports[1],
            metrics: ports[2],
        }
    }

    /// Sum of a metric, whatever its labels.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let mut text = String::new();
        let mut stream = TcpStream::connect(self.metrics).unwrap();
        stream.read_to_string(&mut text).unwrap();
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            rest.starts_with([' ', '{'])
                .then(|| rest.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
        });
        values.sum()
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have been killed already.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packager_process() {
    let Some(data_dir) = std::env::var_os(DATA_DIR) else {
        return;
    };
    let mut config = config();
    config.data_dir = Some(data_dir.into());
    let setting = |name| std::env::var(name).unwrap();
    let section: Section = serde_json::from_str(&setting(SECTION)).unwrap();
    (config.dvr, config.encryption) = (section.dvr, section.encryption);
    config.archive = section.archive;
    (config.feed.listen, config.origin.listen) = serde_json::from_str(&setting(PORTS)).unwrap();
    let recorder = PrometheusBuilder::new().install_recorder().unwrap();
    let metrics = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = metrics.local_addr().unwrap();
    std::thread::spawn(move || {
        for asked in metrics.incoming() {
            asked.unwrap().write_all(recorder.render().as_bytes()).unwrap();
        }
    });
    let packager = Packager::bind(config, SECRET.to_vec()).await.unwrap();
    let (feed, origin) = (packager.feed_address().unwrap(), packager.origin_address());
    println!("ports {feed} {origin} {port}");
    packager.run(CancellationToken::new()).await;
}
