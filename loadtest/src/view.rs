//! A drill as it goes, on a terminal. It is drawn by a thread of its own: the crowd hands over a second's figures and goes
//! on; where the terminal is slower than that, seconds are not drawn.

mod screen;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};

use crate::Said;
use crate::crowd::Progress;
use screen::Screen;

/// Seconds and lines that may wait to be drawn; more are dropped.
const WAITING_MAX: usize = 64;
/// How soon a key is heard.
const HEARS: Duration = Duration::from_millis(100);
/// How long a terminal that does not take what is written to it may hold up the end of the drill.
const LEAVES: Duration = Duration::from_secs(1);

/// The terminal, until this is dropped: then it is as it was before.
#[derive(Debug)]
pub struct View {
    to: Option<SyncSender<Heard>>,
    left: Receiver<()>,
}

/// What goes to the thread that draws.
enum Heard {
    Line(String),
    Progress(Progress),
}

impl View {
    /// Takes the terminal. Ctrl-C and `q` set `stop`, since a terminal that is drawn on sends no signals.
    pub fn open(title: &str, targets: &[String], duration_s: f64, stop: Arc<AtomicBool>) -> io::Result<Self> {
        let terminal = ratatui::try_init()?;
        let (to, heard) = sync_channel(WAITING_MAX);
        let (leaving, left) = sync_channel(1);
        let screen = Screen::new(title, targets, duration_s);
        let draws = move || {
            // What is left where drawing fails is a drill without a view.
            let _drawn = draw(terminal, screen, &heard, &stop);
            ratatui::restore();
            let _nobody_waits = leaving.send(());
        };
        let thread = thread::Builder::new().name("view".to_owned()).spawn(draws);
        if let Err(error) = thread {
            ratatui::restore();
            return Err(error);
        }
        Ok(Self { to: Some(to), left })
    }

    /// Shows a line or a second's figures; never waits.
    pub fn say(&self, said: &Said<'_>) {
        let heard = match said {
            Said::Line(line) => Heard::Line((*line).to_owned()),
            Said::Progress(progress) => Heard::Progress((*progress).clone()),
        };
        if let Some(to) = &self.to {
            // Full: this second is not drawn.
            let _dropped_if_full = to.try_send(heard);
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.to = None;
        if self.left.recv_timeout(LEAVES) == Err(RecvTimeoutError::Timeout) {
            ratatui::restore();
        }
    }
}

fn draw(
    mut terminal: DefaultTerminal,
    mut screen: Screen,
    heard: &Receiver<Heard>,
    stop: &AtomicBool,
) -> io::Result<()> {
    terminal.draw(|frame| screen.draw(frame))?;
    loop {
        let mut changed = match heard.recv_timeout(HEARS) {
            Ok(first) => {
                screen.hear(first);
                heard.try_iter().for_each(|more| screen.hear(more));
                true
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        while event::poll(Duration::ZERO)? {
            match event::read()? {
                Event::Key(key) => {
                    let interrupts =
                        key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
                    if interrupts || key.code == KeyCode::Char('q') {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
                Event::Resize(..) => changed = true,
                Event::FocusGained | Event::FocusLost | Event::Mouse(_) | Event::Paste(_) => {}
            }
        }
        if changed {
            terminal.draw(|frame| screen.draw(frame))?;
        }
    }
}
