//! What an operator allows a client's connection, however slow or hostile.

use std::net::IpAddr;
use std::time::Duration;

use gate::token::Network;
use listen::Limits;
use serde::{Deserialize, Serialize};

/// `[edge.clients]`: what one connection may take of an edge. Whatever is refused or cut is counted by its cause
/// (`ringside_listen_ended_total`).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Clients {
    /// Connections at once from one address (of IPv6: one /64) on each listener. Default 4096, for many viewers may share
    /// an address; further ones are closed as they come. 0 = no limit.
    pub per_address_max: usize,
    /// Networks that `per_address_max` is not for: proxies, load balancers. Default: loopback and private networks.
    pub exempt: Vec<String>,
    /// Seconds for a request's head from its first byte. Default 10; then 408 (over TLS: closed).
    pub head_s: u64,
    /// Seconds an answer may stand still, and the span over which `rate_min` is taken. Default 30; then the connection is cut.
    pub stall_s: u64,
    /// Bytes a second that a connection with something to take must take, about. Default 4000, half of a plain audio track;
    /// who takes less is cut. 0 = no limit.
    pub rate_min: u64,
    /// Bytes the kernel keeps for a connection beyond what is under way to it. Default 131072; the rest of an answer is
    /// memory that all viewers share.
    pub send_buffer_bytes: u32,
}

impl Default for Clients {
    fn default() -> Self {
        let private = [
            "127.0.0.0/8",
            "::1/128",
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "fc00::/7",
        ];
        Self {
            per_address_max: 4_096,
            exempt: private.map(str::to_owned).to_vec(),
            head_s: 10,
            stall_s: 30,
            rate_min: 4_000,
            send_buffer_bytes: 128 << 10,
        }
    }
}

impl Clients {
    /// The bounds of a listener for viewers.
    pub(crate) fn limits(&self, connections: usize, idle: Duration) -> Limits {
        Limits {
            connections,
            idle,
            per_address: self.per_address_max,
            head: Duration::from_secs(self.head_s),
            stall: Duration::from_secs(self.stall_s),
            rate: self.rate_min,
            send_buffer: self.send_buffer_bytes,
            uploads: false,
            // Reports of players are a few kilobytes.
            window: 64 << 10,
            ..Limits::default()
        }
    }

    /// Whether an address is exempt from the limit of connections.
    pub(crate) fn exempts(&self) -> impl Fn(IpAddr) -> bool + Send + Sync + 'static + use<> {
        let networks = self.exempt.iter().filter_map(|network| network.parse().ok());
        let networks: Vec<Network> = networks.collect();
        move |address| {
            let address = address.to_canonical();
            networks.iter().any(|network| network.contains(address))
        }
    }

    /// Every mistake in the section.
    pub(crate) fn mistakes(&self) -> Vec<String> {
        let wrong = |network: &&String| network.parse::<Network>().is_err();
        let networks = self.exempt.iter().filter(wrong);
        let mut mistakes: Vec<String> = networks
            .map(|network| format!("edge.clients.exempt: `{network}` is not a network such as 10.0.0.0/8"))
            .collect();
        for (name, value, least, most) in [
            ("head_s", self.head_s, 1, 300),
            ("stall_s", self.stall_s, 5, 600),
            ("rate_min", self.rate_min, 0, 1_000_000),
            (
                "send_buffer_bytes",
                self.send_buffer_bytes.into(),
                16 << 10,
                16 << 20,
            ),
        ] {
            if !(least..=most).contains(&value) {
                mistakes.push(format!("edge.clients.{name} must be {least} to {most}"));
            }
        }
        mistakes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named_and_private_networks_are_exempt() {
        let is_exempt = Clients::default().exempts();
        let exempt = |address: &str| is_exempt(address.parse().unwrap());
        assert!(Clients::default().mistakes().is_empty());
        assert!(exempt("127.0.0.1") && exempt("::1") && exempt("::ffff:10.1.2.3") && exempt("fd00::1"));
        assert!(!exempt("192.0.2.1") && !exempt("2001:db8::1"));
        let wrong = Clients {
            exempt: vec!["10.0.0.0/8".to_owned(), "ten".to_owned()],
            stall_s: 0,
            send_buffer_bytes: 1,
            ..Clients::default()
        };
        let mistakes = wrong.mistakes().join("\n");
        for name in ["`ten`", "edge.clients.stall_s", "edge.clients.send_buffer_bytes"] {
            assert!(mistakes.contains(name), "{mistakes}");
        }
        assert_eq!(wrong.mistakes().len(), 3);
    }
}
