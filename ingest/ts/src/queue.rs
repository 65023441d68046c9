//! The bounded queue of events.

use std::collections::VecDeque;

use crate::event::Event;
use crate::limits::Limits;

/// What an event costs beside its bytes.
const OVERHEAD: usize = 128;

/// Events that wait for the owner.
#[derive(Debug)]
pub(crate) struct Queue {
    limits: Limits,
    events: VecDeque<Waiting>,
    bytes: usize,
    /// Events dropped at the limits.
    pub(crate) dropped: u64,
}

#[derive(Debug)]
struct Waiting {
    pid: u16,
    event: Event,
}

impl Queue {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            events: VecDeque::new(),
            bytes: 0,
            dropped: 0,
        }
    }

    /// Adds an event of the track on `pid`.
    pub(crate) fn push(&mut self, pid: u16, event: Event) {
        let cost = cost(&event);
        if self.events.len() >= self.limits.events_max || self.bytes + cost > self.limits.event_bytes_max {
            self.shed();
        }
        self.bytes += cost;
        self.events.push_back(Waiting { pid, event });
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        let Waiting { event, .. } = self.events.pop_front()?;
        self.bytes -= cost(&event);
        Some(event)
    }

    /// Drops every waiting media unit, and of the rest the oldest beyond half the limits; tells each track that lost some.
    fn shed(&mut self) {
        let before = self.events.len();
        let mut lost = Vec::new();
        self.events.retain(|Waiting { pid, event }| {
            let media = matches!(
                event,
                Event::Video { .. } | Event::Audio { .. } | Event::Discontinuity { .. }
            );
            if media && !lost.contains(pid) {
                lost.push(*pid);
            }
            !media
        });
        self.bytes = self.events.iter().map(|waiting| cost(&waiting.event)).sum();
        while self.events.len() > self.limits.events_max / 2 || self.bytes > self.limits.event_bytes_max / 2 {
            self.pop();
        }
        self.dropped += u64::try_from(before - self.events.len()).expect("a queue's length fits");
        for pid in lost {
            let event = Event::Discontinuity { pid };
            self.bytes += cost(&event);
            self.events.push_back(Waiting { pid, event });
        }
    }
}

fn cost(event: &Event) -> usize {
    OVERHEAD
        + match event {
            Event::Tracks(tracks) => size_of_val(tracks.as_slice()),
            Event::Video { data, .. } | Event::Audio { data, .. } => data.len(),
            Event::VideoConfig { config, .. } | Event::AudioConfig { config, .. } => config.len(),
            Event::Cue { section, .. } => 2 * section.len(),
            Event::Discontinuity { .. } => 0,
        }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::event::AudioCodec;

    fn audio(pts: u64) -> Event {
        Event::Audio {
            track: 0,
            codec: AudioCodec::Aac,
            pts,
            data: Bytes::from_static(&[0; 100]),
        }
    }

    #[test]
    fn at_the_limit_media_goes_and_the_rest_stays() {
        for limits in [
            Limits {
                events_max: 4,
                ..Limits::default()
            },
            Limits {
                event_bytes_max: 3 * (OVERHEAD + 100) + OVERHEAD,
                ..Limits::default()
            },
        ] {
            let mut queue = Queue::new(limits);
            queue.push(1, Event::Tracks(Vec::new()));
            for pts in 0..4 {
                queue.push(7, audio(pts));
            }
            assert_eq!(queue.dropped, 3);
            let left: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
            assert_eq!(
                left,
                [
                    Event::Tracks(Vec::new()),
                    Event::Discontinuity { pid: 7 },
                    audio(3)
                ]
            );
            assert_eq!(queue.bytes, 0);
        }
    }
}
