//! Curves as a small SVG.

use std::fmt::Write as _;

use super::Plot;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 36.0;
const BOTTOM: f64 = 84.0;
/// Told apart also by who sees few colours (Okabe and Ito).
const COLOURS: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"];

impl Plot {
    /// The picture.
    pub fn to_svg(&self) -> String {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(0.0, f64::max);
        let (x_end, y_end) = (round_up(most(|it| it.0)), round_up(most(|it| it.1)));
        let (width, height) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
        let across = |x: f64| LEFT + x / x_end * width;
        let up = |y: f64| TOP + height - y / y_end * height;

        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{}</text>\n",
            escape(&self.title)
        );
        for step in 0..=4 {
            let share = f64::from(step) / 4.0;
            let (x, y) = (x_end * share, y_end * share);
            let _ = writeln!(
                svg,
                "<path d=\"M{LEFT} {0:.1}H{1:.1}\" stroke=\"#ddd\"/>\n\
                 <text x=\"{2:.1}\" y=\"{3:.1}\" text-anchor=\"end\">{4}</text>\n\
                 <text x=\"{5:.1}\" y=\"{6:.1}\" text-anchor=\"middle\">{7}</text>",
                up(y),
                LEFT + width,
                LEFT - 6.0,
                up(y) + 4.0,
                number(y),
                across(x),
                TOP + height + 16.0,
                number(x),
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n\
             <text transform=\"translate(14 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            LEFT + width / 2.0,
            TOP + height + 36.0,
            escape(&self.x),
            TOP + height / 2.0,
            escape(&self.y),
        );
        let (mut at, legend) = (LEFT, HEIGHT - 16.0);
        for (series, colour) in self.series.iter().zip(COLOURS.iter().cycle()) {
            let mut path = String::new();
            for (x, y) in &series.points {
                let letter = if path.is_empty() { 'M' } else { 'L' };
                let _ = write!(path, "{letter}{:.1} {:.1}", across(*x), up(*y));
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.5\" fill=\"{colour}\"/>",
                    across(*x),
                    up(*y)
                );
            }
            let _ = writeln!(
                svg,
                "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>\n\
                 <rect x=\"{at:.1}\" y=\"{:.1}\" width=\"12\" height=\"12\" fill=\"{colour}\"/>\n\
                 <text x=\"{:.1}\" y=\"{legend:.1}\">{}</text>",
                legend - 11.0,
                at + 17.0,
                escape(&series.name),
            );
            at += 180.0;
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// The next one of 1, 2, 4, 5, 6, 8 times a power of ten.
fn round_up(most: f64) -> f64 {
    if most <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(most.log10().floor());
    let steps = [1.0, 2.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    let fits = steps.into_iter().find(|step| step * power >= most);
    fits.unwrap_or(10.0) * power
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::walk::report::Series;

    #[test]
    fn a_curve_goes_from_the_lower_left_to_the_upper_right() {
        let points = vec![(0.0, 0.0), (10.0, 100.0)];
        let plot = Plot {
            name: "sample".to_owned(),
            title: "a < b".to_owned(),
            x: "x".to_owned(),
            y: "y".to_owned(),
            series: vec![Series {
                name: "one".to_owned(),
                points,
            }],
        };
        let svg = plot.to_svg();
        assert!(svg.contains("d=\"M60.0 276.0L620.0 36.0\""), "{svg}");
        assert!(svg.contains("a &lt; b"));
    }

    #[test]
    fn axes_end_at_round_numbers() {
        let ends: Vec<f64> = [0.0, 0.03, 7.0, 99.0, 4_100.0].map(round_up).into();
        assert_eq!(ends, [1.0, 0.04, 8.0, 100.0, 5_000.0]);
    }
}
