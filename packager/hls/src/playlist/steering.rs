//! EXT-X-CONTENT-STEERING (rfc8216bis §4.4.6.6): who tells players which host to ask.

/// Where players learn of pathways, and of which pathway a multivariant playlist is. The others are clones of it, which
/// the server's steering manifest names (§7.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steering {
    /// SERVER-URI; no quotes and control characters.
    pub server: String,
    /// PATHWAY-ID of all variants; letters, digits, `.`, `-` and `_`.
    pub pathway: String,
}

impl Steering {
    /// A multivariant playlist's text with steering announced in it.
    pub fn announced(&self, text: &str) -> String {
        let Self { server, pathway } = self;
        let mut out = String::with_capacity(text.len() + 512);
        for line in text.split_inclusive('\n') {
            let variant = ["#EXT-X-STREAM-INF:", "#EXT-X-I-FRAME-STREAM-INF:"]
                .into_iter()
                .find_map(|tag| Some((tag, line.strip_prefix(tag)?)));
            match variant {
                Some((tag, list)) => out.extend([tag, "PATHWAY-ID=\"", pathway, "\",", list]),
                None => out.push_str(line),
            }
            if line.starts_with("#EXT-X-VERSION") {
                let tag = "#EXT-X-CONTENT-STEERING:SERVER-URI=\"";
                out.extend([tag, server, "\",PATHWAY-ID=\"", pathway, "\"\n"]);
            }
        }
        out
    }
}
