//! What targets cost, by depth.

use criterion::{Criterion, criterion_group, criterion_main};
use dht_walk::{Cpl, Seed, Targets};

fn targets(criterion: &mut Criterion) {
    let mut targets = Targets::new(Seed::from_bytes([1; 32]));
    let local = targets.uniform();
    let mut group = criterion.benchmark_group("target");
    group.sample_size(10);
    for cpl in [0, 8, 12, 16, 20] {
        group.bench_function(format!("in bucket {cpl}"), |bencher| {
            bencher.iter(|| targets.in_bucket(local.key(), Cpl::new(cpl)));
        });
    }
    for slices in [100, 10_000] {
        group.bench_function(format!("in each of {slices} slices"), |bencher| {
            bencher.iter(|| targets.stratified(slices));
        });
    }
    group.finish();
}

criterion_group!(benches, targets);
criterion_main!(benches);
