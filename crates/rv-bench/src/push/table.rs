//! The table of who was told how soon.

use std::time::Instant;

use crate::report::markdown;

/// Delays, in milliseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Delays(Vec<f64>);

/// An audience at a point, and what was measured with it.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) point: &'static str,
    pub(super) way: &'static str,
    pub(super) subscribers: u32,
    pub(super) is_one_stuck: bool,
    /// From an acknowledgement until a subscriber was told.
    pub(super) told: Delays,
    /// From a REGISTER to its acknowledgement, while nothing else goes on.
    pub(super) one_by_one: Delays,
    /// The same while REGISTERs come without a pause, and all are told of them.
    pub(super) in_a_row: Delays,
}

const HEADERS: [&str; 8] = [
    "how, and where",
    "subscribers",
    "told, median ms",
    "99th",
    "REGISTER one by one, median ms",
    "99th",
    "REGISTER in a row, median ms",
    "99th",
];

impl Delays {
    /// Adds the time from one to the other; below zero where the other was earlier.
    pub(super) fn add(&mut self, from: Instant, to: Instant) {
        let later = to.saturating_duration_since(from).as_secs_f64();
        let earlier = from.saturating_duration_since(to).as_secs_f64();
        self.0.push((later - earlier) * 1e3);
    }

    /// What so many hundredths are not above; `None` of none.
    fn percentile(&self, hundredths: usize) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let place = (sorted.len() * hundredths).div_ceil(100).saturating_sub(1);
        sorted.get(place).copied()
    }
}

/// The table, with what its figures mean.
pub(super) fn table(scenes: &[Scene]) -> String {
    let lines: Vec<Vec<String>> = scenes.iter().map(|it| line(it, scenes)).collect();
    format!(
        "## How soon subscribers are told (x: to the same point without subscribers)\n\n\
         Told: from the acknowledgement of a REGISTER until a subscriber has the news, below zero \
         if it comes first; of every subscriber, in rounds that begin when all are told. Each has \
         a connection; to read them all is in these figures, and one processor does it. A stuck \
         one never reads.\n\n{}",
        markdown(&HEADERS.map(str::to_owned), &lines)
    )
}

fn line(scene: &Scene, scenes: &[Scene]) -> Vec<String> {
    let is_base = |it: &&Scene| it.point == scene.point && it.way == scene.way;
    let base = scenes.iter().find(|it| it.subscribers == 0 && is_base(it));
    let ratio = |of: fn(&Scene) -> &Delays, hundredths| {
        let base = base.filter(|_| scene.subscribers > 0)?;
        let ratio = of(scene).percentile(hundredths)? / of(base).percentile(hundredths)?;
        Some(format!(" (x{ratio:.2})"))
    };
    let cell = |of: fn(&Scene) -> &Delays, hundredths| {
        let millis = of(scene).percentile(hundredths);
        let millis = millis.map_or_else(|| "-".to_owned(), |millis| format!("{millis:.2}"));
        millis + &ratio(of, hundredths).unwrap_or_default()
    };
    let mut subscribers = scene.subscribers.to_string();
    if scene.is_one_stuck {
        subscribers.push_str(", one stuck");
    }
    vec![
        format!("{}, {}", scene.way, scene.point),
        subscribers,
        cell(|it| &it.told, 50),
        cell(|it| &it.told, 99),
        cell(|it| &it.one_by_one, 50),
        cell(|it| &it.one_by_one, 99),
        cell(|it| &it.in_a_row, 50),
        cell(|it| &it.in_a_row, 99),
    ]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn scene(subscribers: u32, told: &[f64], register: f64) -> Scene {
        Scene {
            point: "rv memory",
            way: "push",
            subscribers,
            is_one_stuck: subscribers > 1,
            told: Delays(told.to_vec()),
            one_by_one: Delays(vec![register]),
            in_a_row: Delays::default(),
        }
    }

    #[test]
    fn a_line_shows_medians_99ths_and_the_ratio_to_no_subscribers() {
        let told: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        let scenes = [scene(0, &[], 2.0), scene(1_000, &told, 3.0)];
        assert_eq!(
            line(&scenes[0], &scenes),
            ["push, rv memory", "0", "-", "-", "2.00", "2.00", "-", "-"]
        );
        let want = [
            "push, rv memory",
            "1000, one stuck",
            "100.00",
            "198.00",
            "3.00 (x1.50)",
            "3.00 (x1.50)",
            "-",
            "-",
        ];
        assert_eq!(line(&scenes[1], &scenes), want);
    }

    #[test]
    fn news_that_comes_before_the_acknowledgement_is_below_zero() {
        let (mut delays, now) = (Delays::default(), Instant::now());
        delays.add(now + Duration::from_millis(2), now);
        delays.add(now, now + Duration::from_millis(3));
        assert_eq!(delays.0, [-2.0, 3.0]);
    }
}
