//! Why a connection broke, where the protocol's code says so.

use std::error::Error;
use std::io;

use crate::metrics::Cause;

/// The cause to count; `None` where a peer merely left.
pub(crate) fn cause(error: &(dyn Error + 'static)) -> Option<Cause> {
    let mut next = Some(error);
    let mut found = None;
    while let Some(error) = next {
        // The innermost error knows best.
        found = of(error).or(found);
        next = error.source();
    }
    found
}

fn of(error: &(dyn Error + 'static)) -> Option<Cause> {
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return if error.is_parse_too_large() {
            Some(Cause::HeadTooLong)
        } else if error.is_parse() {
            Some(Cause::Malformed)
        } else {
            error.is_timeout().then_some(Cause::Gone)
        };
    }
    if let Some(error) = error.downcast_ref::<h2::Error>() {
        return match error.reason()? {
            h2::Reason::ENHANCE_YOUR_CALM => Some(Cause::Flood),
            h2::Reason::PROTOCOL_ERROR
            | h2::Reason::FLOW_CONTROL_ERROR
            | h2::Reason::FRAME_SIZE_ERROR
            | h2::Reason::COMPRESSION_ERROR
            | h2::Reason::STREAM_CLOSED => error.is_library().then_some(Cause::Malformed),
            _ => None,
        };
    }
    let error = error.downcast_ref::<io::Error>()?;
    (error.kind() == io::ErrorKind::TimedOut).then_some(Cause::Gone)
}
