//! What the live view shows of a run.

use std::time::Duration;

use crate::engine::stats::BroadcastStats;
use crate::experiment::runner::Point;
use murmurate::membership::Time;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::text::Line;
use ratatui::widgets::{Bar, BarChart, BarGroup, Block, Gauge, Paragraph, Sparkline};

/// The number of steps in which shares are drawn.
const WHOLE: u64 = 1_000;

/// All that is shown.
#[derive(Debug, Default)]
pub(super) struct View {
    name: String,
    end: Duration,
    pub(super) now: Time,
    pub(super) wall: Duration,
    pub(super) is_paused: bool,
    running: usize,
    events: u64,
    messages: u64,
    /// The share reached of the broadcasts between two looks, taken at the next look: `None` if there were
    /// none.
    reliability: Vec<Option<f64>>,
    /// The looks before: the times that the next share is about.
    looks: [Time; 2],
    /// Nodes by their number of neighbours, of those looked at.
    degrees: Vec<u64>,
    faults: Vec<String>,
}

impl View {
    pub(super) fn new(name: &str, end: Duration) -> Self {
        Self { name: name.to_owned(), end, ..Self::default() }
    }

    /// Takes in a look at the simulation. Broadcasts have until the look after the next to arrive.
    pub(super) fn look(
        &mut self,
        now: Time,
        running: usize,
        degrees: impl Iterator<Item = usize>,
        broadcasts: &[BroadcastStats],
    ) {
        (self.now, self.running) = (now, running);
        self.degrees.clear();
        for degree in degrees {
            self.degrees.resize(self.degrees.len().max(degree + 1), 0);
            self.degrees[degree] += 1;
        }
        let [from, until] = self.looks;
        let first = broadcasts.partition_point(|broadcast| broadcast.sent < from);
        let end = broadcasts.partition_point(|broadcast| broadcast.sent < until);
        let shares = broadcasts[first..end].iter().map(BroadcastStats::reliability);
        let mean = shares.sum::<f64>() / (end - first) as f64;
        self.reliability.push((end > first).then_some(mean));
        self.looks = [until, now];
    }

    pub(super) fn fault(&mut self, name: &str, at: Time, is_over: bool) {
        let over = if is_over { " is over" } else { "" };
        self.faults.push(format!("{:>9.3} s  {name}{over}", seconds(at)));
    }

    pub(super) fn point(&mut self, point: &Point) {
        self.events += point.events;
        self.messages = point.messages;
    }

    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let [top, middle, bottom, keys] = Layout::vertical([
            Constraint::Length(3),
            Constraint::Min(8),
            Constraint::Min(4),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        let [left, right] =
            Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).areas(middle);
        self.draw_progress(frame, top);
        self.draw_reliability(frame, left);
        self.draw_degrees(frame, right);
        self.draw_faults(frame, bottom);
        let pause = if self.is_paused { "space goes on" } else { "space pauses" };
        let keys_line = format!(" {pause}   q closes the view, the run goes on   ctrl-c ends it");
        frame.render_widget(Line::from(keys_line).dark_gray(), keys);
    }

    fn draw_progress(&self, frame: &mut Frame<'_>, area: Rect) {
        let (now, end) = (seconds(self.now), self.end.as_secs_f64());
        let done = if end > 0.0 { (now / end).clamp(0.0, 1.0) } else { 1.0 };
        let wall = self.wall.as_secs_f64();
        let speed = if wall > 0.0 { self.events as f64 / wall / 1e6 } else { 0.0 };
        let left = if done > 0.0 {
            format!("{:.0} s left", wall * (1.0 - done) / done)
        } else {
            String::new()
        };
        let state = if self.is_paused { "PAUSED  " } else { "" };
        let label = format!("{state}{now:.1} of {end:.0} s  {speed:.2} M events/s  {left}");
        let title = format!(
            " {}: {} nodes run, {} messages in the last interval ",
            self.name, self.running, self.messages
        );
        let gauge = Gauge::default()
            .block(Block::bordered().title(title))
            .gauge_style(Style::new().fg(Color::Blue))
            .ratio(done)
            .label(label);
        frame.render_widget(gauge, area);
    }

    fn draw_reliability(&self, frame: &mut Frame<'_>, area: Rect) {
        let last = self.reliability.iter().rev().flatten().next();
        let last = last.map_or_else(
            || "no broadcasts yet".to_owned(),
            |share| format!("{:.2} %", 100.0 * share),
        );
        let width = usize::from(area.width.saturating_sub(2));
        let shown = &self.reliability[self.reliability.len().saturating_sub(width)..];
        let bars =
            shown.iter().map(|share| share.map(|share| (share * WHOLE as f64).round() as u64));
        let sparkline = Sparkline::default()
            .block(Block::bordered().title(format!(" reliability: {last} ")))
            .style(Style::new().fg(Color::Green))
            .max(WHOLE)
            .data(bars);
        frame.render_widget(sparkline, area);
    }

    fn draw_degrees(&self, frame: &mut Frame<'_>, area: Rect) {
        let total = self.degrees.iter().sum::<u64>().max(1);
        let bar = |(degree, nodes): (usize, &u64)| {
            let percent = format!("{:.0}%", 100.0 * *nodes as f64 / total as f64);
            Bar::default().value(*nodes).label(degree.to_string()).text_value(percent)
        };
        // Of a mesh the few degrees that there are.
        let first = self.degrees.iter().position(|nodes| *nodes > 0).unwrap_or(0);
        let bars: Vec<_> = self.degrees.iter().enumerate().skip(first).map(bar).collect();
        let chart = BarChart::default()
            .block(Block::bordered().title(" nodes by neighbours "))
            .bar_style(Style::new().fg(Color::Cyan))
            .bar_width(5)
            .data(BarGroup::default().bars(&bars));
        frame.render_widget(chart, area);
    }

    fn draw_faults(&self, frame: &mut Frame<'_>, area: Rect) {
        let room = usize::from(area.height.saturating_sub(2));
        let last = &self.faults[self.faults.len().saturating_sub(room)..];
        let lines: Vec<Line<'_>> =
            last.iter().map(|line| Line::from(line.as_str()).red()).collect();
        frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" faults ")), area);
    }
}

fn seconds(time: Time) -> f64 {
    time.since(Time::ZERO).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn at(seconds: u64) -> Time {
        Time::from_nanos(seconds * 1_000_000_000)
    }

    fn broadcast(sent: u64, delivered: u32) -> BroadcastStats {
        BroadcastStats {
            origin: 0,
            sent: at(sent),
            payload_bytes: 1,
            eligible: 4,
            delivered,
            payloads: 0,
            last_hop: 0,
        }
    }

    fn drawn(view: &View, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal.draw(|frame| view.draw(frame)).expect("it draws");
        let buffer = terminal.backend().buffer();
        let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..height).map(row).collect()
    }

    fn watched() -> View {
        let mut view = View::new("mass-failure", Duration::from_secs(80));
        let broadcasts = [broadcast(1, 4), broadcast(2, 2)];
        for second in 1..=4 {
            view.look(at(second), 500, [5, 5, 5, 4].into_iter(), &broadcasts);
        }
        view.fault("failure", at(3), false);
        view.fault("split", at(4), true);
        view.wall = Duration::from_secs(2);
        view.events = 3_000_000;
        view
    }

    #[test]
    fn everything_that_is_known_is_shown() {
        let text = drawn(&watched(), 100, 24);
        let all = text.join("\n");
        for said in [
            "mass-failure: 500 nodes run",
            "4.0 of 80 s  1.50 M events/s  38 s left",
            "reliability: 50.00 %",
            "75%",
            "    3.000 s  failure",
            "    4.000 s  split is over",
            "space pauses",
        ] {
            assert!(all.contains(said), "{said} in\n{all}");
        }
        // Nothing, nothing, everybody, half of them: the last two of the looks have bars.
        let full = text.iter().position(|row| row.contains("reliability")).expect("a row") + 1;
        assert_eq!(text[full].chars().skip(1).take(4).collect::<String>().trim_end(), "  █");
        assert!(
            text.iter().any(|row| row.chars().skip(1).take(4).collect::<String>() == "  ██"),
            "{all}"
        );
    }

    #[test]
    fn a_pause_is_said_and_a_small_terminal_is_no_harm() {
        let view = View { is_paused: true, ..watched() };
        let all = drawn(&view, 100, 24).join("\n");
        assert!(all.contains("PAUSED") && all.contains("space goes on"), "{all}");
        for (width, height) in [(1, 1), (20, 5), (300, 80)] {
            drawn(&view, width, height);
        }
        drawn(&View::default(), 80, 24);
    }
}
