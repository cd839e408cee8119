//! The estimate of the network's size, against networks whose size is known.

use dht_walk::{BudgetLimits, Config};

use crate::world::{World, by_hand, secs};

#[test]
fn nobody_known_is_no_estimate() {
    let world = World::new(10, by_hand());
    assert_eq!(world.walk.estimate(world.now), None);
    assert_eq!(world.walk.health(world.now).fill(), 0.0);
}

#[test]
fn the_estimate_is_within_three_of_its_errors() {
    let plenty = BudgetLimits {
        messages_burst: 1_000_000,
        dials_burst: 1_000_000,
        ..BudgetLimits::default()
    };
    for size in [100_u32, 1_000, 3_000] {
        let mut world = World::new(
            size as usize,
            Config {
                budget: plenty,
                ..by_hand()
            },
        );
        world.hold(60);
        world.walk.walks(world.now, 50).expect("nothing waits");
        world.run_to(secs(300), |world| !world.reports.is_empty());
        let estimate = world.reports[0].estimate.expect("fifty lookups");
        assert_eq!(estimate.lookups, 50);
        assert!(
            (0.03..0.032).contains(&estimate.relative_error),
            "{estimate:?}"
        );
        let error = (estimate.peers - f64::from(size) - 1.0).abs() / f64::from(size);
        assert!(
            error < 3.0 * estimate.relative_error,
            "{size}: {estimate:?}"
        );
    }
}

#[test]
fn a_sweep_tells_of_nearly_all_for_no_more_than_was_forecast() {
    let mut config = by_hand();
    config.budget.messages_burst = 1_000_000;
    config.budget.dials_burst = 1_000_000;
    let mut world = World::new(1_000, config);
    assert_eq!(world.walk.forecast_sweep(world.now), None);
    world.hold(60);
    world.walk.walks(world.now, 20).expect("nothing waits");
    world.run_to(secs(300), |world| !world.reports.is_empty());
    let estimate = world.walk.estimate(world.now).expect("twenty lookups");
    let forecast = world.walk.forecast_sweep(world.now).expect("it is known");
    assert_eq!(f64::from(forecast.slices), (estimate.peers / 10.0).ceil());
    let walked = world.reports[0].requests();
    let mean = walked * u64::from(forecast.slices) / 20;
    assert!(
        (mean..mean * 12 / 10).contains(&forecast.messages),
        "{forecast:?}"
    );

    let span = secs(300);
    world
        .walk
        .sweep(world.now, forecast.slices, span)
        .expect("nothing waits");
    world.run_to(span, |world| world.reports.len() == 2);
    let report = &world.reports[1];
    assert!(report.requests() <= forecast.messages, "{forecast:?}");
    assert!(report.found.len() >= 950, "{}", report.found.len());
}

#[test]
fn lookups_count_for_two_hours() {
    let mut world = World::new(300, by_hand());
    world.hold(60);
    world.walk.walks(world.now, 5).expect("nothing waits");
    world.run(secs(60));
    assert_eq!(
        world
            .walk
            .estimate(world.now)
            .expect("five lookups")
            .lookups,
        5
    );
    world.run(secs(7_200));
    assert_eq!(
        world
            .walk
            .estimate(world.now)
            .expect("the table is left")
            .lookups,
        1
    );
}

#[test]
fn depth_and_health_follow_the_size() {
    for (size, depth) in [(30, 0), (1_000, 5)] {
        let world = World::grown(size, Config::default());
        let health = world.walk.health(world.now);
        let found = i32::from(health.depth().bits());
        assert!((found - depth).abs() <= 1, "{size}: {health:?}");
        assert!(
            health.is_whole() && health.doubtful_share() == 0.0,
            "{health:?}"
        );
        assert!((0.95..=1.0).contains(&health.fill()));
    }
}
