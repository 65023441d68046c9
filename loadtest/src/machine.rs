//! Where and when a drill ran, so that its figures mean something a year later.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hls::time::{PROGRAM_EPOCH_UNIX, date_time};
use serde::{Deserialize, Serialize};

/// This machine, at the beginning of a drill.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// Date and time in UTC.
    pub began: String,
    /// The processor.
    pub processor: String,
    /// How many of it the drill could use.
    pub cores: u64,
    /// Memory, thousand million bytes.
    pub memory_gb: f64,
    /// The kernel.
    pub system: String,
    /// What played the drill.
    pub version: String,
    /// Base URLs of the edges.
    pub targets: Vec<String>,
    /// Base URL of the origin whose clock counted.
    pub origin: Option<String>,
}

impl Machine {
    /// Here and now.
    pub fn here(targets: &[String], origin: Option<&String>) -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let began = since_1970.saturating_sub(Duration::from_secs(PROGRAM_EPOCH_UNIX));
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        Self {
            began: date_time(began),
            processor: said("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned()),
            cores: u64::try_from(cores).unwrap_or(u64::MAX),
            memory_gb: said("/proc/meminfo", "MemTotal")
                .and_then(|size| size.strip_suffix(" kB")?.trim().parse::<f64>().ok())
                .map_or(0.0, |kib| (kib * 1_024.0 / 1e8).round() / 10.0),
            system: std::fs::read_to_string("/proc/sys/kernel/osrelease")
                .map(|release| format!("{} {}", std::env::consts::OS, release.trim()))
                .unwrap_or_else(|_| std::env::consts::OS.to_owned()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            targets: targets.to_vec(),
            origin: origin.cloned(),
        }
    }
}

/// The first value of a key in a file of `key : value` lines.
fn said(file: &str, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_somewhere() {
        let here = Machine::here(&["http://127.0.0.1:1".to_owned()], None);
        assert!(
            here.began.starts_with("20") && here.began.ends_with('Z'),
            "{here:?}"
        );
        assert!(
            here.cores > 0 && here.memory_gb > 0.0 && !here.processor.is_empty(),
            "{here:?}"
        );
    }
}
