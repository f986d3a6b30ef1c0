//! How large the result of a calculation can be, from the text alone: the database fails a whole query when one row's numbers
//! overflow, or become too small to be anything but zero.

/// Whole numbers up to here are the same when they have double precision.
pub(crate) const MAX_WHOLE: u64 = 1 << 53;

/// Most digits of a number in JSON, on each side of its point. Longer ones are no numbers to a filter.
pub(crate) const MAX_DIGITS: usize = 40;

/// Most digits of a whole number in JSON.
pub(crate) const MAX_WHOLE_DIGITS: u32 = 15;

/// Between this and one part of it every number of double precision has a logarithm that the database can work with.
const MAX: f64 = 1e300;

/// Of the absolute value of a number that is not zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bounds {
    least: f64,
    most: f64,
}

impl Bounds {
    pub(crate) fn of_constant(number: f64) -> Self {
        let size = number.abs();
        if size == 0.0 { Self { least: 1.0, most: 1.0 } } else { Self { least: size, most: size } }
    }

    pub(crate) const fn of_whole() -> Self {
        Self { least: 1.0, most: 9_007_199_254_740_992.0 }
    }

    pub(crate) const fn of_json() -> Self {
        Self { least: 1e-40, most: 1e40 }
    }

    /// Of a sum or difference. What cancels out leaves at least the last digit of the smaller one.
    pub(crate) fn sum(self, other: Self) -> Option<Self> {
        Self { least: self.least.min(other.least) * f64::EPSILON / 2.0, most: self.most + other.most }.valid()
    }

    pub(crate) fn product(self, other: Self) -> Option<Self> {
        Self { least: self.least * other.least, most: self.most * other.most }.valid()
    }

    pub(crate) fn quotient(self, other: Self) -> Option<Self> {
        Self { least: self.least / other.most, most: self.most / other.least }.valid()
    }

    /// `None` if some number within could be too large or too small.
    pub(crate) fn valid(self) -> Option<Self> {
        (self.most <= MAX && self.least >= 1.0 / MAX).then_some(self)
    }
}
