//! Who may feed: a MAC over the packager's challenge, so that the secret itself never crosses the wire.

use hls::id::StreamId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// HMAC-SHA256 of challenge and stream id under `feed.secret`.
pub fn mac(secret: &[u8], challenge: &[u8; 32], stream: &StreamId) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(challenge);
    mac.update(stream.as_str().as_bytes());
    mac.finalize().into_bytes().into()
}

/// Whether `claimed` is the right MAC; takes the same time for every wrong one.
pub fn verify(secret: &[u8], challenge: &[u8; 32], stream: &StreamId, claimed: &[u8; 32]) -> bool {
    mac(secret, challenge, stream).ct_eq(claimed).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_is_bound_to_secret_challenge_and_stream() {
        let main = StreamId::new("main").unwrap();
        let good = mac(b"secret", &[1; 32], &main);
        assert!(verify(b"secret", &[1; 32], &main, &good));
        assert!(!verify(b"other", &[1; 32], &main, &good));
        assert!(!verify(b"secret", &[2; 32], &main, &good));
        assert!(!verify(
            b"secret",
            &[1; 32],
            &StreamId::new("side").unwrap(),
            &good
        ));
    }
}
