//! HTML into which no text gets that was not escaped: what is not in this source is [`Html::text`] or [`Html::json`].

use serde::Serialize;

use crate::figure::{Unit, count};

/// A page as it grows.
#[derive(Debug, Default)]
pub(super) struct Html(String);

/// A field of a table.
pub(super) enum Cell {
    /// A word or two.
    Text(String),
    /// A figure, or none.
    Figure(Option<f64>, Unit),
    /// How many.
    Count(u64),
    /// A word that is good, bad or neither.
    Mark(Tone, &'static str),
}

/// How a word sounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Bad,
    Even,
}

impl Html {
    pub(super) fn into_text(self) -> String {
        self.0
    }

    /// Markup of this source.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// What the build made: the policy names its hash, so that nothing else would run.
    pub(super) fn built(&mut self, asset: &str) -> &mut Self {
        self.0.push_str(asset);
        self
    }

    /// Text from anywhere, between tags or within a quoted attribute.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(c),
                // These would turn the direction of what stands beside them.
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => self.0.push(char::REPLACEMENT_CHARACTER),
                c if c.is_control() => self.0.push(char::REPLACEMENT_CHARACTER),
                c => self.0.push(c),
            }
        }
        self
    }

    /// A value as the content of a script element that is data.
    pub(super) fn json(&mut self, value: &impl Serialize) -> &mut Self {
        let text = serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
        for c in text.chars() {
            match c {
                '<' => self.0.push_str("\\u003c"),
                '>' => self.0.push_str("\\u003e"),
                '&' => self.0.push_str("\\u0026"),
                c => self.0.push(c),
            }
        }
        self
    }

    /// A figure for people, with its exact value for machines.
    pub(super) fn figure(&mut self, value: Option<f64>, unit: Unit) -> &mut Self {
        match value.filter(|value| value.is_finite()) {
            Some(value) => self
                .raw("<data value=\"")
                .text(&value.to_string())
                .raw("\">")
                .text(&unit.say(value))
                .raw("</data>"),
            None => self.raw("<span class=\"soft\">not measured</span>"),
        }
    }

    /// How many.
    pub(super) fn count(&mut self, n: u64) -> &mut Self {
        self.raw("<data value=\"")
            .text(&n.to_string())
            .raw("\">")
            .text(&count(n))
            .raw("</data>")
    }

    /// A table; the first field of each row names it. On narrow screens every row is a card.
    pub(super) fn table(&mut self, caption: &'static str, heads: &[&'static str], rows: &[Vec<Cell>]) {
        self.raw("<div class=\"scroll\"><table class=\"stack\"><caption>")
            .raw(caption)
            .raw("</caption><thead><tr>");
        for head in heads {
            self.raw("<th scope=\"col\">").raw(head).raw("</th>");
        }
        self.raw("</tr></thead><tbody>");
        for row in rows {
            self.raw("<tr>");
            for (index, (cell, head)) in row.iter().zip(heads).enumerate() {
                if index == 0 {
                    self.raw("<th scope=\"row\">").cell(cell).raw("</th>");
                    continue;
                }
                let class = match cell {
                    Cell::Mark(tone, _) => match tone {
                        Tone::Good => " class=\"held\"",
                        Tone::Bad => " class=\"missed\"",
                        Tone::Even => " class=\"even\"",
                    },
                    Cell::Text(_) | Cell::Figure(..) | Cell::Count(_) => "",
                };
                self.raw("<td data-label=\"")
                    .raw(head)
                    .raw("\"")
                    .raw(class)
                    .raw(">")
                    .cell(cell)
                    .raw("</td>");
            }
            self.raw("</tr>");
        }
        self.raw("</tbody></table></div>");
    }

    fn cell(&mut self, cell: &Cell) -> &mut Self {
        match cell {
            Cell::Text(text) => self.text(text),
            Cell::Figure(value, unit) => self.figure(*value, *unit),
            Cell::Count(n) => self.count(*n),
            Cell::Mark(_, word) => self.raw(word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_is_markup() {
        let mut html = Html::default();
        html.text("<b a='1' \"2\">&\u{202e}\u{0}\n")
            .json(&"</script><!--&");
        assert_eq!(
            html.into_text(),
            "&lt;b a=&#39;1&#39; &quot;2&quot;&gt;&amp;\u{fffd}\u{fffd}\n\"\\u003c/script\\u003e\\u003c!--\\u0026\""
        );
    }
}
