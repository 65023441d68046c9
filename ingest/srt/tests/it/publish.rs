//! What accepted publishers get.

use std::net::UdpSocket;
use std::time::Duration;

use srt::{End, Error, Listener, Options};

use crate::stage::{
    Manner, PASSPHRASE, Publisher, SMALL, Server, UNSENT_MAX, authorize, options, turn, until,
};
use crate::ts;

#[test]
fn three_publishers_on_one_port_arrive_whole_with_their_tail() {
    let _turn = turn();
    let server = Server::start(&options());
    let ids = [
        ("one", "streamid=one&latency=200000"),
        (
            "two",
            "streamid=%23!::m=publish,r=main,u=ann,s=two&latency=500000",
        ),
        ("three", "streamid=live/three%3Frole%3Dbackup&latency=100000"),
    ];
    let mut publishers: Vec<Publisher> = ids
        .iter()
        .map(|(_, arguments)| Publisher::start(server.address(), arguments, SMALL.lasting(3.0)))
        .collect();
    for ((key, _), publisher) in ids.iter().zip(&mut publishers) {
        assert!(publisher.finish().success(), "{}", publisher.log());
        let record = server.ended(key);
        let sent = std::fs::read(&publisher.copy).unwrap();
        assert_eq!(record.ends, [End::Caller], "{key}");
        assert!(ts::inspect(&record.bytes).errors == 0, "{key}");
        assert!(sent.starts_with(&record.bytes), "{key}");
        let missing = sent.len() - record.bytes.len();
        assert!(missing <= UNSENT_MAX, "{key}: {missing} of {}", sent.len());
        assert_eq!(record.connections.len(), 1);
        let stats = record.connections[0].stats();
        let asked = if *key == "two" { 500 } else { 200 };
        assert_eq!(stats.latency_ms, asked, "{key}");
        assert!(stats.packets_received > 50 && stats.rtt_ms > 0.0, "{stats:?}");
    }
    assert_eq!(server.ended("three").role.as_deref(), Some("backup"));
    let counters = server.listener.counters();
    assert_eq!((counters.accepted, counters.ended_caller), (3, 3));
    assert!(server.listener.close());
}

#[test]
fn an_encrypted_stream_arrives_for_the_right_passphrase() {
    let _turn = turn();
    let server = Server::start(&options());
    for length in [16, 32] {
        let arguments = format!("streamid=safe&passphrase={PASSPHRASE}&pbkeylen={length}");
        let mut publisher = Publisher::start(server.address(), &arguments, SMALL.lasting(1.0));
        assert!(publisher.finish().success(), "{}", publisher.log());
    }
    let record = server.when("safe", "no second end", |record| record.ends.len() == 2);
    assert_eq!(record.ends, [End::Caller, End::Caller]);
    assert!(record.bytes.len() > 40_000);
    assert_eq!(record.connections[0].stats().packets_undecrypted, 0);
}

#[test]
fn a_sink_that_is_full_for_a_while_loses_nothing() {
    let _turn = turn();
    let server = Server::with(&options(), Manner::FullFor(Duration::from_secs(2)));
    let mut publisher = Publisher::start(server.address(), "streamid=one&linger=3", SMALL.lasting(4.0));
    assert!(publisher.finish().success(), "{}", publisher.log());
    let record = server.ended("one");
    assert!(record.bytes == std::fs::read(&publisher.copy).unwrap());
    assert!(server.listener.counters().held_up >= 1);
    // Two seconds of payloads that became due meanwhile came in few pieces.
    assert!(
        record.chunk_max > 30_000 && record.chunk_max <= 64 << 10,
        "{}",
        record.chunk_max
    );
}

#[test]
fn a_sink_that_stays_full_panics_or_closes_ends_its_connection() {
    let _turn = turn();
    let options = Options {
        stall_ms_max: 500,
        ..options()
    };
    for (manner, end) in [
        (Manner::FullFor(Duration::from_secs(60)), End::Stalled),
        (Manner::Panic, End::Owner),
        (Manner::CloseAtOnce, End::Owner),
    ] {
        let server = Server::with(&options, manner);
        let publisher = Publisher::start(server.address(), "streamid=one", SMALL);
        assert_eq!(server.ended("one").ends, [end]);
        drop(publisher);
        let counters = server.listener.counters();
        assert_eq!(counters.panics, u64::from(manner == Manner::Panic));
        assert_eq!(
            counters.bytes_undelivered > 0,
            end == End::Stalled,
            "{counters:?}"
        );
    }
}

#[test]
fn the_owner_closes_one_of_two() {
    let _turn = turn();
    let server = Server::start(&options());
    let mut first = Publisher::start(server.address(), "streamid=one", SMALL);
    let _second = Publisher::start(server.address(), "streamid=two", SMALL);
    server.flowing("two");
    server.flowing("one").connections[0].close();
    assert_eq!(server.ended("one").ends, [End::Owner]);
    assert!(!first.finish().success(), "{}", first.log());
    let seen = server.flowing("two").bytes.len();
    server.when("two", "stopped", |record| record.bytes.len() > seen + 20_000);
    assert!(server.listener.close());
}

#[test]
fn a_port_is_free_as_soon_as_its_listener_is_closed() {
    let _turn = turn();
    let other = Server::start(&options());
    let mut fixed = options();
    for round in 0..3 {
        let server = Server::start(&fixed);
        fixed.listen = server.address();
        let _publisher = Publisher::start(server.address(), "streamid=one", SMALL);
        let connection = server.flowing("one").connections[0].clone();
        let taken = Listener::bind(&fixed, std::sync::Arc::new(authorize), |_, _| unreachable!());
        assert!(matches!(taken, Err(Error::Srt { .. })), "round {round}");
        assert!(server.listener.close());
        assert!(connection.stats().packets_received > 0);
    }
    drop(other);
    // The last one took libsrt with it: the port is anybody's, not only libsrt's.
    drop(UdpSocket::bind(fixed.listen).unwrap());
    let server = Server::start(&fixed);
    until("address", || server.address() == fixed.listen);
}
