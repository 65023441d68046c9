//! One viewer's place: its player, its connections, and what goes to and fro between them.

use std::sync::Arc;
use std::time::Duration;

use mio::Token;
use viewer::habit::{Failure, Kind};
use viewer::ladder::Ladder;
use viewer::listing::{self, micros};
use viewer::player::{End, Lane, Slot};
use viewer::{Ask, Output, Player};

use super::{Crowd, LADDERS_MAX};
use crate::cast::Role;
use crate::inspect::Continuity;
use crate::socket::{Answer, Progress, Request, Socket};
use crate::tally::count;

/// Connections of a viewer: playlist and media, of video and of sound. The multivariant playlist comes over the first.
pub(super) const SOCKETS: usize = 4;

/// Most parts that are counted as overdue when a viewer leaves.
const OVERDUE_MAX: u32 = 1_000;

#[derive(Debug)]
pub(super) struct Seat {
    pub(super) index: u32,
    /// Among all viewers of the drill.
    number: u32,
    /// Watches what is, not what was.
    pub(super) is_live: bool,
    pub(super) player: Player,
    pub(super) armed: Duration,
    sockets: [Option<Socket>; SOCKETS],
    pub(super) target: usize,
    kbps: Option<f64>,
    inspector: Option<Box<[Continuity; 2]>>,
    /// When the newest part of each lane was published, microseconds since the beginning.
    published: [Option<i64>; 2],
}

fn place(slot: Slot) -> usize {
    match slot {
        Slot::Ladder | Slot::Playlist(Lane::Video) => 0,
        Slot::Media(Lane::Video) => 1,
        Slot::Playlist(Lane::Audio) => 2,
        Slot::Media(Lane::Audio) => 3,
    }
}

fn of<T>(lane: Lane, both: &mut [T; 2]) -> &mut T {
    let [video, audio] = both;
    match lane {
        Lane::Video => video,
        Lane::Audio => audio,
    }
}

fn class(kind: Kind, failure: Failure) -> String {
    let kind = match kind {
        Kind::Ladder => "multivariant",
        Kind::Playlist => "playlist",
        Kind::Media => "media",
    };
    match failure {
        Failure::Timeout => format!("{kind} timeout"),
        Failure::Connection => format!("{kind} connection"),
        Failure::Status(status) => format!("{kind} {status}"),
        Failure::Unreadable => format!("{kind} unreadable"),
    }
}

impl Seat {
    pub(super) fn deadline(&self) -> Option<Duration> {
        let sockets = self.sockets.iter().flatten().filter_map(Socket::deadline);
        self.player.deadline().into_iter().chain(sockets).min()
    }
}

impl Crowd<'_> {
    /// A viewer comes.
    pub(super) fn join(&mut self, index: u32, number: u32, role: Role) -> Box<Seat> {
        let now = self.clock.now();
        let targets = self.plan.targets.len().max(1);
        let mut seat = Box::new(Seat {
            index,
            number,
            is_live: role.setup.rewind.is_none(),
            player: Player::join(role.setup, role.random, now),
            armed: Duration::MAX,
            sockets: Default::default(),
            target: usize::try_from(number).unwrap_or(0) % targets,
            kbps: role.kbps,
            inspector: role.inspects.then(Box::default),
            published: [None; 2],
        });
        self.tally.joined += 1;
        self.tally.peak += 1;
        self.drain(&mut seat);
        self.arm(&mut seat);
        seat
    }

    /// A timer of the viewer's is due.
    pub(super) fn due(&mut self, seat: &mut Seat, at: Duration) {
        if at != seat.armed {
            // An earlier one took its place.
            return;
        }
        self.late(at);
        seat.armed = Duration::MAX;
        let now = self.clock.now();
        for index in 0..SOCKETS {
            let Some(Some(socket)) = seat.sockets.get_mut(index) else {
                continue;
            };
            if socket.is_expired(now) {
                self.progress_of(seat, index, Progress::Failed(Failure::Timeout, false));
            } else if socket.deadline().is_some_and(|at| at <= now) {
                let progress = socket.drive(now, &mut self.scratch, seat.kbps);
                self.progress_of(seat, index, progress);
            }
        }
        seat.player.tick(now);
        self.drain(seat);
    }

    /// A connection can be read or written.
    pub(super) fn ready(&mut self, seat: &mut Seat, index: usize) {
        let Some(Some(socket)) = seat.sockets.get_mut(index) else {
            return;
        };
        let progress = socket.drive(self.clock.now(), &mut self.scratch, seat.kbps);
        self.progress_of(seat, index, progress);
        self.drain(seat);
    }

    /// Does what the player wants.
    fn drain(&mut self, seat: &mut Seat) {
        while let Some(output) = seat.player.poll() {
            match output {
                Output::Ask(ask) => self.ask(seat, ask),
                Output::Cancel(slot) => {
                    // HTTP/1.1 knows no other way to take a request back.
                    if let Some(socket) = seat.sockets.get_mut(place(slot)) {
                        *socket = None;
                    }
                }
                Output::Switched | Output::Skipped => {
                    if let Some(inspector) = &mut seat.inspector {
                        inspector.iter_mut().for_each(Continuity::broken_off);
                    }
                }
                Output::Stalled => self.second.stalls += 1,
                Output::Started(_) | Output::Resumed | Output::Left(_) => {}
            }
        }
    }

    fn ask(&mut self, seat: &mut Seat, ask: Ask) {
        self.tally.requests += 1;
        self.second.requests += 1;
        if let Some(edge) = self.edges.get_mut(seat.target) {
            edge.requests += 1;
        }
        let inspects = seat.inspector.is_some();
        let request = Request {
            keep: ask.slot.kind() != Kind::Media || inspects,
            slot: ask.slot,
            path: ask.path,
            patience: ask.patience,
            target: seat.target,
            others: 0,
        };
        self.send(seat, request);
    }

    fn send(&mut self, seat: &mut Seat, mut request: Request) {
        let (slot, index) = (request.slot, place(request.slot));
        let Some(target) = self.plan.targets.get(seat.target) else {
            return;
        };
        let Some(socket) = seat.sockets.get_mut(index) else {
            return;
        };
        if socket.is_none() {
            request.target = seat.target;
            let token = usize::try_from(seat.index).unwrap_or(0) * SOCKETS + index;
            let slow = seat.kbps.is_some();
            *socket = Socket::open(&self.registry, target.address, Token(token), seat.number, slow).ok();
        }
        let progress = match socket {
            Some(socket) => socket.ask(self.clock.now(), request, &target.host),
            None => return self.failed(seat, slot, Failure::Connection),
        };
        self.progress_of(seat, index, progress);
    }

    fn progress_of(&mut self, seat: &mut Seat, index: usize, progress: Progress) {
        let Some(socket) = seat.sockets.get_mut(index) else {
            return;
        };
        match progress {
            Progress::Waiting => {}
            Progress::Failed(failure, stale) => {
                let is_unreached = socket.as_ref().is_some_and(Socket::is_unreached);
                let request = socket.take().and_then(|mut socket| socket.take());
                match request {
                    // The server had closed it while nothing was asked: browsers ask again on another one.
                    Some(request) if stale => self.send(seat, request),
                    Some(request) if is_unreached && self.has_another(seat, &request) => {
                        self.error(seat, &class(request.slot.kind(), failure));
                        self.go_on(seat, request.target);
                        let others = request.others + 1;
                        self.send(seat, Request { others, ..request });
                    }
                    Some(request) if failure == Failure::Timeout => {
                        let target = request.target;
                        self.failed(seat, request.slot, failure);
                        self.go_on(seat, target);
                    }
                    Some(request) => self.failed(seat, request.slot, failure),
                    None => {}
                }
            }
            Progress::Done(answer, reusable) => {
                if !reusable {
                    *socket = None;
                }
                self.deliver(seat, *answer);
            }
        }
    }

    fn failed(&mut self, seat: &mut Seat, slot: Slot, failure: Failure) {
        self.error(seat, &class(slot.kind(), failure));
        seat.player.fail(self.clock.now(), slot, failure);
    }

    /// Browsers try every address of a name before they say that it cannot be reached.
    fn has_another(&self, seat: &Seat, request: &Request) -> bool {
        let others = usize::try_from(request.others).unwrap_or(usize::MAX);
        self.plan.scenario.failover && others + 1 < self.plan.targets.len() && seat.player.ended().is_none()
    }

    /// Leaves an edge, unless another of its connections did already.
    fn go_on(&self, seat: &mut Seat, from: usize) {
        if self.plan.scenario.failover && seat.target == from {
            seat.target = (from + 1) % self.plan.targets.len().max(1);
        }
    }

    fn error(&mut self, seat: &Seat, class: &str) {
        count(&mut self.tally.errors, class);
        self.second.errors += 1;
        if let Some(edge) = self.edges.get_mut(seat.target) {
            edge.errors += 1;
        }
    }

    /// An answer goes to the player.
    fn deliver(&mut self, seat: &mut Seat, answer: Answer) {
        self.tally.bytes += answer.bytes;
        self.second.bytes += answer.bytes;
        if let Some(edge) = self.edges.get_mut(seat.target) {
            edge.bytes += answer.bytes;
        }
        let slot = answer.request.slot;
        if answer.head.status != 200 {
            return self.failed(seat, slot, Failure::Status(answer.head.status));
        }
        match slot {
            Slot::Ladder => self.ladder(seat, &answer),
            Slot::Playlist(lane) => self.playlist(seat, lane, &answer),
            Slot::Media(lane) => self.media(seat, lane, &answer),
        }
    }

    fn ladder(&mut self, seat: &mut Seat, answer: &Answer) {
        let known = self.ladders.get(&answer.body).cloned();
        let ladder = known.or_else(|| {
            let text = std::str::from_utf8(&answer.body).ok()?;
            let ladder = Arc::new(Ladder::read(&answer.request.path, text).ok()?);
            if self.ladders.len() < LADDERS_MAX {
                self.ladders.insert(answer.body.clone(), ladder.clone());
            }
            Some(ladder)
        });
        match ladder {
            Some(ladder) => seat.player.ladder(self.clock.now(), ladder),
            None => self.failed(seat, Slot::Ladder, Failure::Unreadable),
        }
    }

    fn playlist(&mut self, seat: &mut Seat, lane: Lane, answer: &Answer) {
        let now = self.clock.now();
        let read = match (std::str::from_utf8(&answer.body), seat.player.playlist(lane)) {
            (Ok(text), Some(path)) => self
                .library
                .read(path, seat.player.previous(lane), text)
                .map_err(Some),
            (Err(_), _) | (_, None) => Err(None),
        };
        match read {
            Ok(listing) => {
                if seat.inspector.is_some() {
                    self.evidence
                        .waited(&answer.request.path, &listing, &mut self.tally);
                    self.evidence
                        .playlist(&answer.request.path, &listing, &mut self.tally);
                }
                let age = Duration::from_secs(u64::from(answer.head.age_s));
                seat.player.listing(now, lane, listing, age);
            }
            Err(Some(listing::Error::Delta(_))) => {
                self.error(seat, "playlist delta");
                seat.player.unmergeable(now, lane);
            }
            Err(_) => self.failed(seat, Slot::Playlist(lane), Failure::Unreadable),
        }
    }

    fn media(&mut self, seat: &mut Seat, lane: Lane, answer: &Answer) {
        let now = self.clock.now();
        let published = answer
            .head
            .available_us
            .and_then(|us| self.since_beginning_us(us));
        // A slow network's lateness is its own, and who goes back wants to be late.
        if let Some(published) = published.filter(|_| seat.kbps.is_none() && seat.is_live)
            && seat
                .player
                .steady()
                .is_some_and(|since| micros(since) < published)
        {
            self.tally.part(now, published);
            let late = listing::length(micros(now) - published);
            self.second.lateness.record(late);
            if let Some(edge) = self.edges.get_mut(seat.target) {
                edge.lateness.record(late);
            }
            *of(lane, &mut seat.published) = Some(published);
        }
        if let Some(inspector) = &mut seat.inspector {
            self.evidence
                .body(&answer.request.path, &answer.body, &mut self.tally);
            let path = &answer.request.path;
            let listing = seat.player.previous(Lane::Video).filter(|_| lane == Lane::Video);
            let piece = listing.and_then(|listing| listing.items.iter().rfind(|item| item.path == *path));
            let start = piece.map(|piece| piece.start);
            of(lane, inspector).check(path, &answer.body, start, &mut self.evidence, &mut self.tally);
        }
        let before = seat.player.score(now);
        let (first, whole) = (
            answer.first.saturating_sub(answer.asked),
            now.saturating_sub(answer.asked),
        );
        seat.player.media(now, lane, answer.bytes, first, whole);
        let after = seat.player.score(now);
        let (loaded, bits) = (
            (after.loaded - before.loaded).as_secs_f64(),
            after.bits - before.bits,
        );
        if loaded > 0.0 {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a rate is not negative, and fits"
            )]
            let kbps = (bits as f64 / loaded / 1_000.0).round() as u64;
            *self.tally.rungs_s.entry(kbps).or_default() += loaded;
        }
        if after.gaps > before.gaps
            && let Some(inspector) = &mut seat.inspector
        {
            inspector.iter_mut().for_each(Continuity::broken_off);
        }
    }

    /// The viewer goes, or the drill ends.
    pub(super) fn finish(&mut self, seat: &mut Seat) {
        let now = self.clock.now();
        let how = match seat.player.ended() {
            Some(End::Satisfied) => "satisfied".to_owned(),
            Some(End::Impatient) => "impatient".to_owned(),
            Some(End::Over) => "stream over".to_owned(),
            Some(End::Failed(kind, failure)) => format!("failed: {}", class(kind, failure)),
            None => "there at the end".to_owned(),
        };
        self.tally.session(&seat.player.score(now), &how);
        self.overdue(seat, now);
    }

    /// Parts that there are, and that this viewer was waiting for in vain.
    fn overdue(&mut self, seat: &Seat, now: Duration) {
        let listing = seat.player.previous(Lane::Video).filter(|listing| !listing.ended);
        let part = listing.and_then(|listing| listing.part_target).map(micros);
        let (Some(part), Some(_)) = (part.filter(|part| *part > 0), seat.player.steady()) else {
            return;
        };
        let newest = self.newest_us(now);
        for last in seat.published.iter().flatten() {
            let mut next = last + part;
            for _ in 0..OVERDUE_MAX {
                // One that has only just come is on its way.
                if next > newest || micros(now) - next < part {
                    break;
                }
                self.tally.part(now, next);
                self.tally.overdue += 1;
                next += part;
            }
        }
    }
}
