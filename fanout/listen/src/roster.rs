//! All connections of a listener: who is let in, who has to go, and how many come from where.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::Limits;
use crate::metrics::{Cause, Meter};
use crate::seat::{Mark, Seat, millis};

/// Whoever was busy so lately is not idle: between a playlist and its part lies a round trip.
const BUSY: Duration = Duration::from_millis(500);
/// One of so many connections is closed at a time when there is no room, so that a crowd is not looked through for each.
const SHARE: usize = 64;

pub(crate) struct Roster {
    epoch: Instant,
    limits: Limits,
    meter: Meter,
    /// Never held across an await.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    seats: BTreeMap<u64, (Arc<Seat>, Mark)>,
    addresses: BTreeMap<IpAddr, usize>,
}

/// A place on the roster, given back when it is dropped.
pub(crate) struct Place {
    roster: Arc<Roster>,
    pub(crate) seat: Arc<Seat>,
    number: u64,
    address: Option<IpAddr>,
}

impl Roster {
    pub(crate) fn new(limits: Limits, meter: Meter) -> Self {
        Self {
            epoch: Instant::now(),
            limits,
            meter,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection; `None` where its address, which is counted unless it is exempt, has too many.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr, is_exempt: bool) -> Option<Place> {
        let is_counted = !is_exempt && self.limits.per_address > 0;
        let address = is_counted.then(|| network(address));
        let seat = Arc::new(Seat::new(self.epoch));
        let mut state = self.lock();
        if let Some(address) = address {
            let count = state.addresses.entry(address).or_default();
            if *count >= self.limits.per_address {
                self.meter.ended(Cause::Address);
                return None;
            }
            *count += 1;
        }
        let number = state.next;
        state.next += 1;
        state.seats.insert(number, (Arc::clone(&seat), Mark::default()));
        Some(Place {
            roster: Arc::clone(self),
            seat,
            number,
            address,
        })
    }

    /// Ends what is overdue.
    pub(crate) fn sweep(&self) {
        let now = millis(self.epoch.elapsed()).saturating_add(1);
        for (seat, mark) in self.lock().seats.values_mut() {
            if let Some(cause) = seat.overdue(now, &self.limits, mark)
                && seat.end(cause)
            {
                self.meter.ended(cause);
            }
        }
    }

    /// Closes those that have been idle longest, for newcomers; false where nobody is.
    pub(crate) fn make_room(&self) -> bool {
        let now = millis(self.epoch.elapsed()).saturating_add(1);
        let latest = now.saturating_sub(millis(BUSY));
        let state = self.lock();
        let seats = state.seats.values().filter_map(|(seat, _)| {
            let since = seat.idle_since().filter(|since| *since <= latest)?;
            Some((since, seat))
        });
        let mut idle: Vec<(u64, &Arc<Seat>)> = seats.collect();
        let share = (state.seats.len() / SHARE).clamp(1, idle.len().max(1));
        if share < idle.len() {
            idle.select_nth_unstable_by_key(share, |(since, _)| *since);
        }
        let ended = idle.iter().take(share).filter(|(_, seat)| seat.end(Cause::Room));
        ended.inspect(|_| self.meter.ended(Cause::Room)).count() > 0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.roster.lock();
        state.seats.remove(&self.number);
        if let Some(address) = self.address
            && let Entry::Occupied(mut count) = state.addresses.entry(address)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// What counts as one address: a customer has a /64 of IPv6 at least.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roster(limits: Limits) -> Arc<Roster> {
        Arc::new(Roster::new(limits, Meter::new("test")))
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_idle_goes_first_and_nobody_who_is_busy() {
        let roster = roster(Limits::default());
        let enter = || roster.enter([10, 0, 0, 1].into(), false).unwrap();
        let pause = |ms| tokio::time::advance(Duration::from_millis(ms));
        let busy = enter();
        let _request = busy.seat.begins();
        pause(1_000).await;
        let early = enter();
        pause(1_000).await;
        let late = enter();
        pause(1_000).await;
        drop(early.seat.begins());
        pause(1_000).await;
        let fresh = enter();
        let ends = || [&busy, &early, &late, &fresh].map(|place| place.seat.ends());
        let room = Some(Cause::Room);
        assert!(roster.make_room());
        assert_eq!(ends(), [None, None, room, None]);
        assert!(roster.make_room());
        assert_eq!(ends(), [None, room, room, None]);
        assert!(!roster.make_room(), "who came a moment ago may be about to ask");
    }

    #[test]
    fn an_address_has_so_many_and_a_network_of_ipv6_is_one() {
        let limits = Limits {
            per_address: 2,
            ..Limits::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _inside = runtime.enter();
        let roster = roster(limits);
        let enter = |address: &str, is_exempt| roster.enter(address.parse().unwrap(), is_exempt);
        let held = [enter("192.0.2.1", false), enter("::ffff:192.0.2.1", false)];
        assert!(held.iter().all(Option::is_some));
        assert!(enter("192.0.2.1", false).is_none());
        assert!(enter("192.0.2.1", true).is_some());
        assert!(enter("192.0.2.2", false).is_some());
        drop(held);
        assert!(enter("192.0.2.1", false).is_some(), "places are given back");
        let _six = [enter("2001:db8::1", false), enter("2001:db8::2", false)];
        assert!(enter("2001:db8::3", false).is_none());
        assert!(enter("2001:db8:0:1::3", false).is_some());
        assert_eq!(roster.lock().seats.len(), 2);
    }
}
