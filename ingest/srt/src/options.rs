//! What an operator can set.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

use crate::ffi::{Failure, Flag, PAYLOAD_MAX, Socket};

/// Options of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// UDP address; default `0.0.0.0:8890`. Port 0 takes a free one. `[::]` takes IPv4 callers too.
    pub listen: SocketAddr,
    /// Time a packet has to arrive, in milliseconds; default 200, at least 20. A caller that asks for more gets more.
    pub latency_ms: u32,
    /// The most a caller may ask for, in milliseconds; default 8,000, at most 30,000. One that asks for more is
    /// connected, at once closed and counted: libsrt says what was agreed only then.
    pub latency_ms_max: u32,
    /// Most connections at once; default 64, at most 1,024. The next is refused with [`crate::Refusal::Overload`].
    pub connections_max: u32,
    /// Most connections at once of one IPv4 address or IPv6 /64; default 16. The next is refused likewise.
    pub connections_per_ip_max: u32,
    /// Callers libsrt may hold between handshake and reader; default 32, at most 1,024. The next is refused by it.
    pub backlog: u32,
    /// libsrt's receive buffer of one connection, in bytes; default 8 MiB, 256 KiB to 64 MiB. Memory is used as it
    /// fills: latency x bit rate, and what a full sink holds up. When it is full, packets are dropped.
    pub receive_buffer_bytes: u32,
    /// Receive buffer of the UDP socket, in bytes; default 4 MiB, 64 KiB to 64 MiB. The kernel silently gives no
    /// more than `net.core.rmem_max`; what overflows is lost and repeated.
    pub udp_buffer_bytes: u32,
    /// Time without any packet, in milliseconds, after which a connection is over; default 5,000, 5,000 to 60,000.
    /// libsrt knows no shorter one: it counts sixteen expiries of at least 300 ms, more on a long path.
    pub idle_timeout_ms: u32,
    /// Time a sink may be full, in milliseconds, after which its connection is ended; default 10,000, 100 to 60,000.
    pub stall_ms_max: u32,
}

/// An option outside its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} = {value} is not within {low} to {high}")]
pub struct Invalid {
    /// Name of the option.
    pub name: &'static str,
    /// Its value.
    pub value: u32,
    /// Smallest allowed.
    pub low: u32,
    /// Largest allowed.
    pub high: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8890)),
            latency_ms: 200,
            latency_ms_max: 8_000,
            connections_max: 64,
            connections_per_ip_max: 16,
            backlog: 32,
            receive_buffer_bytes: 8 << 20,
            udp_buffer_bytes: 4 << 20,
            idle_timeout_ms: 5_000,
            stall_ms_max: 10_000,
        }
    }
}

impl Options {
    /// Every option that is outside its bounds.
    pub fn invalid(&self) -> Vec<Invalid> {
        let bounds: [(&'static str, u32, RangeInclusive<u32>); 9] = [
            ("latency_ms", self.latency_ms, 20..=30_000),
            ("latency_ms_max", self.latency_ms_max, self.latency_ms..=30_000),
            ("connections_max", self.connections_max, 1..=1_024),
            ("connections_per_ip_max", self.connections_per_ip_max, 1..=1_024),
            ("backlog", self.backlog, 1..=1_024),
            (
                "receive_buffer_bytes",
                self.receive_buffer_bytes,
                256 << 10..=64 << 20,
            ),
            ("udp_buffer_bytes", self.udp_buffer_bytes, 64 << 10..=64 << 20),
            ("idle_timeout_ms", self.idle_timeout_ms, 5_000..=60_000),
            ("stall_ms_max", self.stall_ms_max, 100..=60_000),
        ];
        bounds
            .into_iter()
            .filter(|(_, value, bound)| !bound.contains(value))
            .map(|(name, value, bound)| Invalid {
                name,
                value,
                low: *bound.start(),
                high: *bound.end(),
            })
            .collect()
    }

    /// Accepted connections inherit all of it from the listener.
    pub(crate) fn apply(&self, socket: Socket) -> Result<(), Failure> {
        const LIVE: i32 = 0;
        /// 1.3.0, the first with stream ids.
        const VERSION_MIN: i32 = 0x0001_0300;
        let int = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        // libsrt cuts the receive buffer to the flight window without a word.
        let packet = u32::try_from(PAYLOAD_MAX).expect("1456 fits");
        let window = (self.receive_buffer_bytes / packet + 1).max(8_192);
        // The type resets what the others set, so it is first.
        socket.set(Flag::TransmissionType, LIVE)?;
        for (flag, value) in [
            (Flag::ReceiveBlocking, 0),
            (Flag::SendBlocking, 0),
            (Flag::MessageApi, 1),
            (Flag::PayloadSize, i32::try_from(PAYLOAD_MAX).expect("1456 fits")),
            (Flag::TimestampedDelivery, 1),
            (Flag::DropLate, 1),
            (Flag::NakReports, 1),
            (Flag::EncryptionEnforced, 1),
            (Flag::VersionMin, VERSION_MIN),
            (Flag::ReceiveLatency, int(self.latency_ms)),
            (Flag::PeerLatency, int(self.latency_ms)),
            (Flag::FlightPackets, int(window)),
            (Flag::ReceiveBuffer, int(self.receive_buffer_bytes)),
            (Flag::UdpReceiveBuffer, int(self.udp_buffer_bytes)),
            (Flag::PeerIdleMs, int(self.idle_timeout_ms)),
        ] {
            socket.set(flag, value)?;
        }
        if self.listen.is_ipv6() {
            socket.set(Flag::Ipv6Only, i32::from(!self.listen.ip().is_unspecified()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_told_at_once() {
        assert_eq!(Options::default().invalid(), []);
        let options = Options {
            latency_ms: 300,
            latency_ms_max: 200,
            connections_max: 0,
            ..Options::default()
        };
        let names: Vec<_> = options.invalid().iter().map(|mistake| mistake.name).collect();
        assert_eq!(names, ["latency_ms_max", "connections_max"]);
        assert_eq!(
            options.invalid()[1].to_string(),
            "connections_max = 0 is not within 1 to 1024"
        );
    }
}
