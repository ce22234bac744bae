//! Plots as inline SVG: lines over a scale, and a matrix of cells. They take their colours from the page.

use std::fmt::Write as _;

use super::escape;

/// Size of a plot in its own units; the page scales it.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 260.0;
/// Room for labels.
const LEFT: f64 = 52.0;
const BOTTOM: f64 = 34.0;
const TOP: f64 = 24.0;
const RIGHT: f64 = 14.0;
/// Labels of an axis.
const TICKS: usize = 5;
/// Colours of lines, as classes `c0` to `c7` of the page.
pub(super) const COLOURS: usize = 8;

/// A line of a plot.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// A moment to mark.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) at: f64,
    pub(super) text: String,
}

/// What a plot shows.
#[derive(Clone, Debug)]
pub(super) struct Plot<'p> {
    pub(super) title: &'p str,
    /// What it says, for those who do not see it.
    pub(super) description: String,
    pub(super) across: &'p str,
    pub(super) up: &'p str,
    pub(super) lines: Vec<Line>,
    pub(super) marks: Vec<Mark>,
}

/// The scale of a plot: where a value stands.
#[derive(Clone, Copy)]
struct Scale {
    right: f64,
    top: f64,
}

impl Scale {
    fn x(self, value: f64) -> f64 {
        LEFT + value / self.right * (WIDTH - LEFT - RIGHT)
    }

    fn y(self, value: f64) -> f64 {
        HEIGHT - BOTTOM - value / self.top * (HEIGHT - BOTTOM - TOP)
    }
}

/// A figure with caption, plot and legend; nothing for lines without points.
pub(super) fn figure(plot: &Plot<'_>) -> String {
    let points = || plot.lines.iter().flat_map(|line| &line.points);
    let right = points().map(|point| point.0).fold(0.0_f64, f64::max);
    let top = points().map(|point| point.1).fold(0.0_f64, f64::max);
    if points().next().is_none() || right <= 0.0 {
        return String::new();
    }
    let scale = Scale {
        right: nice(right),
        top: nice(top.max(1e-9)),
    };
    let (title, description) = (escape(plot.title), escape(&plot.description));
    let mut out = String::new();
    put(
        &mut out,
        format_args!(
            "<figure><figcaption>{title}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\
             <title>{title}</title><desc>{description}</desc>"
        ),
    );
    draw_grid(&mut out, plot, scale);
    plot.marks
        .iter()
        .for_each(|mark| draw_mark(&mut out, mark, scale));
    for (index, line) in plot.lines.iter().enumerate() {
        let place = |(across, up): &(f64, f64)| format!("{:.1},{:.1}", scale.x(*across), scale.y(*up));
        let path: Vec<String> = line.points.iter().map(place).collect();
        let colour = index % COLOURS;
        put(
            &mut out,
            format_args!("<polyline class=\"c{colour}\" points=\"{}\"/>", path.join(" ")),
        );
    }
    out.push_str("</svg>");
    draw_legend(&mut out, &plot.lines);
    out.push_str("</figure>");
    out
}

fn draw_grid(out: &mut String, plot: &Plot<'_>, scale: Scale) {
    let edge = WIDTH - RIGHT;
    for tick in 0..=TICKS {
        let share = tick as f64 / TICKS as f64;
        let (across, up) = (scale.right * share, scale.top * share);
        let (x, y) = (scale.x(across), scale.y(up));
        let (label, below) = (LEFT - 6.0, HEIGHT - BOTTOM + 16.0);
        put(
            out,
            format_args!(
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{edge:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{label:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
                 <text x=\"{x:.1}\" y=\"{below:.1}\" text-anchor=\"middle\">{}</text>",
                y + 4.0,
                number(up),
                number(across)
            ),
        );
    }
    put(
        out,
        format_args!(
            "<text class=\"unit\" x=\"{edge:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <text class=\"unit\" x=\"2\" y=\"10\">{}</text>",
            HEIGHT - 3.0,
            escape(plot.across),
            escape(plot.up)
        ),
    );
}

fn draw_mark(out: &mut String, mark: &Mark, scale: Scale) {
    let (x, bottom) = (scale.x(mark.at), HEIGHT - BOTTOM);
    put(
        out,
        format_args!(
            "<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom:.1}\"/>\
             <text class=\"mark\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            x + 4.0,
            TOP + 8.0,
            escape(&mark.text)
        ),
    );
}

fn draw_legend(out: &mut String, lines: &[Line]) {
    if lines.len() < 2 {
        return;
    }
    out.push_str("<ul class=\"legend\">");
    for (index, line) in lines.iter().enumerate() {
        let colour = index % COLOURS;
        put(
            out,
            format_args!("<li><i class=\"c{colour}\"></i>{}</li>", escape(&line.name)),
        );
    }
    out.push_str("</ul>");
}

/// The smallest round number that is not below and divides into [`TICKS`] parts one can read.
fn nice(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.5, 10.0]
        .into_iter()
        .map(|step| step * power)
        .find(|step| *step >= value * 0.999_999)
        .unwrap_or(value)
}

fn number(value: f64) -> String {
    if value == 0.0 {
        "0".to_owned()
    } else if value >= 10_000.0 {
        format!("{:.0}k", value / 1_000.0)
    } else if value >= 100.0 {
        format!("{value:.0}")
    } else {
        let text = format!("{value:.2}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

/// Appends formatted text; writing to a string does not fail.
pub(super) fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text)
        .expect("invariant: writing to a string does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_round_numbers() {
        for (value, wanted) in [
            (0.7, 0.75),
            (1.0, 1.0),
            (126.0, 150.0),
            (210.0, 250.0),
            (29.0, 30.0),
            (99_000.0, 100_000.0),
        ] {
            assert!((nice(value) - wanted).abs() < 1e-9, "{value}: {}", nice(value));
        }
        assert_eq!(
            [number(0.0), number(0.25), number(40.0), number(12_000.0)],
            ["0", "0.25", "40", "12k"]
        );
    }

    #[test]
    fn a_plot_of_nothing_is_nothing_and_names_are_escaped() {
        let mut plot = Plot {
            title: "Delay",
            description: "…".to_owned(),
            across: "ms",
            up: "share",
            lines: Vec::new(),
            marks: Vec::new(),
        };
        assert_eq!(figure(&plot), "");
        plot.lines = vec![
            Line {
                name: "a<b".to_owned(),
                points: vec![(1.0, 0.5), (2.0, 1.0)],
            },
            Line {
                name: "c".to_owned(),
                points: vec![(1.0, 0.2)],
            },
        ];
        let svg = figure(&plot);
        assert!(svg.contains("a&lt;b") && !svg.contains("a<b"));
        assert_eq!(svg.matches("<polyline").count(), 2);
    }
}
