//! A bad path.

use std::sync::atomic::Ordering;
use std::time::Duration;

use srt::End;

use crate::relay::{Path, Relay};
use crate::stage::{Picture, Publisher, Server, options, turn};
use crate::ts;

/// A machine that stalls for longer than this uses up the latency by itself: such a run shows nothing.
const STALL_MS_MAX: u64 = 100;

#[test]
fn one_in_twenty_lost_each_way_is_repaired_within_the_latency() {
    let _turn = turn();
    let stalls: Vec<u64> = (0..3).map_while(|_| run().err()).collect();
    assert!(stalls.len() < 3, "the machine stalls: {stalls:?} ms");
}

/// `Err` is how long the machine stalled, if that was too long.
fn run() -> Result<(), u64> {
    let server = Server::start(&options());
    let path = Path {
        seed: 42,
        loss: 50,
        delayed: 20,
        delay: Duration::from_millis(15),
    };
    let relay = Relay::start(server.address(), path);
    let picture = Picture {
        seconds: 11.0,
        size: "640x360",
        bits: "4M",
    };
    let mut publisher = Publisher::start(relay.address, "streamid=one&latency=500000", picture);
    assert!(publisher.finish().success(), "{}", publisher.log());
    let record = server.ended("one");
    let stats = record.connections[0].stats();
    let seen = ts::inspect(&record.bytes);
    // The farewell may be among the lost.
    assert!(
        matches!(record.ends[..], [End::Caller | End::Idle]),
        "{:?}",
        record.ends
    );
    let stalled = relay.stalled_ms.load(Ordering::Relaxed);
    if stalled > STALL_MS_MAX {
        return Err(stalled);
    }
    assert_eq!(seen.errors, 0, "{seen:?} {stats:?}");
    assert!(record.bytes.len() > 5_000_000 * 9 / 10, "{}", record.bytes.len());
    assert!(relay.lost.load(Ordering::Relaxed) > 100);
    assert!(
        stats.packets_retransmitted > 50 && stats.packets_lost > 50,
        "{stats:?}"
    );
    assert_eq!(stats.packets_dropped, 0, "{stats:?}");
    Ok(())
}
