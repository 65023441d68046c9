//! Plain text of 80 columns: a severity, then lines that hang under their first word.

use super::{Check, Status};

/// Columns of a terminal that was never made wider.
const COLUMNS: usize = 80;
/// Where text begins behind a severity word.
const HANG: usize = 6;

/// One check, with its cure on lines of its own.
pub(super) fn check(check: &Check) -> String {
    let word = match check.status {
        Status::Ok => "ok",
        Status::Warn => "warn",
        Status::Fail => "fail",
    };
    let mut text = hang(word, &check.found);
    if let Some(mend) = &check.mend {
        text += &hang("", &format!("-> {mend}"));
    }
    text
}

/// `word`, then `text` beside it, wrapped between words.
pub(super) fn hang(word: &str, text: &str) -> String {
    let mut out = format!("{word:HANG$}");
    let mut column = HANG;
    for part in text.split(' ') {
        let length = part.chars().count();
        if column > HANG && column + 1 + length > COLUMNS {
            out += &format!("\n{:HANG$}", "");
            column = HANG;
        } else if column > HANG {
            out.push(' ');
            column += 1;
        }
        out += part;
        column += length;
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_at_eighty_columns_and_hang_together() {
        let text = hang("warn", "word ".repeat(60).trim_end());
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() > 3 && lines[0].starts_with("warn  word"));
        assert!(lines[1..].iter().all(|line| line.starts_with("      word")));
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{text}");
        assert_eq!(hang("ok", "fine"), "ok    fine\n");
    }
}
