//! `struct sockaddr` of Linux, both ways.

use std::ffi::{c_int, c_void};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// `struct sockaddr_in6`, which is longer than `sockaddr_in` and has family and port at the same places.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub(super) struct Raw {
    family: u16,
    port: [u8; 2],
    /// Flow information of v6, the address of v4.
    first: [u8; 4],
    second: [u8; 16],
    scope: u32,
}

const _: () = assert!(size_of::<Raw>() == 28 && align_of::<Raw>() == 4);

pub(super) fn length() -> c_int {
    c_int::try_from(size_of::<Raw>()).expect("28 fits")
}

/// The address, and its length for its family.
pub(super) fn to_raw(address: SocketAddr) -> (Raw, c_int) {
    let port = address.port().to_be_bytes();
    match address {
        SocketAddr::V4(address) => {
            let first = address.ip().octets();
            (
                Raw {
                    family: AF_INET,
                    port,
                    first,
                    ..Raw::default()
                },
                16,
            )
        }
        SocketAddr::V6(address) => {
            let second = address.ip().octets();
            let scope = address.scope_id();
            (
                Raw {
                    family: AF_INET6,
                    port,
                    second,
                    scope,
                    ..Raw::default()
                },
                length(),
            )
        }
    }
}

/// `None` for another family. A v4 address mapped into v6 comes out as v4.
pub(super) fn from_raw(raw: &Raw) -> Option<SocketAddr> {
    let ip = match raw.family {
        AF_INET => IpAddr::V4(Ipv4Addr::from(raw.first)),
        AF_INET6 => IpAddr::V6(Ipv6Addr::from(raw.second)).to_canonical(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes(raw.port)))
}

/// # Safety
/// `address` is null, or points to a sockaddr that is readable for the length its family has.
pub(super) unsafe fn read(address: *const c_void) -> Option<SocketAddr> {
    if address.is_null() {
        return None;
    }
    // SAFETY: every sockaddr begins with its family.
    let family = unsafe { address.cast::<u16>().read_unaligned() };
    let raw = match family {
        AF_INET => {
            // SAFETY: a sockaddr_in is 16 bytes: family, port, address, and 8 of padding.
            let head = unsafe { address.cast::<[u8; 8]>().read_unaligned() };
            let [_, _, high, low, a, b, c, d] = head;
            Raw {
                family,
                port: [high, low],
                first: [a, b, c, d],
                ..Raw::default()
            }
        }
        // SAFETY: a sockaddr_in6 is what `Raw` describes.
        AF_INET6 => unsafe { address.cast::<Raw>().read_unaligned() },
        _ => return None,
    };
    from_raw(&raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for text in ["127.0.0.1:8890", "[2001:db8::7]:1", "0.0.0.0:0"] {
            let address: SocketAddr = text.parse().unwrap();
            let (raw, _) = to_raw(address);
            assert_eq!(from_raw(&raw), Some(address));
            // SAFETY: `raw` is a whole sockaddr.
            assert_eq!(unsafe { read((&raw const raw).cast()) }, Some(address));
        }
        let mapped = to_raw("[::ffff:10.0.0.1]:5".parse().unwrap()).0;
        assert_eq!(from_raw(&mapped), Some("10.0.0.1:5".parse().unwrap()));
        // SAFETY: null is allowed.
        assert_eq!(unsafe { read(std::ptr::null()) }, None);
    }
}
