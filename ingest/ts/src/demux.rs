//! The machine: which PID goes where, and what a loss does.

use bytes::Bytes;

use crate::event::{Counters, Event, Track};
use crate::framer::{Framer, PACKET};
use crate::limits::Limits;
use crate::packet::{Continuity, NULL_PID, Packet, Verdict};
use crate::psi::{self, PAT_PID, Pat, Pmt};
use crate::queue::Queue;
use crate::section;
use crate::stream::Stream;

/// iso13818-1 §2.7.2: PCRs are at most 100 ms apart.
const PCR_INTERVAL_MAX: u64 = 2_700_000;
const PCR_WRAP: u64 = crate::TICKS_WRAP * 300;

/// Takes MPEG-TS apart.
#[derive(Debug)]
pub struct Demux {
    framer: Framer,
    program: Program,
}

impl Demux {
    /// A machine that has seen nothing.
    pub fn new(limits: Limits) -> Self {
        Self {
            framer: Framer::default(),
            program: Program::new(limits),
        }
    }

    /// Takes the next bytes of the stream, split anyhow. Drain [`poll`](Self::poll) before the next call.
    pub fn handle(&mut self, bytes: &[u8]) {
        self.framer.feed(bytes, |packet| self.program.packet(packet));
    }

    /// The stream has ended: the last units, which had no follower to end them, become events.
    pub fn finish(&mut self) {
        self.framer.finish(|packet| self.program.packet(packet));
        self.program.finish();
    }

    /// The next event.
    pub fn poll(&mut self) -> Option<Event> {
        self.program.queue.pop()
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        Counters {
            sync_losses: self.framer.losses,
            bytes_skipped: self.framer.skipped,
            events_dropped: self.program.queue.dropped,
            ..self.program.counters
        }
    }
}

/// The tables in force and the streams they name.
#[derive(Debug)]
struct Program {
    limits: Limits,
    queue: Queue,
    counters: Counters,
    pat: Table,
    /// The PMT's PID and programme number.
    place: Option<(u16, u16)>,
    pmt: Table,
    pcr_pid: Option<u16>,
    streams: Vec<Stream>,
}

/// A table's packets, and its section in force.
#[derive(Debug, Default)]
struct Table {
    continuity: Continuity,
    sections: section::Assembler,
    in_force: Option<Bytes>,
}

impl Program {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            queue: Queue::new(limits),
            counters: Counters::default(),
            pat: Table::default(),
            place: None,
            pmt: Table::default(),
            pcr_pid: None,
            streams: Vec::new(),
        }
    }

    fn packet(&mut self, raw: &[u8; PACKET]) {
        self.counters.packets += 1;
        let Some(packet) = Packet::parse(raw) else {
            self.counters.packets_malformed += 1;
            return;
        };
        // With an error in the packet its PID is as doubtful as the rest.
        if packet.transport_error {
            self.counters.transport_errors += 1;
            return;
        }
        if packet.pid == NULL_PID {
            return;
        }
        if packet.scrambled {
            self.counters.packets_scrambled += 1;
            return;
        }
        if Some(packet.pid) == self.pcr_pid {
            self.pcr(&packet);
        }
        if packet.pid == PAT_PID {
            for section in self.pat.push(&packet, &mut self.counters, self.limits) {
                self.enter_pat(section);
            }
        } else if self.place.is_some_and(|(pid, _)| pid == packet.pid) {
            for section in self.pmt.push(&packet, &mut self.counters, self.limits) {
                self.enter_pmt(section);
            }
        } else if let Some(stream) = self
            .streams
            .iter_mut()
            .find(|stream| stream.info.pid == packet.pid)
        {
            stream.packet(&packet, &mut self.queue, &mut self.counters, self.limits);
        }
    }

    fn pcr(&mut self, packet: &Packet<'_>) {
        let Some(pcr) = packet.pcr.map(|pcr| pcr % PCR_WRAP) else {
            return;
        };
        if let Some(last) = self.counters.pcr.replace(pcr) {
            let passed = (pcr + PCR_WRAP - last) % PCR_WRAP;
            let jump = passed > PCR_INTERVAL_MAX && !packet.discontinuity;
            self.counters.pcr_jumps += u64::from(jump);
        }
    }

    fn enter_pat(&mut self, section: Bytes) {
        let Some(pat) = Pat::parse(&section) else {
            self.counters.sections_malformed += 1;
            return;
        };
        self.counters.programs_ignored = u64::try_from(pat.programs - 1).unwrap_or(u64::MAX);
        let place = Some((pat.pmt_pid, pat.program));
        if self.place != place {
            self.place = place;
            self.pmt = Table::default();
        }
    }

    fn enter_pmt(&mut self, section: Bytes) {
        if self.pmt.in_force.as_ref() == Some(&section) {
            return;
        }
        let Some(pmt) = Pmt::parse(&section) else {
            self.counters.sections_malformed += 1;
            return;
        };
        // Programmes may share a PID for their tables.
        if self.place.is_none_or(|(_, program)| program != pmt.program) {
            return;
        }
        self.pmt.in_force = Some(section);
        if self.pcr_pid.replace(pmt.pcr_pid) != Some(pmt.pcr_pid) {
            self.counters.pcr = None;
        }
        self.follow(pmt.streams);
    }

    /// Streams that are as before go on; others end with what they have, or begin.
    fn follow(&mut self, infos: Vec<psi::Stream>) {
        let mut old = std::mem::take(&mut self.streams);
        let mut tracks: Vec<Track> = Vec::new();
        for info in infos {
            let known = tracks.iter().any(|track| track.pid == info.pid);
            let Some((medium, codec)) = info
                .kind
                .filter(|_| !known && tracks.len() < self.limits.pids_max)
            else {
                self.counters.streams_ignored += 1;
                continue;
            };
            let track = tracks.iter().filter(|track| track.medium == medium).count();
            let track = u8::try_from(track).unwrap_or(u8::MAX);
            tracks.push(Track {
                track,
                pid: info.pid,
                medium,
                codec,
                language: info.language,
            });
            let same = old
                .iter()
                .position(|stream| stream.info == info && stream.track == track);
            let stream = same.map(|index| old.swap_remove(index));
            self.streams
                .push(stream.unwrap_or_else(|| Stream::new(info, track, codec)));
        }
        for mut stream in old {
            stream.flush(&mut self.queue, &mut self.counters);
        }
        self.queue.push(PAT_PID, Event::Tracks(tracks));
    }

    fn finish(&mut self) {
        for stream in &mut self.streams {
            stream.flush(&mut self.queue, &mut self.counters);
        }
    }
}

impl Table {
    /// The right sections that the packet completes.
    fn push(&mut self, packet: &Packet<'_>, counters: &mut Counters, limits: Limits) -> Vec<Bytes> {
        let verdict = self.continuity.judge(packet, counters);
        if matches!(verdict, Verdict::Gap | Verdict::Jump) {
            self.sections.reset();
        }
        let Some(payload) = packet.payload.filter(|_| verdict != Verdict::Duplicate) else {
            return Vec::new();
        };
        self.sections
            .push(payload, packet.unit_start, limits.section_bytes_max, counters)
    }
}
