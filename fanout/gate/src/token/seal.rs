//! COSE around the claims (RFC 9052): a tag or a signature, with the key's name.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ciborium::Value;
use coset::{
    AsCborValue as _, CborSerializable as _, CoseMac0, CoseMac0Builder, CoseSign1, CoseSign1Builder, Header,
    HeaderBuilder, ProtectedHeader, RegisteredLabelWithPrivate, TaggedCborSerializable as _, iana,
};

use super::keys::{Check, Known, SignerKey};
use super::{Claims, Keys, Refusal, Signer, TOKEN_BYTES_MAX};

/// CBOR tag of a CWT (RFC 8392 §6); it may be left out.
const CWT: u64 = 61;
const MAC0: u64 = 17;
const SIGN1: u64 = 18;

impl Keys {
    /// What a token says, if one of these keys has signed it. No I/O; microseconds with HS256, a tenth of a
    /// millisecond with ES256.
    pub fn verify(&self, token: &str) -> Result<Claims, Refusal> {
        let malformed = |_| Refusal::Malformed;
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Refusal::Malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| Refusal::Malformed)?;
        let value = Value::from_slice(&bytes).map_err(malformed)?;
        let value = match value.as_tag() {
            Some((CWT, inner)) => inner.clone(),
            Some(_) | None => value,
        };
        let Ok((kind, inner)) = value.into_tag() else {
            return Err(Refusal::Malformed);
        };
        let payload = match kind {
            MAC0 => self.open_mac(CoseMac0::from_cbor_value(*inner).map_err(malformed)?)?,
            SIGN1 => self.open_signature(CoseSign1::from_cbor_value(*inner).map_err(malformed)?)?,
            _ => return Err(Refusal::Malformed),
        };
        Claims::read(Value::from_slice(&payload).map_err(malformed)?)
    }

    fn open_mac(&self, sealed: CoseMac0) -> Result<Vec<u8>, Refusal> {
        let known = self.named(
            &sealed.protected,
            &sealed.unprotected,
            iana::Algorithm::HMAC_256_256,
        )?;
        let Check::Mac(key) = &known.check else {
            return Err(Refusal::Signature);
        };
        let missing = || aws_lc_rs::error::Unspecified;
        let checked = sealed.verify_payload_tag(b"", missing, |tag, data| hmac::verify(key, data, tag));
        opened(checked.is_ok(), known, sealed.payload)
    }

    fn open_signature(&self, sealed: CoseSign1) -> Result<Vec<u8>, Refusal> {
        let known = self.named(&sealed.protected, &sealed.unprotected, iana::Algorithm::ES256)?;
        let Check::Signature(key) = &known.check else {
            return Err(Refusal::Signature);
        };
        if sealed.payload.is_none() {
            return Err(Refusal::Malformed);
        }
        let checked = sealed.verify_signature(b"", |signature, data| key.verify(data, signature));
        opened(checked.is_ok(), known, sealed.payload)
    }

    /// The key that the headers name, if they ask for nothing that is not known here.
    fn named(
        &self,
        protected: &ProtectedHeader,
        open: &Header,
        algorithm: iana::Algorithm,
    ) -> Result<&Known, Refusal> {
        let protected = &protected.header;
        // RFC 9052 §3.1: who does not understand what is critical refuses.
        if !protected.crit.is_empty() || !open.crit.is_empty() {
            return Err(Refusal::Unsupported);
        }
        // The algorithm is the key's, never the token's; one that says otherwise, or only where nobody signs it, is refused.
        if protected.alg != Some(RegisteredLabelWithPrivate::Assigned(algorithm)) {
            return Err(Refusal::Signature);
        }
        let id = if protected.key_id.is_empty() {
            &open.key_id
        } else {
            &protected.key_id
        };
        self.get(id).ok_or(Refusal::UnknownKey)
    }
}

/// A revoked key is only named to those who had a token of it.
fn opened(is_signed: bool, known: &Known, payload: Option<Vec<u8>>) -> Result<Vec<u8>, Refusal> {
    match payload {
        Some(payload) if is_signed && !known.is_revoked => Ok(payload),
        _ if is_signed => Err(Refusal::Revoked),
        _ => Err(Refusal::Signature),
    }
}

impl Signer {
    /// A token that says this; `None` if the claims are too long for a token.
    pub fn sign(&self, claims: &Claims) -> Option<String> {
        let payload = claims.write().to_vec().ok()?;
        let open = HeaderBuilder::new().key_id(self.id.clone()).build();
        let header = |algorithm| HeaderBuilder::new().algorithm(algorithm).build();
        let bytes = match &self.key {
            SignerKey::Mac(key) => CoseMac0Builder::new()
                .protected(header(iana::Algorithm::HMAC_256_256))
                .unprotected(open)
                .payload(payload)
                .create_tag(b"", |data| hmac::sign(key, data).as_ref().to_vec())
                .build()
                .to_tagged_vec()
                .ok()?,
            SignerKey::Signature(pair) => CoseSign1Builder::new()
                .protected(header(iana::Algorithm::ES256))
                .unprotected(open)
                .payload(payload)
                .try_create_signature(b"", |data| {
                    let signature = pair.sign(&SystemRandom::new(), data)?;
                    Ok::<_, aws_lc_rs::error::Unspecified>(signature.as_ref().to_vec())
                })
                .ok()?
                .build()
                .to_tagged_vec()
                .ok()?,
        };
        let token = URL_SAFE_NO_PAD.encode(bytes);
        (token.len() <= TOKEN_BYTES_MAX).then_some(token)
    }
}
