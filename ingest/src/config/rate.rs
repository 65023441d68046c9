//! Frame rates, as people write them.

use hls::time::FrameRate;
use serde::{Deserialize, Serialize};

/// A frame rate as people write it: `30` or `30000/1001`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RateText", into = "String")]
pub struct Rate(pub FrameRate);

impl Default for Rate {
    fn default() -> Self {
        Self(FrameRate::new(30, 1).expect("30/1 is between 1 and 240"))
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RateText {
    Number(u32),
    Text(String),
}

impl TryFrom<RateText> for Rate {
    type Error = String;

    fn try_from(text: RateText) -> Result<Self, String> {
        let (num, den) = match &text {
            RateText::Number(n) => (Some(*n), Some(1)),
            RateText::Text(text) => {
                let (num, den) = text.split_once('/').unwrap_or((text, "1"));
                (num.trim().parse().ok(), den.trim().parse().ok())
            }
        };
        let (Some(num), Some(den)) = (num, den) else {
            return Err("a frame rate is written `30` or `30000/1001`".to_owned());
        };
        FrameRate::new(num, den).map(Self).map_err(|e| e.to_string())
    }
}

impl From<Rate> for String {
    fn from(Rate(rate): Rate) -> Self {
        match rate.den() {
            1 => rate.num().to_string(),
            den => format!("{}/{den}", rate.num()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them() {
        let read = |text: &str| Rate::try_from(RateText::Text(text.to_owned()));
        assert_eq!(String::from(read("30").unwrap()), "30");
        assert_eq!(String::from(read("30000/1001").unwrap()), "30000/1001");
        assert_eq!(Rate::try_from(RateText::Number(25)), read("25"));
        for bad in ["", "fast", "0", "30/0", "1/2", "30/1/1"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
