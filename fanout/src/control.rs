//! What an operator sees and sets while an edge runs.

use std::sync::Arc;

use gate::admission::{Class, Panic};
use hls::id::StreamId;

use crate::admission::Gate;
use crate::telemetry::Telemetry;

/// What an operator sees and sets.
#[derive(Clone)]
pub struct Control {
    pub(crate) gate: Arc<Gate>,
    pub(crate) telemetry: Arc<Telemetry>,
}

/// What is in use, and who is refused for it.
#[derive(Debug, Clone)]
pub struct Report {
    /// What an operator has given up, 0 to 3.
    pub panic: u8,
    /// The scarcest resource, thousandths of its limit.
    pub load_permille: u32,
    /// Of each class, whether newcomers and those who watch are served.
    pub classes: Vec<(&'static str, bool, bool)>,
}

impl Control {
    /// What an operator gives up from now on, 0 (nothing) to 3; false for any other level.
    pub fn set_panic(&self, level: u8) -> bool {
        let Some(panic) = Panic::of(level) else {
            return false;
        };
        self.gate.lock(|machine| machine.set_panic(panic));
        self.gate.meter.panic(level);
        tracing::warn!(level, "panic level set");
        true
    }

    /// Of each stream, about how many sessions have reported within a minute, and the sketch they are counted by
    /// ([`gate::sketch::Sketch::bytes`]): sketches of several edges merge.
    pub fn viewers(&self) -> Vec<(StreamId, u64, Vec<u8>)> {
        let all = self.telemetry.sketches().into_iter();
        all.map(|(stream, sketch)| (stream, sketch.estimate(), sketch.bytes().to_vec()))
            .collect()
    }

    /// How it is now.
    pub fn report(&self) -> Report {
        self.gate.lock(|machine| Report {
            panic: machine.panic().level(),
            load_permille: machine.load(),
            classes: Class::ALL
                .map(|class| {
                    let serves = |is_new| machine.is_closed(class, is_new).is_none();
                    (class.label(), serves(true), serves(false))
                })
                .to_vec(),
        })
    }
}
