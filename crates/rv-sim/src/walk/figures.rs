//! Counts as numbers of a table or a curve.

use std::ops::Range;

/// A count as a number.
#[expect(clippy::cast_precision_loss, reason = "some millions")]
pub(crate) const fn float(count: u64) -> f64 {
    count as f64
}

/// A part of a whole, or the mean of a sum; none of nothing is 0.
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        float(part) / float(whole)
    }
}

/// Who shares exactly `cpl` bits with a position, of those in the order of their positions.
pub(crate) fn bucket<T>(
    sorted: &[T],
    head: impl Fn(&T) -> u64,
    here: u64,
    cpl: u32,
) -> Range<usize> {
    let flipped = here ^ (1 << (63 - cpl));
    let low_bits = (1_u64 << (63 - cpl)) - 1;
    let first = sorted.partition_point(|it| head(it) < flipped & !low_bits);
    let last = sorted.partition_point(|it| head(it) <= flipped | low_bits);
    first..last
}
