//! Limits, clock, processors, memory and disk, as the kernel states them.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::time::ClockId;

use super::Check;
use crate::config::Config;

/// A viewer is one descriptor; below this a middling audience is turned away.
const DESCRIPTORS: u64 = 16_384;
/// What the SRT listener asks the kernel for.
const SRT_BUFFER: u64 = 4 << 20;
/// Disk below which an evening does not fit beside the system.
const DISK_LOW: u64 = 2 << 30;
/// Disk below which nothing can be kept at all.
const DISK_NONE: u64 = 100 << 20;
/// The smallest ladder with its packager and edge, with room for an audience.
const MEMORY_LOW: u64 = 1 << 30;
/// Share of time in which somebody waited for a processor, per cent, above which the ladder will be late.
const PRESSURE: f64 = 20.0;

/// One check for each of them.
pub(super) fn checks(config: &Config) -> Vec<Check> {
    vec![
        descriptors(),
        receive_buffer(number("/proc/sys/net/core/rmem_max")),
        synchronised(),
        resolution(),
        processors(),
        disk(&config.data.dir),
        memory(),
    ]
}

fn descriptors() -> Check {
    // The soft limit is raised at start.
    match rlimit::getrlimit(rlimit::Resource::NOFILE) {
        Ok((_, hard)) if hard >= DESCRIPTORS => {
            Check::ok("descriptors", format!("{hard} open files allowed"))
        }
        Ok((_, hard)) => Check::warn(
            "descriptors",
            format!("only {hard} open files allowed, about one for each viewer"),
            "LimitNOFILE=1048576 in the unit, or a line in /etc/security/limits.conf",
        ),
        Err(error) => Check::warn("descriptors", format!("open files: {error}"), "see ulimit -Hn"),
    }
}

fn receive_buffer(allowed: Option<u64>) -> Check {
    match allowed {
        Some(allowed) if allowed >= SRT_BUFFER => {
            Check::ok("receive_buffer", format!("UDP buffers up to {}", size(allowed)))
        }
        Some(allowed) => Check::warn(
            "receive_buffer",
            format!(
                "UDP buffers up to {} only; SRT wants {}, or bursts of a fast encoder are lost and repeated",
                size(allowed),
                size(SRT_BUFFER)
            ),
            format!("sysctl -w net.core.rmem_max={SRT_BUFFER}, and the same in /etc/sysctl.d"),
        ),
        None => Check::warn(
            "receive_buffer",
            "the largest UDP buffer is not known",
            format!("see that net.core.rmem_max is {SRT_BUFFER} or more"),
        ),
    }
}

fn synchronised() -> Check {
    let asked = Command::new("timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .output();
    let said = asked
        .ok()
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let marked = Path::new("/run/systemd/timesync/synchronized").exists();
    match said.as_deref() {
        Some("yes") => Check::ok("clock", "the clock is synchronised"),
        _ if marked => Check::ok("clock", "the clock is synchronised"),
        Some("no") => Check::warn(
            "clock",
            "the clock is not synchronised; viewers read the time of day from it",
            "timedatectl set-ntp true, or apt-get install chrony",
        ),
        _ => Check::warn(
            "clock",
            "nobody here says whether the clock is synchronised",
            "where the host keeps it, as for a container, all is well; else apt-get install chrony",
        ),
    }
}

fn resolution() -> Check {
    let resolution = rustix::time::clock_getres(ClockId::Monotonic);
    match (resolution.tv_sec, resolution.tv_nsec) {
        (0, ns) if ns <= 1_000_000 => Check::ok("timer", format!("timers count in {ns} ns")),
        (s, ns) => Check::fail(
            "timer",
            format!("timers count in {} ms", s * 1_000 + ns / 1_000_000),
            "boot with a clock source such as tsc or kvm-clock (highres=on)",
        ),
    }
}

fn processors() -> Check {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let pressure = fs::read_to_string("/proc/pressure/cpu").ok();
    let found = format!("{cores} processors");
    match pressure.as_deref().and_then(waiting) {
        Some(share) if share >= PRESSURE => Check::warn(
            "processors",
            format!("{found}, and something waited for one {share:.0} % of the last ten seconds"),
            "stop what else runs here (top -o %CPU); what is measured now is not what the night will bring",
        ),
        Some(share) => Check::ok(
            "processors",
            format!("{found}, waited for {share:.0} % of the time"),
        ),
        None => Check::ok("processors", found),
    }
}

/// `some avg10=1.53 avg60=...`
fn waiting(pressure: &str) -> Option<f64> {
    let line = pressure.lines().find_map(|line| line.strip_prefix("some "))?;
    line.split(' ')
        .find_map(|field| field.strip_prefix("avg10="))?
        .parse()
        .ok()
}

/// Of the directory, or of the nearest above it that is there.
fn disk(dir: &Path) -> Check {
    let free = dir.ancestors().find_map(|dir| {
        let dir = if dir.as_os_str().is_empty() {
            Path::new(".")
        } else {
            dir
        };
        let disk = rustix::fs::statvfs(dir).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    });
    let Some(free) = free else {
        return Check::warn(
            "disk",
            format!("free space of {} is not known", dir.display()),
            "see df",
        );
    };
    let found = format!("{} free in data.dir, {}", size(free), dir.display());
    let mend = "make room, or set data.dir to another disk";
    match free {
        free if free < DISK_NONE => Check::fail("disk", found, mend),
        free if free < DISK_LOW => Check::warn("disk", found, mend),
        _ => Check::ok("disk", found),
    }
}

fn memory() -> Check {
    let table = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = table.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    match kilobytes.map(|kilobytes| kilobytes.saturating_mul(1_024)) {
        Some(free) if free < MEMORY_LOW => Check::warn(
            "memory",
            format!("{} of memory left", size(free)),
            "1 GB carries the smallest ladder with its packager and edge, and 8 kB each viewer",
        ),
        Some(free) => Check::ok("memory", format!("{} of memory left", size(free))),
        None => Check::warn("memory", "the free memory is not known", "see free -m"),
    }
}

fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= 10 << 30 => format!("{} GiB", bytes >> 30),
        bytes if bytes >= 1 << 30 => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
        bytes if bytes >= 1 << 20 => format!("{} MiB", bytes >> 20),
        bytes => format!("{} KiB", bytes >> 10),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn small_buffers_are_told_the_line_to_type() {
        let check = receive_buffer(Some(212_992));
        assert_eq!(check.status, Status::Warn);
        assert!(
            check.found.contains("208 KiB") && check.found.contains("4 MiB"),
            "{check:?}"
        );
        assert!(check.mend.unwrap().contains("net.core.rmem_max=4194304"));
        assert_eq!(receive_buffer(Some(SRT_BUFFER)).status, Status::Ok);
    }

    #[test]
    fn pressure_is_read_and_disks_are_found_above_missing_folders() {
        let text = "some avg10=21.53 avg60=1.00 avg300=0.20 total=1\nfull avg10=0.00 avg60=0.00\n";
        assert_eq!(waiting(text), Some(21.53));
        assert_eq!(waiting("nonsense"), None);
        let dir = tempfile::tempdir().unwrap();
        let check = disk(&dir.path().join("not/there/yet"));
        assert!(check.found.contains("free in data.dir"), "{check:?}");
    }
}
