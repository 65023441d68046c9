//! A network, as `catnip` names it: tag 52 or 54 (RFC 9164) around an address, or around a prefix and its length.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ciborium::Value;

const V4: u64 = 52;
const V6: u64 = 54;

/// Addresses that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// A network of this many leading bits; `None` where the address has fewer.
    pub fn new(address: IpAddr, bits: u8) -> Option<Self> {
        (bits <= width(address)).then_some(Self { address, bits })
    }

    /// Whether an address is in it. An IPv4 address written as IPv6 is the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let own = self.address.to_canonical();
        let mapped = width(self.address) - width(own);
        let bits = self.bits.saturating_sub(mapped);
        width(own) == width(address) && leading(own, bits) == leading(address, bits)
    }

    /// `None` for what is no address; such an entry of a list lets nobody in.
    pub(super) fn read(value: &Value) -> Option<Self> {
        let (tag, inner) = match value.as_tag() {
            Some((tag @ (V4 | V6), inner)) => (Some(tag), inner),
            Some(_) => return None,
            None => (None, value),
        };
        let (bytes, bits) = match inner.as_array().map(Vec::as_slice) {
            Some([bits, bytes]) if tag.is_some() => (bytes, Some(u8::try_from(bits.as_integer()?).ok()?)),
            Some(_) => return None,
            None => (inner, None),
        };
        let bytes = bytes.as_bytes()?;
        let is_v4 = tag.map_or(bytes.len() == 4, |tag| tag == V4);
        // RFC 9164 §3.1.2: zeros at the end of a prefix are left out.
        let address = if is_v4 {
            IpAddr::from(padded::<4>(bytes, bits)?)
        } else {
            IpAddr::from(padded::<16>(bytes, bits)?)
        };
        Self::new(address, bits.unwrap_or(width(address)))
    }

    pub(super) fn write(&self) -> Value {
        let (tag, bytes) = match self.address {
            IpAddr::V4(address) => (V4, address.octets().to_vec()),
            IpAddr::V6(address) => (V6, address.octets().to_vec()),
        };
        let used = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        let bytes = bytes.get(..used).unwrap_or_default().to_vec();
        let pair = vec![Value::from(self.bits), Value::Bytes(bytes)];
        Value::Tag(tag, Box::new(Value::Array(pair)))
    }
}

fn padded<const N: usize>(bytes: &[u8], bits: Option<u8>) -> Option<[u8; N]> {
    let fits = if bits.is_some() {
        bytes.len() <= N
    } else {
        bytes.len() == N
    };
    let mut whole = [0; N];
    whole.get_mut(..bytes.len())?.copy_from_slice(bytes);
    fits.then_some(whole)
}

fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The address with all but its first bits cleared, as a number.
fn leading(address: IpAddr, bits: u8) -> u128 {
    let cleared = u32::from(width(address) - bits);
    let number = match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    number.checked_shr(cleared).unwrap_or(0)
}

impl FromStr for Network {
    type Err = &'static str;

    /// `192.0.2.0/24`, `2001:db8::/32`, or an address alone; bits past the prefix are cleared.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "an address, or a network such as 192.0.2.0/24";
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().map_err(|_| wrong)?;
        let bits = bits.map_or(Ok(width(address)), str::parse).map_err(|_| wrong)?;
        let network = Self::new(address, bits).ok_or(wrong)?;
        let cleared = u32::from(width(address) - bits);
        let number = leading(address, bits).checked_shl(cleared).unwrap_or(0);
        let address = match address {
            // A prefix of at most 32 bits fits what it came from.
            IpAddr::V4(_) => Ipv4Addr::from_bits(u32::try_from(number).unwrap_or_default()).into(),
            IpAddr::V6(_) => Ipv6Addr::from_bits(number).into(),
        };
        Ok(Self { address, ..network })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}
