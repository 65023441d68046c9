//! Where libsrt's own log lines go.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::ffi;

/// How bad libsrt finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The library may not go on.
    Critical,
    /// A refusal, a broken connection, a bad packet.
    Error,
    /// Something unusual it can live with.
    Warning,
    /// Normal operation.
    Notice,
}

/// Takes one line: how bad, libsrt's name of the area, the text. Runs on libsrt's threads and must not block.
pub type Function = fn(Level, area: &str, message: &str);

/// Most lines passed on in one second; the rest is counted into the next second's first line. Callers can cause lines.
pub const LINES_PER_SECOND_MAX: u32 = 20;

static SINK: Mutex<Sink> = Mutex::new(Sink {
    function: None,
    window: None,
    lines: 0,
    suppressed: 0,
});

struct Sink {
    function: Option<Function>,
    window: Option<Instant>,
    lines: u32,
    suppressed: u32,
}

/// Gives libsrt's lines up to `level` to `function`. Without this call they are discarded. For the whole process.
pub fn set(level: Level, function: Function) {
    SINK.lock().unwrap_or_else(PoisonError::into_inner).function = Some(function);
    ffi::log_through_us(syslog(level));
}

/// Before anything is asked of libsrt, so that it never writes to standard error.
pub(crate) fn take_over() {
    if SINK
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .function
        .is_none()
    {
        ffi::log_through_us(syslog(Level::Critical));
    }
}

pub(crate) fn line(level: i32, area: &str, message: &str) {
    let level = match level {
        ..=2 => Level::Critical,
        3 => Level::Error,
        4 => Level::Warning,
        _ => Level::Notice,
    };
    let passed = SINK
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .pass(Instant::now());
    let Some((function, suppressed)) = passed else {
        return;
    };
    if suppressed > 0 {
        function(Level::Warning, area, &format!("{suppressed} lines left out"));
    }
    function(level, area, message);
}

impl Sink {
    fn pass(&mut self, now: Instant) -> Option<(Function, u32)> {
        let function = self.function?;
        if self
            .window
            .is_none_or(|start| now.duration_since(start) >= Duration::from_secs(1))
        {
            self.window = Some(now);
            self.lines = 0;
        }
        self.lines += 1;
        if self.lines > LINES_PER_SECOND_MAX {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        Some((function, std::mem::take(&mut self.suppressed)))
    }
}

fn syslog(level: Level) -> i32 {
    match level {
        Level::Critical => 2,
        Level::Error => 3,
        Level::Warning => 4,
        Level::Notice => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_counted() {
        let start = Instant::now();
        let mut sink = Sink {
            function: Some(|_, _, _| {}),
            window: None,
            lines: 0,
            suppressed: 0,
        };
        let passed = (0..100).filter(|_| sink.pass(start).is_some()).count();
        assert_eq!(passed, usize::try_from(LINES_PER_SECOND_MAX).unwrap());
        let (_, suppressed) = sink.pass(start + Duration::from_secs(1)).unwrap();
        assert_eq!(suppressed, 100 - LINES_PER_SECOND_MAX);
        assert_eq!(sink.pass(start + Duration::from_secs(1)).unwrap().1, 0);
    }
}
