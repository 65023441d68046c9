//! What stands where on the terminal.

use std::collections::VecDeque;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, LineGauge, Paragraph, Row, Sparkline, Table};

use super::Heard;
use crate::crowd::Progress;
use crate::figure::{Unit, count};

/// Lines that are kept.
const LINES_MAX: usize = 6;
/// Seconds that are kept for the sparkline: as many as the widest terminal has columns.
const HISTORY_MAX: usize = 500;
const BAR: &str = "█";

/// Everything that is shown.
#[derive(Debug)]
pub(super) struct Screen {
    title: String,
    targets: Vec<String>,
    duration_s: f64,
    now: Option<Progress>,
    history: VecDeque<u64>,
    lines: VecDeque<String>,
}

impl Screen {
    pub(super) fn new(title: &str, targets: &[String], duration_s: f64) -> Self {
        Self {
            title: shown(title),
            targets: targets.iter().map(|target| shown(target)).collect(),
            duration_s,
            now: None,
            history: VecDeque::new(),
            lines: VecDeque::new(),
        }
    }

    pub(super) fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Line(line) => {
                self.lines.push_back(shown(&line));
                if self.lines.len() > LINES_MAX {
                    self.lines.pop_front();
                }
            }
            Heard::Progress(now) => {
                let p99 = now.second.lateness.ms(0.99);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a time in milliseconds is not negative, and fits"
                )]
                self.history.push_front(p99.unwrap_or(0.0).round() as u64);
                self.history.truncate(HISTORY_MAX);
                self.now = Some(now);
            }
        }
    }

    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let edges = u16::try_from(self.targets.len())
            .unwrap_or(u16::MAX)
            .saturating_add(3);
        let [top, time, figures, spark, table, lines] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(6),
            Constraint::Min(4),
            Constraint::Max(edges),
            Constraint::Length(4),
        ])
        .areas(frame.area());
        let head = [
            Span::from(" ringside drill ").bold().reversed(),
            Span::from(format!(" {}", self.title)).bold(),
            Span::from("   q or Ctrl-C ends it early").dim(),
        ];
        frame.render_widget(Line::from_iter(head), top);
        self.time(frame, time);
        let [left, right] =
            Layout::horizontal([Constraint::Percentage(55), Constraint::Percentage(45)]).areas(figures);
        self.viewers(frame, left);
        self.figures(frame, right);
        self.lateness(frame, spark);
        self.edges(frame, table);
        let rows = usize::from(lines.height.saturating_sub(1));
        let last: Vec<Line<'_>> = self
            .lines
            .iter()
            .skip(self.lines.len().saturating_sub(rows))
            .map(|line| Line::from(line.as_str()).dim())
            .collect();
        frame.render_widget(
            Paragraph::new(last).block(Block::new().title("Said".bold())),
            lines,
        );
    }

    fn time(&self, frame: &mut Frame<'_>, area: Rect) {
        let at = self.now.as_ref().map_or(0.0, |now| now.at_s as f64);
        let left = (self.duration_s - at).max(0.0);
        let gauge = LineGauge::default()
            .ratio((at / self.duration_s.max(1.0)).clamp(0.0, 1.0))
            .label(match self.now {
                Some(_) => format!(
                    "{} of {}, {} left ",
                    clock(at),
                    clock(self.duration_s),
                    clock(left)
                ),
                None => "getting ready ".to_owned(),
            })
            .filled_symbol(BAR)
            .unfilled_symbol("░")
            .filled_style(Style::new().fg(Color::Cyan));
        frame.render_widget(gauge, area);
    }

    fn viewers(&self, frame: &mut Frame<'_>, area: Rect) {
        let block = Block::bordered().title(" Viewers ".bold());
        let inside = block.inner(area);
        frame.render_widget(block, area);
        let Some(now) = &self.now else { return };
        let joining = now.viewers.saturating_sub(now.playing + now.stalled);
        let room = u64::from(inside.width.saturating_sub(20));
        let rows = [
            ("playing", now.playing, Color::Green),
            ("joining", joining, Color::Blue),
            ("stalled", now.stalled, Color::Red),
        ]
        .map(|(name, n, color)| {
            let cells = (n * room).div_ceil(now.viewers.max(1)).min(room);
            let bar = BAR.repeat(usize::try_from(cells).unwrap_or(0));
            Line::from_iter([
                Span::from(format!("{name:8}{:>9}  ", count(n))),
                Span::from(bar).fg(color),
            ])
        });
        let all = Line::from(format!("{:8}{:>9}", "there", count(now.viewers))).bold();
        let lines: Vec<Line<'_>> = rows.into_iter().chain([all]).collect();
        frame.render_widget(Paragraph::new(lines), inside);
    }

    fn figures(&self, frame: &mut Frame<'_>, area: Rect) {
        let block = Block::bordered().title(" Figures ".bold());
        let inside = block.inner(area);
        frame.render_widget(block, area);
        let Some(now) = &self.now else { return };
        let ms = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| Unit::Ms.say(value));
        let [p50, p99] = now.lateness_ms;
        let errors = Span::from(format!("errors   {}", count(now.errors)));
        let lines = vec![
            Line::from(format!("requests {}", count(now.requests))),
            Line::from(if now.errors > 0 {
                errors.red().bold()
            } else {
                errors
            }),
            Line::from(format!("lateness {} p50, {} p99", ms(p50), ms(p99))),
            Line::from(format!("own lag  {} p99", ms(now.lag_ms_p99))),
        ];
        frame.render_widget(Paragraph::new(lines), inside);
    }

    fn lateness(&self, frame: &mut Frame<'_>, area: Rect) {
        let most = self
            .history
            .iter()
            .take(usize::from(area.width))
            .max()
            .copied()
            .unwrap_or(0);
        let title = format!(
            " Lateness of parts, p99 of each second; full height is {} ms ",
            count(most)
        );
        let block = Block::bordered().title(title.bold());
        // The newest second is first, and stands on the right.
        let spark = Sparkline::default()
            .block(block)
            .data(self.history.iter().copied())
            .direction(ratatui::widgets::RenderDirection::RightToLeft)
            .style(Style::new().fg(Color::Cyan));
        frame.render_widget(spark, area);
    }

    fn edges(&self, frame: &mut Frame<'_>, area: Rect) {
        let edges = self.now.as_ref().map_or(&[][..], |now| &now.edges);
        let rows = self.targets.iter().enumerate().map(|(index, target)| {
            let edge = edges.get(index).copied().unwrap_or_default();
            let [viewers, playing, stalled] = [edge.viewers, edge.playing, edge.stalled].map(number);
            let row = Row::new([Line::from(target.as_str()), viewers, playing, stalled]);
            if edge.stalled > 0 { row.fg(Color::Red) } else { row }
        });
        let right = |head: &'static str| Line::from(head).right_aligned();
        let heads = Row::new([
            Line::from("Edge"),
            right("viewers"),
            right("playing"),
            right("stalled"),
        ]);
        let numbers = Constraint::Length(9);
        let table = Table::new(rows, [Constraint::Min(20), numbers, numbers, numbers])
            .header(heads.dim())
            .block(Block::bordered().title(" Edges ".bold()));
        frame.render_widget(table, area);
    }
}

fn number(n: u64) -> Line<'static> {
    Line::from(count(n)).right_aligned()
}

/// Minutes and seconds.
fn clock(seconds: f64) -> String {
    let whole = seconds.max(0.0).round();
    format!("{}:{:02}", (whole / 60.0).floor(), whole % 60.0)
}

/// Text from outside cannot steer the terminal.
fn shown(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use std::time::Duration;

    use super::*;
    use crate::crowd::EdgeNow;
    use crate::timeline::Counts;

    fn drawn(width: u16, height: u16, screen: &Screen) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        terminal.backend().to_string()
    }

    fn second(late_ms: u64) -> Counts {
        let mut counts = Counts::default();
        counts.lateness.record(Duration::from_millis(late_ms));
        counts
    }

    fn running() -> Screen {
        let targets = ["http://127.0.0.1:8080", "http://127.0.0.1:8081"].map(str::to_owned);
        let mut screen = Screen::new("ma\u{1b}[2Jin", &targets, 60.0);
        for at_s in 1..=23 {
            screen.hear(Heard::Line(format!("second {at_s}")));
            screen.hear(Heard::Progress(Progress {
                at_s,
                viewers: 1_500,
                playing: 1_200,
                stalled: 100,
                requests: 123_456,
                errors: 7,
                lateness_ms: [Some(81.0), Some(100.0 + 10.0 * at_s as f64)],
                lag_ms_p99: Some(1.5),
                edges: vec![
                    EdgeNow {
                        viewers: 750,
                        playing: 750,
                        ..EdgeNow::default()
                    },
                    EdgeNow {
                        viewers: 750,
                        playing: 450,
                        stalled: 100,
                    },
                ],
                second: second(100 + 10 * at_s),
            }));
        }
        screen
    }

    #[test]
    fn everything_an_operator_watches_is_there() {
        let text = drawn(100, 28, &running());
        eprintln!("{text}");
        for said in [
            "0:23 of 1:00, 0:37 left",
            "playing     1,200",
            "joining       200",
            "stalled       100",
            "errors   7",
            "81 ms p50, 330 ms p99",
            "own lag  1.5 ms",
            "http://127.0.0.1:8081",
            "second 23",
        ] {
            assert!(text.contains(said), "{said}");
        }
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn no_terminal_is_too_small() {
        let targets = vec!["http://127.0.0.1:1".to_owned(); 90];
        for (width, height) in [(1, 1), (20, 5), (40, 12), (80, 24), (300, 3)] {
            drawn(width, height, &running());
            drawn(width, height, &Screen::new("main", &targets, 0.0));
        }
    }
}
