//! Requests that are refused at once.

use super::{Directive, Read, unless};

/// rfc8216bis §6.2.5.2.
pub(super) fn rule_33_a_part_without_msn_is_refused(read: &Read) -> Vec<String> {
    let alone =
        !read.before.ended && read.msn == Directive::Absent && matches!(read.part, Directive::Value(_));
    unless(!alone || read.refused_at_once(), || read.said())
}

/// rfc8216bis §6.2.5.2; an open segment may be counted as the last one or not.
pub(super) fn rule_34_an_msn_too_far_ahead_is_refused(read: &Read) -> Vec<String> {
    let far = read
        .live()
        .is_some_and(|(msn, _)| msn > read.last().0.saturating_add(2));
    unless(!far || read.refused_at_once(), || read.said())
}

/// rfc8216bis §6.2.5.2.
pub(super) fn rule_35_a_part_too_far_ahead_is_refused(read: &Read) -> Vec<String> {
    let Some((msn, Some(part))) = read.live() else {
        return Vec::new();
    };
    let far = read.ahead(msn, part).is_some_and(|ahead| ahead > read.limit());
    unless(!far || read.refused_at_once(), || read.said())
}

/// rfc8216bis §6.2.5.
pub(super) fn rule_40_directives_are_numbers_and_unknown_ones_ignored(read: &Read) -> Vec<String> {
    let malformed = [read.msn, read.part].contains(&Directive::Malformed);
    if malformed && !read.before.ended {
        return unless(read.refused_at_once(), || read.said());
    }
    let plain = read.msn == Directive::Absent && read.part == Directive::Absent;
    unless(
        !plain || (read.exchange.status == 200 && read.is_unchanged()),
        || read.said(),
    )
}
