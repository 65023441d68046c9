//! EXT-X-PROGRAM-DATE-TIME read back: UTC with milliseconds, as rule 69 wants it.

use std::time::Duration;

/// Time since 1970 of `YYYY-MM-DDThh:mm:ss.mmmZ`; `None` for any other form.
pub(super) fn unix(text: &str) -> Option<Duration> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let [year, month, day] = numbers(date, '-')?;
    let (time, fraction) = time.split_once('.')?;
    let [hour, minute, second] = numbers(time, ':')?;
    let in_range =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
    if !in_range || fraction.len() != 3 || year < 1970 {
        return None;
    }
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(Duration::from_secs(seconds) + Duration::from_millis(number(fraction)?))
}

fn numbers(text: &str, separator: char) -> Option<[u64; 3]> {
    let mut fields = text.split(separator);
    let out = [
        number(fields.next()?)?,
        number(fields.next()?)?,
        number(fields.next()?)?,
    ];
    fields.next().is_none().then_some(out)
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// Days from 1970-01-01, counted month by month.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let years: u64 = (1970..year).map(|year| 365 + u64::from(leap(year))).sum();
    let lengths = [
        31,
        28 + u64::from(leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let months: u64 = lengths.iter().zip(1..month).map(|(length, _)| length).sum();
    years + months + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{PROGRAM_EPOCH_UNIX, date_time};
    use proptest::prelude::*;

    #[test]
    fn other_forms_are_no_date() {
        for bad in [
            "",
            "2024-01-01T00:00:00Z",
            "2024-01-01T00:00:00.000+01:00",
            "2024-13-01T00:00:00.000Z",
            "T.Z",
        ] {
            assert_eq!(unix(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_date_is_read_back(ms in 0u64..4_000_000_000_000) {
            let time = Duration::from_millis(ms);
            let expected = Duration::from_secs(PROGRAM_EPOCH_UNIX) + time;
            prop_assert_eq!(unix(&date_time(time)), Some(expected));
        }
    }
}
