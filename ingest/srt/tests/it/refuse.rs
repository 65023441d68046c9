//! Who is kept out, and what ffmpeg is told.

use std::sync::atomic::Ordering;

use srt::{End, Options};

use crate::relay::{Path, Relay};
use crate::stage::{PASSPHRASE, Publisher, SMALL, Server, options, turn, until};

/// The code on the wire, and ffmpeg's words about it.
fn refused(server: &Server, arguments: &str) -> (u64, String) {
    let relay = Relay::start(server.address(), Path::GOOD);
    let mut publisher = Publisher::start(relay.address, arguments, SMALL.lasting(5.0));
    assert!(!publisher.finish().success(), "{arguments} got in");
    (relay.refused.load(Ordering::Relaxed), publisher.log())
}

const BADSECRET: u64 = 10;
const UNSECURE: u64 = 11;

#[test]
fn each_refusal_has_its_code() {
    let _turn = turn();
    let server = Server::start(&options());
    let right = format!("streamid=one&passphrase={PASSPHRASE}");
    for (arguments, code, words) in [
        ("streamid=nobody", 1401, "Application-defined"),
        ("latency=200000", 1401, "Application-defined"),
        ("streamid=shut", 1403, "Application-defined"),
        ("streamid=held", 1409, "Application-defined"),
        ("streamid=%23!::m=request,r=one", 1405, "Application-defined"),
        ("streamid=%23!::what", 1400, "Application-defined"),
        ("streamid=boom", 1500, "Application-defined"),
        ("streamid=safe", UNSECURE, "Password required"),
        (
            "streamid=safe&passphrase=another passphrase",
            BADSECRET,
            "Incorrect passphrase",
        ),
        (right.as_str(), UNSECURE, "Password"),
    ] {
        let (told, log) = refused(&server, arguments);
        assert_eq!(told, code, "{arguments}: {log}");
        assert!(log.contains(words), "{arguments}: {log}");
    }
    until("failed handshakes uncounted", || {
        let counters = server.listener.counters();
        (
            counters.failed_with_passphrase,
            counters.failed_without_passphrase,
        ) == (2, 1)
    });
    let counters = server.listener.counters();
    assert_eq!(counters.accepted, 0);
    assert_eq!(counters.refused_by_verdict, 6);
    assert_eq!(counters.panics, 1);
}

#[test]
fn the_limits_hold_and_a_place_is_free_again_after_an_end() {
    let _turn = turn();
    for (all, per_ip) in [(2, 8), (8, 2)] {
        let server = Server::start(&Options {
            connections_max: all,
            connections_per_ip_max: per_ip,
            ..options()
        });
        let first = Publisher::start(server.address(), "streamid=one", SMALL);
        let _second = Publisher::start(server.address(), "streamid=two", SMALL);
        server.flowing("one");
        server.flowing("two");
        assert_eq!(refused(&server, "streamid=three").0, 1402);
        let counters = server.listener.counters();
        let counted = (counters.refused_connections_max, counters.refused_per_ip_max);
        assert_eq!(counted, if all == 2 { (1, 0) } else { (0, 1) });
        server.flowing("one").connections[0].close();
        assert_eq!(server.ended("one").ends, [End::Owner]);
        drop(first);
        let _third = Publisher::start(server.address(), "streamid=three", SMALL);
        server.flowing("three");
    }
}

#[test]
fn failed_handshakes_take_no_place_for_long() {
    let _turn = turn();
    let server = Server::start(&Options {
        connections_max: 1,
        ..options()
    });
    for round in 1..=3 {
        let (code, log) = refused(&server, "streamid=safe&passphrase=another passphrase");
        assert_eq!(code, BADSECRET, "{log}");
        until("not counted", || {
            server.listener.counters().failed_with_passphrase == round
        });
    }
    let _publisher = Publisher::start(server.address(), "streamid=one", SMALL);
    server.flowing("one");
}

#[test]
fn who_asks_for_more_latency_than_allowed_is_closed_and_counted() {
    let _turn = turn();
    let server = Server::start(&Options {
        latency_ms_max: 1_000,
        ..options()
    });
    let mut publisher = Publisher::start(server.address(), "streamid=one&latency=2000000", SMALL);
    assert!(!publisher.finish().success());
    let counters = server.listener.counters();
    assert_eq!((counters.refused_latency, counters.accepted), (1, 0));
    let _publisher = Publisher::start(server.address(), "streamid=one&latency=900000", SMALL);
    let stats = server.flowing("one").connections[0].stats();
    assert_eq!(stats.latency_ms, 900);
}
