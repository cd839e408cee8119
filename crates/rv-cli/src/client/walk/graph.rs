//! A picture of what was seen, as SVG.

use std::fmt::Write as _;

use dht_walk::BucketHealth;

/// The table by bucket above, where there is one, and curves over messages below.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) title: String,
    pub(super) buckets: Vec<BucketHealth>,
    pub(super) curves: Vec<Curve>,
    /// How many peers there are, drawn as a line across the curves.
    pub(super) expected: Option<f64>,
}

/// A number of peers, over messages.
#[derive(Debug)]
pub(super) struct Curve {
    name: &'static str,
    points: Vec<(f64, f64)>,
}

impl Curve {
    #[expect(clippy::cast_precision_loss, reason = "a picture is not that precise")]
    pub(super) fn new(name: &'static str, points: &[(u64, usize)]) -> Self {
        let points = points.iter().map(|(x, y)| (*x as f64, *y as f64));
        Self {
            name,
            points: points.collect(),
        }
    }
}

const WIDTH: f64 = 640.0;
const PANEL: f64 = 260.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 36.0;
const BOTTOM: f64 = 64.0;
const GRID: &str = "#ddd";
const INK: &str = "#333";
/// Told apart also by who sees few colours (Okabe and Ito).
const COLOURS: [&str; 3] = ["#0072b2", "#d55e00", "#009e73"];

/// One diagram: where its numbers are on the paper.
struct Panel {
    top: f64,
    x_end: f64,
    y_end: f64,
}

impl Graph {
    pub(super) fn to_svg(&self) -> String {
        let panels = if self.buckets.is_empty() { 1.0 } else { 2.0 };
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{}</text>\n",
            PANEL * panels,
            escape(&self.title)
        );
        let mut top = 0.0;
        if !self.buckets.is_empty() {
            self.draw_table(&mut svg, top);
            top += PANEL;
        }
        self.draw_curves(&mut svg, top);
        svg.push_str("</svg>\n");
        svg
    }

    /// A bar for each bucket; what it can hold is its outline.
    fn draw_table(&self, svg: &mut String, top: f64) {
        let of = |bucket: &BucketHealth| bucket.expected.max(number(bucket.entries));
        let most = self.buckets.iter().map(of).fold(0.0, f64::max);
        let panel = Panel {
            top,
            x_end: number(self.buckets.len()),
            y_end: round_up(most),
        };
        panel.draw_heights(svg, "entries");
        panel.draw_caption(svg, "bucket (outlined: what it can hold)");
        let width = panel.x(1.0) - panel.x(0.0);
        for (at, bucket) in self.buckets.iter().enumerate() {
            let x = panel.x(number(at));
            let doubtful = number(bucket.doubtful);
            let entries = number(bucket.entries);
            panel.draw_bar(svg, x, width, (0.0, entries - doubtful), COLOURS[0]);
            panel.draw_bar(svg, x, width, (entries - doubtful, entries), COLOURS[1]);
            let (y, height) = panel.span((0.0, bucket.expected));
            let _ = writeln!(
                svg,
                "<rect x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.1}\" \
                 fill=\"none\" stroke=\"{INK}\"/>\n\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                x + width * 0.1,
                width * 0.8,
                x + width / 2.0,
                panel.y(0.0) + 16.0,
                bucket.cpl,
            );
        }
    }

    fn draw_curves(&self, svg: &mut String, top: f64) {
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(0.0, f64::max);
        let panel = Panel {
            top,
            x_end: round_up(most(|it| it.0)),
            y_end: round_up(most(|it| it.1).max(self.expected.unwrap_or(0.0))),
        };
        panel.draw_heights(svg, "peers");
        panel.draw_widths(svg);
        panel.draw_caption(svg, "messages");
        if let Some(expected) = self.expected {
            let _ = writeln!(
                svg,
                "<path d=\"M{LEFT} {:.1}H{:.1}\" stroke=\"{INK}\" stroke-dasharray=\"4 4\"/>",
                panel.y(expected),
                WIDTH - RIGHT,
            );
        }
        for (at, (curve, colour)) in self.curves.iter().zip(COLOURS).enumerate() {
            let mut path = format!("M{:.1} {:.1}", panel.x(0.0), panel.y(0.0));
            for (x, y) in &curve.points {
                let _ = write!(path, "L{:.1} {:.1}", panel.x(*x), panel.y(*y));
            }
            let (x, y) = (LEFT + 160.0 * number(at), top + PANEL - 12.0);
            let _ = writeln!(
                svg,
                "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>\n\
                 <rect x=\"{x:.1}\" y=\"{:.1}\" width=\"12\" height=\"12\" fill=\"{colour}\"/>\n\
                 <text x=\"{:.1}\" y=\"{y:.1}\">{}</text>",
                y - 11.0,
                x + 17.0,
                escape(curve.name),
            );
        }
    }
}

impl Panel {
    fn x(&self, x: f64) -> f64 {
        LEFT + x / self.x_end * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, y: f64) -> f64 {
        let height = PANEL - TOP - BOTTOM;
        self.top + TOP + height - y / self.y_end * height
    }

    /// The upper end on the paper, and the height, of a range.
    fn span(&self, (from, to): (f64, f64)) -> (f64, f64) {
        (self.y(to), self.y(from) - self.y(to))
    }

    fn draw_bar(&self, svg: &mut String, x: f64, width: f64, range: (f64, f64), colour: &str) {
        let (y, height) = self.span(range);
        let _ = writeln!(
            svg,
            "<rect x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.1}\" \
             fill=\"{colour}\"/>",
            x + width * 0.1,
            width * 0.8,
        );
    }

    fn draw_heights(&self, svg: &mut String, what: &str) {
        for step in 0..=4 {
            let y = self.y_end * f64::from(step) / 4.0;
            let _ = writeln!(
                svg,
                "<path d=\"M{LEFT} {0:.1}H{1:.1}\" stroke=\"{GRID}\"/>\n\
                 <text x=\"{2:.1}\" y=\"{3:.1}\" text-anchor=\"end\">{y}</text>",
                self.y(y),
                WIDTH - RIGHT,
                LEFT - 6.0,
                self.y(y) + 4.0,
            );
        }
        let _ = writeln!(
            svg,
            "<text transform=\"translate(14 {:.1}) rotate(-90)\" text-anchor=\"middle\">{what}\
             </text>",
            self.y(self.y_end / 2.0),
        );
    }

    fn draw_widths(&self, svg: &mut String) {
        for step in 0..=4 {
            let x = self.x_end * f64::from(step) / 4.0;
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{x}</text>",
                self.x(x),
                self.y(0.0) + 16.0,
            );
        }
    }

    fn draw_caption(&self, svg: &mut String, what: &str) {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{what}</text>",
            self.x(self.x_end / 2.0),
            self.y(0.0) + 34.0,
        );
    }
}

/// The next one of 1, 2, 4, 5, 6, 8 times a power of ten, so that quarters of it are short.
fn round_up(most: f64) -> f64 {
    if most <= 4.0 {
        return 4.0;
    }
    let power = 10_f64.powf(most.log10().floor());
    let steps = [1.0, 2.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    let fits = steps.into_iter().find(|step| step * power >= most);
    fits.unwrap_or(10.0) * power
}

#[expect(clippy::cast_precision_loss, reason = "a picture is not that precise")]
const fn number(of: usize) -> f64 {
    of as f64
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_begins_at_nothing_and_ends_in_the_upper_right() {
        let curve = Curve::new("seen", &[(50, 20), (100, 40)]);
        let graph = Graph {
            title: "a < b".to_owned(),
            buckets: Vec::new(),
            curves: vec![curve],
            expected: Some(20.0),
        };
        let svg = graph.to_svg();
        assert!(
            svg.contains("d=\"M60.0 196.0L340.0 116.0L620.0 36.0\""),
            "{svg}"
        );
        assert!(svg.contains("a &lt; b"));
        assert!(svg.contains("<path d=\"M60 116.0H620.0\""), "where 20 is");
    }

    #[test]
    fn axes_end_at_round_numbers() {
        let ends: Vec<f64> = [0.0, 7.0, 99.0, 100.0, 4_100.0].map(round_up).into();
        assert_eq!(ends, [4.0, 8.0, 100.0, 100.0, 5_000.0]);
    }
}
