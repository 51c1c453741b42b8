//! `run --watch`: shows a run on the terminal while it goes on.

mod view;

use std::io::{self, IsTerminal as _, Stderr};
use std::time::{Duration, Instant};

use crate::experiment::runner::{self, Observer, Point};
use crate::experiment::scenario::{Scenario, Span};
use murmurate::membership::Time;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::{execute, terminal};

use view::View;

/// Looks at the simulation in a run.
const LOOKS: u32 = 400;
/// Nodes whose neighbours are counted at a look.
const SAMPLE: usize = 5_000;
/// Wall time between two frames.
const FRAME: Duration = Duration::from_millis(60);
/// The exit status that shells use for an interrupted program.
const INTERRUPTED: i32 = 130;

/// The view, as long as it is open.
pub(crate) struct Live {
    terminal: Terminal<CrosstermBackend<Stderr>>,
    view: View,
    looks: Vec<Span>,
    is_open: bool,
    began: Instant,
    paused: Duration,
    drawn: Option<Instant>,
}

#[expect(clippy::disallowed_methods, reason = "what a person sees is no part of the run")]
fn now() -> Instant {
    Instant::now()
}

impl Live {
    /// Opens the view on standard error.
    pub(crate) fn open(scenario: &Scenario) -> Result<Self, String> {
        if !io::stderr().is_terminal() {
            return Err("--watch needs a terminal on standard error".to_owned());
        }
        let cannot = |error: io::Error| format!("--watch cannot use the terminal: {error}");
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            close();
            before(panic);
        }));
        terminal::enable_raw_mode().map_err(cannot)?;
        execute!(io::stderr(), terminal::EnterAlternateScreen).map_err(cannot)?;
        let end = scenario.duration.0;
        Ok(Self {
            terminal: Terminal::new(CrosstermBackend::new(io::stderr())).map_err(cannot)?,
            view: View::new(&scenario.name, end),
            looks: (1..LOOKS).map(|look| Span(end * look / LOOKS)).collect(),
            is_open: true,
            began: now(),
            paused: Duration::ZERO,
            drawn: None,
        })
    }

    /// Draws, unless that was just done, and handles keys.
    fn go_on(&mut self) {
        if !self.is_open {
            return;
        }
        self.draw();
        while self.is_open
            && let Some(key) = pressed(Duration::ZERO)
        {
            match key.code {
                KeyCode::Char(' ') => self.pause(),
                _ => self.obey(key),
            }
        }
    }

    /// Waits for the key that ends the pause.
    fn pause(&mut self) {
        let since = now();
        self.view.is_paused = true;
        while self.is_open && self.view.is_paused {
            self.drawn = None;
            self.draw();
            match pressed(Duration::from_millis(250)) {
                Some(key) if key.code == KeyCode::Char(' ') => self.view.is_paused = false,
                Some(key) => self.obey(key),
                None => {}
            }
        }
        self.paused += since.elapsed();
    }

    fn obey(&mut self, key: KeyEvent) {
        let interrupts =
            key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
        if interrupts {
            close();
            std::process::exit(INTERRUPTED);
        }
        if matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
            self.close();
        }
    }

    fn draw(&mut self) {
        if self.drawn.is_some_and(|drawn| drawn.elapsed() < FRAME) {
            return;
        }
        self.drawn = Some(now());
        self.view.wall = self.began.elapsed().saturating_sub(self.paused);
        let view = &self.view;
        // A terminal that is gone ends the view, not the run.
        if self.terminal.draw(|frame| view.draw(frame)).is_err() {
            self.close();
        }
    }

    /// Restores the terminal; the run goes on.
    pub(crate) fn close(&mut self) {
        if std::mem::take(&mut self.is_open) {
            close();
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.close();
    }
}

/// If this fails, there is nowhere to report it.
fn close() {
    let _ = terminal::disable_raw_mode();
    let _ = execute!(io::stderr(), terminal::LeaveAlternateScreen);
}

/// The next key, if there is one within this time.
fn pressed(limit: Duration) -> Option<KeyEvent> {
    if !event::poll(limit).ok()? {
        return None;
    }
    match event::read().ok()? {
        Event::Key(key) if key.kind == KeyEventKind::Press => Some(key),
        _ => None,
    }
}

impl Observer for Live {
    fn looks_at(&self) -> Vec<Span> {
        self.looks.clone()
    }

    fn look(&mut self, sim: &dyn runner::View, _: Time) {
        let running = sim.running();
        let step = running.len().div_ceil(SAMPLE).max(1);
        let degrees = running.iter().step_by(step).filter_map(|index| sim.degree(*index));
        self.view.look(sim.now(), running.len(), degrees, &sim.stats().broadcasts);
        self.go_on();
    }

    fn fault(&mut self, name: &str, at: Time, is_over: bool) {
        self.view.fault(name, at, is_over);
    }

    fn point(&mut self, point: &Point) {
        self.view.point(point);
    }

    fn progress(&mut self, now: Time) {
        self.view.now = now;
        self.go_on();
    }
}
