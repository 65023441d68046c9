//! Who is asked for a stream: our parents, or the origin that is not ours which an operator named for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use hls::id::StreamId;

use crate::config::Config;
use crate::metrics::Meter;
use crate::parents::Parents;
use crate::source::Source;

/// All that can be asked.
pub(crate) struct Routes {
    own: Arc<Parents>,
    sources: BTreeMap<StreamId, Arc<Parents>>,
}

impl Routes {
    pub(crate) fn new(config: &Config, meter: &Meter) -> Self {
        let secret = config.tokens.tier_secret.as_deref();
        let own = Parents::new(&config.parents, secret, meter.clone());
        // Those that are no URLs were named as mistakes.
        let sources = config.sources.iter().filter_map(|source| {
            let url = source.url()?;
            let asked = Source::new(source.stream.clone(), url, meter.clone());
            let parents = Parents::of_source(asked, meter.clone());
            Some((source.stream.clone(), Arc::new(parents)))
        });
        Self {
            own: Arc::new(own),
            sources: sources.collect(),
        }
    }

    /// The parents of all streams without a source of their own.
    pub(crate) fn own(&self) -> &Arc<Parents> {
        &self.own
    }

    /// Who is asked for a stream.
    pub(crate) fn of(&self, stream: &StreamId) -> &Arc<Parents> {
        self.sources.get(stream).unwrap_or(&self.own)
    }
}
