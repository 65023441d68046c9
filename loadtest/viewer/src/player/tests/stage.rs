//! An origin of half-second parts that is 100 s old, a network with a rate and a delay, one player, one virtual clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::super::*;
use crate::listing::Library;

pub(super) const LATENCY: Duration = Duration::from_millis(20);
const PART: Duration = Duration::from_millis(500);
const BEFORE: u64 = 200;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    Status(u16),
    Silence,
}

/// When, of which request, in which slot, with which status, and when its first byte came.
type Event = (Duration, u64, usize, u16, Duration);

pub(super) struct Stage {
    pub(super) player: Player,
    pub(super) log: Vec<(Duration, String)>,
    pub(super) fault: fn(&str, Duration) -> Option<Fault>,
    pub(super) chaos: Option<(Random, u64)>,
    pub(super) bytes_per_s: f64,
    /// No part is published in between; then all at once.
    pub(super) stopped: Option<(Duration, Duration)>,
    pub(super) ends: Option<Duration>,
    pub(super) ended_at: Option<Duration>,
    /// Parts asked for before they were there.
    pub(super) early: u32,
    library: Library,
    now: Duration,
    number: u64,
    /// What is under way in each slot: its number, path and when it was asked.
    slots: [Option<(u64, String, Duration)>; 5],
    events: BinaryHeap<Reverse<Event>>,
}

impl Stage {
    pub(super) fn new(setup: Setup) -> Self {
        let mut stage = Self {
            player: Player::join(setup, Random::new(1), Duration::ZERO),
            log: Vec::new(),
            fault: |_, _| None,
            chaos: None,
            bytes_per_s: 2_500_000.0,
            stopped: None,
            ends: None,
            ended_at: None,
            early: 0,
            library: Library::default(),
            now: Duration::ZERO,
            number: 0,
            slots: Default::default(),
            events: BinaryHeap::new(),
        };
        stage.drain();
        stage
    }

    /// Paths asked for, without `/live/main/`.
    pub(super) fn asked(&self) -> Vec<String> {
        self.log
            .iter()
            .map(|(_, path)| path.replace("/live/main/", ""))
            .collect()
    }

    pub(super) fn score(&self) -> Score {
        self.player.score(self.now)
    }

    /// Media time of the newest moment there is.
    pub(super) fn now_media(&self, now: Duration) -> Micros {
        crate::listing::micros(now) + i64::try_from(BEFORE).unwrap() * 500_000
    }

    pub(super) fn run(&mut self, until: Duration) {
        let mut idle = 0;
        loop {
            let event = self.events.peek().map(|Reverse((at, ..))| *at);
            let deadline = self.player.deadline();
            let next = event.into_iter().chain(deadline).min();
            let Some(next) = next.filter(|at| *at <= until) else {
                break;
            };
            idle = if next > self.now { 0 } else { idle + 1 };
            assert!(idle < 1_000, "a busy loop at {next:?}");
            self.now = self.now.max(next);
            if event == Some(next) {
                self.deliver();
            } else {
                self.player.tick(self.now);
            }
            self.drain();
        }
        self.now = until;
    }

    fn drain(&mut self) {
        while let Some(output) = self.player.poll() {
            match output {
                Output::Ask(ask) => {
                    assert!(self.player.ended().is_none(), "{ask:?} after the end");
                    let slot = &mut self.slots[ask.slot.index()];
                    assert!(slot.is_none(), "{ask:?} while {slot:?}");
                    self.number += 1;
                    *slot = Some((self.number, ask.path.clone(), self.now));
                    self.log.push((self.now, ask.path.clone()));
                    self.answer(&ask);
                }
                Output::Cancel(slot) => self.slots[slot.index()] = None,
                Output::Left(_) => {
                    self.ended_at = Some(self.now);
                    self.slots = Default::default();
                }
                Output::Started(_)
                | Output::Stalled
                | Output::Resumed
                | Output::Switched
                | Output::Skipped => {}
            }
        }
    }

    /// Parts published at a time.
    fn parts(&self, at: Duration) -> u64 {
        let at = self.ends.map_or(at, |end| at.min(end));
        let at = match self.stopped {
            Some((from, to)) if (from..to).contains(&at) => from,
            _ => at,
        };
        BEFORE + u64::try_from(at.as_millis() / PART.as_millis()).unwrap()
    }

    /// When so many parts are published.
    fn published(&self, parts: u64) -> Duration {
        let at = PART * u32::try_from(parts.saturating_sub(BEFORE)).unwrap();
        if self.ends.is_some_and(|end| at > end) {
            return self.ends.unwrap();
        }
        match self.stopped {
            Some((from, to)) if at > from && at < to => to,
            _ => at,
        }
    }

    fn answer(&mut self, ask: &Ask) {
        let mut fault = (self.fault)(&ask.path, self.now);
        let mut latency = LATENCY;
        if let Some((random, percent)) = &mut self.chaos {
            if random.bits() % 100 < *percent {
                fault = Some(
                    [
                        Fault::Status(503),
                        Fault::Status(404),
                        Fault::Status(500),
                        Fault::Silence,
                    ][(random.bits() % 4) as usize],
                );
            }
            latency += Duration::from_millis(random.bits() % 300);
        }
        let (ready, bytes) = self.ready(&ask.path);
        let first = ready.max(self.now) + latency;
        let done = first + Duration::from_secs_f64(bytes as f64 / self.bytes_per_s);
        let limit = self.now + ask.patience.first_byte;
        let (at, code) = match fault {
            Some(Fault::Status(status)) => (self.now + latency, status),
            Some(Fault::Silence) => (limit, 0),
            None if first > limit => (limit, 0),
            None => (done, 200),
        };
        self.events
            .push(Reverse((at, self.number, ask.slot.index(), code, first)));
    }

    /// When a path's answer is there, and its bytes.
    fn ready(&mut self, path: &str) -> (Duration, u64) {
        if let Some(number) = path.split("part-").nth(1).and_then(|name| name.split('.').next()) {
            let number: u64 = number.parse().unwrap();
            let at = self.published(number + 1);
            self.early += u32::from(at > self.now);
            let bytes = if path.contains("high") {
                125_000
            } else if path.contains("low") {
                40_000
            } else {
                8_000
            };
            return (at, bytes);
        }
        let number = |name: &str| {
            path.split(name)
                .nth(1)
                .map(|rest| rest.split('&').next().unwrap().parse::<u64>().unwrap())
        };
        match number("_HLS_msn=") {
            Some(msn) => (self.published(msn * 4 + number("_HLS_part=").unwrap() + 1), 2_000),
            None => (Duration::ZERO, 2_000),
        }
    }

    fn deliver(&mut self) {
        let Some(Reverse((at, number, index, code, first))) = self.events.pop() else {
            return;
        };
        let slot = Slot::ALL[index];
        let Some((_, path, asked)) = self.slots[index].take_if(|(own, ..)| *own == number) else {
            return;
        };
        if code != 200 {
            let failure = if code == 0 {
                Failure::Timeout
            } else {
                Failure::Status(code)
            };
            return self.player.fail(at, slot, failure);
        }
        match slot {
            Slot::Ladder => {
                let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",URI=\"audio/media.m3u8\"\n\
                    #EXT-X-STREAM-INF:BANDWIDTH=800000\nlow/media.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2200000\nhigh/media.m3u8\n";
                self.player
                    .ladder(at, Arc::new(Ladder::read(&path, text).unwrap()));
            }
            Slot::Playlist(lane) => {
                let track = path.split('/').nth(3).unwrap().to_owned();
                // What there is when it is sent, not when it has arrived.
                let listing = self.read(&track, first.saturating_sub(LATENCY).max(asked));
                self.player.listing(at, lane, listing, Duration::ZERO);
            }
            Slot::Media(lane) => {
                let (_, bytes) = self.ready(&path);
                self.player.media(at, lane, bytes, first - asked, at - asked);
            }
        }
    }

    pub(super) fn read(&mut self, track: &str, at: Duration) -> Arc<Listing> {
        let parts = self.parts(at);
        let over = self.ends.is_some_and(|end| end <= at);
        let segments = parts / 4;
        let mut text = format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,PART-HOLD-BACK=1.5\n\
             #EXT-X-PART-INF:PART-TARGET=0.5\n#EXT-X-MEDIA-SEQUENCE:{}\n#EXT-X-MAP:URI=\"init.mp4\"\n",
            segments - 20
        );
        for msn in segments - 20..=segments {
            let seconds = msn * 2;
            text += &format!(
                "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:{:02}:{:02}Z\n",
                seconds / 60,
                seconds % 60
            );
            if msn + 8 > segments {
                for part in (msn * 4..msn * 4 + 4).take_while(|part| *part < parts) {
                    let key = if part % 2 == 0 || track == "audio" {
                        ",INDEPENDENT=YES"
                    } else {
                        ""
                    };
                    text += &format!("#EXT-X-PART:DURATION=0.5,URI=\"part-{part}.m4s\"{key}\n");
                }
            }
            if msn < segments {
                text += &format!("#EXTINF:2.0,\nseg-{msn}.m4s\n");
            }
        }
        if over {
            text += "#EXT-X-ENDLIST\n";
        } else {
            text += &format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"part-{parts}.m4s\"\n");
        }
        for other in ["low", "high", "audio"].iter().filter(|other| **other != track) {
            let last = parts - 1;
            text += &format!(
                "#EXT-X-RENDITION-REPORT:URI=\"../{other}/media.m3u8\",LAST-MSN={},LAST-PART={}\n",
                last / 4,
                last % 4
            );
        }
        self.library
            .read(&format!("/live/main/{track}/media.m3u8"), None, &text)
            .unwrap()
    }
}
