//! Death of publishers, many of them one after another, and noise at the port.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use srt::End;

use crate::stage::{Publisher, SMALL, Server, options, turn, until};
use crate::ts;

#[test]
fn a_killed_publisher_is_told_within_the_idle_timeout() {
    let _turn = turn();
    let server = Server::start(&options());
    let mut publisher = Publisher::start(server.address(), "streamid=one", SMALL);
    server.flowing("one");
    publisher.kill();
    let killed = Instant::now();
    assert_eq!(server.ended("one").ends, [End::Idle]);
    let took = killed.elapsed();
    assert!(took > Duration::from_millis(4_000), "{took:?}");
    assert!(took < Duration::from_millis(6_500), "{took:?}");
    assert_eq!(server.listener.counters().ended_idle, 1);
}

/// What this process holds.
#[derive(Debug)]
struct Footprint {
    resident_kb: u64,
    files: usize,
    /// Names of libsrt's threads and ours.
    threads: Vec<String>,
}

fn footprint() -> Footprint {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let mut threads: Vec<String> = std::fs::read_dir("/proc/self/task")
        .unwrap()
        // A thread may end while it is looked at.
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok())
        .filter(|name| name.to_lowercase().starts_with("srt"))
        .collect();
    threads.sort();
    Footprint {
        resident_kb: resident.split_whitespace().nth(1).unwrap().parse().unwrap(),
        files: std::fs::read_dir("/proc/self/fd").unwrap().count(),
        threads,
    }
}

#[test]
fn fifty_one_publishers_leave_nothing_behind() {
    let _turn = turn();
    let server = Server::start(&options());
    let mut done = 0;
    let mut rounds = |count: usize| {
        for _ in 0..count {
            done += 1;
            let mut publishers = ["one", "two", "three"].map(|key| {
                let arguments = format!("streamid={key}");
                (
                    key,
                    Publisher::start(server.address(), &arguments, SMALL.lasting(0.3)),
                )
            });
            for (key, publisher) in &mut publishers {
                assert!(publisher.finish().success(), "{}", publisher.log());
                server.when(key, "no end", |record| record.ends.len() == done);
            }
        }
    };
    rounds(4);
    // Reader, collector, receive and send queue; and libsrt removes a closed socket about a second later.
    let settled = || {
        until("threads stay", || footprint().threads.len() <= 4);
        footprint()
    };
    let before = settled();
    rounds(17);
    let after = settled();
    assert_eq!((&before.threads, before.files), (&after.threads, after.files));
    // What the test itself records is about 75 kB a round.
    let grown = after.resident_kb.saturating_sub(before.resident_kb);
    assert!(grown < 6_000, "{before:?} {after:?}");
    assert_eq!(server.listener.counters().ended_caller, 63);
}

/// An SRT handshake packet of the caller's first step ("induction").
fn induction(socket_id: u32) -> Vec<u8> {
    let mut packet = Vec::new();
    for word in [
        0x8000_0000,
        0,
        0,
        0,
        4,
        0x0000_0002,
        1,
        1500,
        8192,
        1,
        socket_id,
        0,
    ] {
        packet.extend(u32::to_be_bytes(word));
    }
    packet.extend([1, 0, 0, 127]);
    packet.extend([0; 12]);
    packet
}

#[test]
fn noise_and_half_open_handshakes_cost_a_live_publisher_nothing() {
    let _turn = turn();
    let server = Server::start(&options());
    let mut publisher = Publisher::start(server.address(), "streamid=one&linger=3", SMALL.lasting(4.0));
    server.flowing("one");

    let mut answers = 0;
    let mut callers = Vec::new();
    for caller in 0..100_u32 {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        socket.send_to(&induction(caller + 1), server.address()).unwrap();
        callers.push(socket);
    }
    for socket in &callers {
        answers += usize::from(socket.recv(&mut [0; 2048]).is_ok());
    }
    assert_eq!(answers, 100, "the handshakes were not begun");

    let mut state = 9_u64;
    for round in 0..3_000_usize {
        let mut noise: Vec<u8> = (0..round % 1500)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[3]
            })
            .collect();
        if round % 3 == 0 {
            let mut handshake = induction(7);
            handshake.extend(noise);
            noise = handshake;
        }
        callers[round % 100].send_to(&noise, server.address()).unwrap();
        if round % 50 == 0 {
            std::thread::yield_now();
        }
    }
    assert!(publisher.finish().success(), "{}", publisher.log());
    let record = server.ended("one");
    assert_eq!(record.ends, [End::Caller]);
    assert_eq!(ts::inspect(&record.bytes).errors, 0);
    assert!(record.bytes == std::fs::read(&publisher.copy).unwrap());
    assert_eq!(server.listener.counters().accepted, 1);
}
