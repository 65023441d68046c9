//! Content keys of a CPIX 2.3 document (DASH-IF, §4.4): those in the clear, in its order.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cmaf::protect::{BLOCK, Key};
use roxmltree::{Document, Node};
use sha2::{Digest as _, Sha256};

/// Longest document read, bytes.
const BYTES_MAX: u64 = 1 << 20;
/// Most keys taken of one.
const KEYS_MAX: usize = 1_024;

const CPIX: &str = "urn:dashif:org:cpix";
const PSKC: &str = "urn:ietf:params:xml:ns:keyprov:pskc";

pub(crate) fn read(path: &Path) -> Result<Vec<Key>, String> {
    let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > BYTES_MAX {
        return Err(format!("{length} bytes (at most {BYTES_MAX})"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    keys(&text)
}

/// The parser resolves no external entities, and bounds its own depth.
pub(crate) fn keys(text: &str) -> Result<Vec<Key>, String> {
    let document = Document::parse(text).map_err(|error| format!("not XML: {error}"))?;
    let root = document.root_element();
    if !root.has_tag_name((CPIX, "CPIX")) {
        return Err("not a CPIX document".to_owned());
    }
    let nodes = root
        .descendants()
        .filter(|node| node.has_tag_name((CPIX, "ContentKey")));
    let keys = nodes.take(KEYS_MAX + 1).map(|node| {
        let line = document.text_pos_at(node.range().start).row;
        key(node).map_err(|mistake| format!("line {line}: ContentKey {mistake}"))
    });
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() || keys.len() > KEYS_MAX {
        return Err(format!("{} ContentKeys (1 to {KEYS_MAX} wanted)", keys.len()));
    }
    match super::keys::clashes(keys.iter()).first() {
        Some(kid) => Err(format!("two keys of kid {kid}")),
        None => Ok(keys),
    }
}

fn key(node: Node<'_, '_>) -> Result<Key, String> {
    let kid = node.attribute("kid").ok_or("without a kid")?;
    let kid = uuid(kid).ok_or(format!("of kid {kid:?}, which is no UUID"))?;
    let scheme = node.attribute("commonEncryptionScheme");
    if scheme.is_some_and(|scheme| scheme != "cbcs") {
        return Err("of a scheme other than cbcs".to_owned());
    }
    let plain = node
        .descendants()
        .find(|node| node.has_tag_name((PSKC, "PlainValue")));
    // Encrypted keys need the private key of the document's recipient, which a packager has no place for.
    let plain = plain.and_then(|node| node.text());
    let plain = plain.ok_or("without a PlainValue: encrypted keys are not read")?;
    let key = block(plain).ok_or("whose PlainValue is not 16 bytes in Base64")?;
    let iv = match node.attribute("explicitIV") {
        Some(iv) => block(iv).ok_or("whose explicitIV is not 16 bytes in Base64")?,
        // An IV is no secret; it has to be the same for every packager that reads the document.
        None => {
            let digest = Sha256::digest([b"ringside iv 1".as_slice(), &kid].concat());
            *digest.first_chunk().expect("SHA-256 has 32 bytes")
        }
    };
    Ok(Key { kid, key, iv })
}

fn block(text: &str) -> Option<[u8; BLOCK]> {
    STANDARD.decode(text.trim()).ok()?.try_into().ok()
}

fn uuid(text: &str) -> Option<[u8; BLOCK]> {
    let parts: Vec<usize> = text.split('-').map(str::len).collect();
    let digits = text.replace('-', "");
    let exact = parts == [8, 4, 4, 4, 12] && digits.bytes().all(|b| b.is_ascii_hexdigit());
    exact.then(|| u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes))?
}
