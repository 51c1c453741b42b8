//! Statistics: figures over seeds with confidence intervals, paired differences, and a correction for
//! multiple comparisons.

use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, Normal, StudentsT};

/// Of the intervals.
pub const CONFIDENCE: f64 = 0.95;

/// A figure over some runs.
///
/// Figures of an overlay are skewed, and often all runs but a few agree: then intervals around a mean by
/// Student's t miss the true one in most cases. The intervals here assume nothing of the distribution.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Summary {
    /// Values there are.
    pub n: u64,
    /// Their mean; of yes and no the share of yes. Absent, as all that follows, if there are no values.
    pub mean: Option<f64>,
    /// The median.
    pub median: Option<f64>,
    /// The lower end of the interval: of the median, but of yes and no of the share. Absent if there are
    /// fewer than six values, or if more than a quarter of them are repeated.
    pub ci_low: Option<f64>,
    /// The upper end.
    pub ci_high: Option<f64>,
    /// The least value.
    pub least: Option<f64>,
    /// The greatest.
    pub greatest: Option<f64>,
}

/// The least values of which one can be the end of an interval: `2 / 2^n` is at most 5 %.
const FEWEST: usize = 6;

impl Summary {
    /// Of any values.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let distinct = values.chunk_by(|a, b| a == b).count();
        // Where many values are equal, they say more than an interval.
        let has_interval = values.len() >= FEWEST && 4 * distinct >= 3 * values.len();
        let interval = if has_interval { median_interval(&values) } else { None };
        Self::new(&values, interval)
    }

    /// Of values that are 1 for yes and 0 for no. The interval is Wilson's (1927), which covers a share with
    /// the confidence that it says in the mean; exact ones cover it too often where runs are few.
    #[must_use]
    pub fn of_share(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let n = values.len() as f64;
        let share = values.iter().sum::<f64>() / n;
        let z = Normal::standard().inverse_cdf(f64::midpoint(1.0, CONFIDENCE));
        let weight = z * z / n;
        let middle = (share + weight / 2.0) / (1.0 + weight);
        let half = z * (share * (1.0 - share) / n + weight / (4.0 * n)).sqrt() / (1.0 + weight);
        let interval = ((middle - half).max(0.0), (middle + half).min(1.0));
        Self::new(&values, (!values.is_empty()).then_some(interval))
    }

    fn new(sorted: &[f64], interval: Option<(f64, f64)>) -> Self {
        let n = sorted.len();
        let middle = (n > 0).then(|| f64::midpoint(sorted[(n - 1) / 2], sorted[n / 2]));
        Self {
            n: n as u64,
            mean: (n > 0).then(|| sorted.iter().sum::<f64>() / n as f64),
            median: middle,
            ci_low: interval.map(|(low, _)| low),
            ci_high: interval.map(|(_, high)| high),
            least: sorted.first().copied(),
            greatest: sorted.last().copied(),
        }
    }
}

/// The interval of the median between two values, as many from either end, and interpolated to the next
/// ones so that it is 95 % whatever their number (Hettmansperger and Sheather 1986).
fn median_interval(sorted: &[f64]) -> Option<(f64, f64)> {
    let n = sorted.len();
    let heads = Binomial::new(0.5, n as u64).ok()?;
    // From the k-th to the k-th from the end, the interval fails if fewer than k lie on one side.
    let confidence = |k: usize| 1.0 - 2.0 * heads.cdf(k as u64 - 1);
    let k = (1..=n / 2).take_while(|k| confidence(*k) >= CONFIDENCE).last()?;
    let (wide, narrow) = (confidence(k), confidence(k + 1));
    let surplus = (wide - CONFIDENCE) / (wide - narrow);
    let (rest, k_) = ((n - k) as f64, k as f64);
    let weight = rest * surplus / (k_ + (n as f64 - 2.0 * k_) * surplus);
    let between =
        |outer: usize, inner: usize| sorted[outer] + weight * (sorted[inner] - sorted[outer]);
    Some((between(k - 1, k), between(n - k, n - k - 1)))
}

/// A mean, and where the true one lies with a confidence of 95 %.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Estimate {
    /// Values that it is the mean of.
    pub n: u64,
    /// The mean; absent if there are no values.
    pub mean: Option<f64>,
    /// The lower end of the interval; absent if there are fewer than two values.
    pub ci_low: Option<f64>,
    /// The upper end.
    pub ci_high: Option<f64>,
}

impl Estimate {
    /// Half the width of the interval.
    #[must_use]
    pub fn half_width(&self) -> Option<f64> {
        Some((self.ci_high? - self.ci_low?) / 2.0)
    }
}

/// Mean and spread of values, one after the other (Welford).
#[derive(Debug, Clone, Copy, Default)]
pub struct Moments {
    n: u64,
    mean: f64,
    /// Sum of the squared distances from the mean.
    squares: f64,
}

impl Moments {
    /// One more value.
    pub fn add(&mut self, value: f64) {
        self.n += 1;
        let distance = value - self.mean;
        self.mean += distance / self.n as f64;
        self.squares += distance * (value - self.mean);
    }

    /// Standard error of the mean; absent if there are fewer than two values.
    fn error(&self) -> Option<f64> {
        let n = self.n as f64;
        (self.n > 1).then(|| (self.squares / (n - 1.0) / n).sqrt())
    }

    /// Student's t with the degrees of freedom that these values leave.
    fn student(&self) -> Option<StudentsT> {
        (self.n > 1).then(|| StudentsT::new(0.0, 1.0, (self.n - 1) as f64).ok()).flatten()
    }

    /// The mean with its interval.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        let half = self.error().zip(self.student()).map(|(error, t)| match error {
            0.0 => 0.0,
            _ => error * t.inverse_cdf(f64::midpoint(1.0, CONFIDENCE)),
        });
        Estimate {
            n: self.n,
            mean: (self.n > 0).then_some(self.mean),
            ci_low: half.map(|half| self.mean - half),
            ci_high: half.map(|half| self.mean + half),
        }
    }
}

impl FromIterator<f64> for Moments {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut moments = Self::default();
        values.into_iter().for_each(|value| moments.add(value));
        moments
    }
}

/// How a difference was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Test {
    /// The paired t-test.
    PairedT,
    /// The sign test: every pair differs by the same, so that there is no spread to judge by.
    Sign,
    /// No pair differs.
    Equal,
}

/// What pairs of values differ by: the second less the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// The mean difference.
    pub effect: Estimate,
    /// How probable it is that pairs differ at least so much in the mean if nothing distinguishes
    /// the two.
    pub p: f64,
    /// How that was found.
    pub test: Test,
}

/// Compares two values each; `None` if there are fewer than two pairs.
#[must_use]
pub fn paired(pairs: &[(f64, f64)]) -> Option<Difference> {
    let moments: Moments = pairs.iter().map(|(a, b)| b - a).collect();
    let (error, t) = (moments.error()?, moments.student()?);
    let (test, p) = if pairs.iter().all(|(a, b)| a == b) {
        (Test::Equal, 1.0)
    } else if error == 0.0 {
        (Test::Sign, 0.5_f64.powf((moments.n - 1) as f64))
    } else {
        (Test::PairedT, (2.0 * t.cdf(-(moments.mean / error).abs())).min(1.0))
    };
    Some(Difference { effect: moments.estimate(), p, test })
}

/// Holm's correction: compared with a bound of 5 %, these keep the chance of even one false alarm
/// among them below 5 %.
#[must_use]
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut corrected = vec![1.0; p.len()];
    let mut least = 0.0_f64;
    for (rank, at) in order.into_iter().enumerate() {
        least = least.max((p[at] * (p.len() - rank) as f64).min(1.0));
        corrected[at] = least;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_near(found: f64, expected: f64) -> bool {
        (found - expected).abs() <= 1e-9 * expected.abs().max(1.0)
    }

    /// Student's sleep data (1908): hours gained with two soporifics, ten patients each.
    const SLEEP: [(f64, f64); 10] = [
        (0.7, 1.9),
        (-1.6, 0.8),
        (-0.2, 1.1),
        (-1.2, 0.1),
        (-0.1, -0.1),
        (3.4, 4.4),
        (3.7, 5.5),
        (0.8, 1.6),
        (0.0, 4.6),
        (2.0, 3.4),
    ];

    /// The figures are those that R's `t.test(extra ~ group, data = sleep, paired = TRUE)` and
    /// `t.test(sleep$extra[1:10])` print.
    #[test]
    fn intervals_and_tests_are_those_of_the_textbook() {
        let pairs = paired(&SLEEP).unwrap();
        assert_eq!(pairs.test, Test::PairedT);
        assert!(is_near(pairs.effect.mean.unwrap(), 1.58), "{pairs:?}");
        assert!((pairs.p - 0.002_832_89).abs() < 1e-8, "{pairs:?}");
        assert!((pairs.effect.ci_low.unwrap() - 0.700_114_2).abs() < 1e-6, "{pairs:?}");
        assert!((pairs.effect.ci_high.unwrap() - 2.459_885_8).abs() < 1e-6, "{pairs:?}");
        let first: Moments = SLEEP.iter().map(|pair| pair.0).collect();
        let first = first.estimate();
        assert!(is_near(first.mean.unwrap(), 0.75), "{first:?}");
        assert!((first.ci_low.unwrap() + 0.529_780_4).abs() < 1e-6, "{first:?}");
        assert!((first.ci_high.unwrap() - 2.029_780_4).abs() < 1e-6, "{first:?}");
    }

    /// From the tables of Student's t at 97.5 %.
    #[test]
    fn the_interval_is_as_wide_as_the_table_says() {
        for (n, t) in
            [(2, 12.706_204_736), (3, 4.302_652_730), (10, 2.262_157_163), (1_000, 1.962_341_461)]
        {
            // As many values around 0 with a standard error of 1.
            let values = (0..n).map(|at| f64::from(at) - f64::from(n - 1) / 2.0);
            let moments: Moments = values.collect();
            let half = moments.estimate().half_width().unwrap() / moments.error().unwrap();
            assert!((half - t).abs() < 1e-8, "{n} values: {half}");
        }
    }

    /// The ends for ten values lie between the second and the third: R's
    /// `DescTools::MedianCI(1:10, method = "exact")` gives 2 to 9 with 97.9 %.
    #[test]
    fn the_interval_of_the_median_lies_between_the_ranks_of_the_table() {
        let of = |n: u32| Summary::of((1..=n).map(f64::from).collect());
        assert_eq!(of(5).ci_low, None, "six values at least");
        for (n, least, most) in [(6, 1.0, 2.0), (10, 2.0, 3.0), (20, 6.0, 7.0), (100, 40.0, 41.0)] {
            let found = of(n);
            let (low, high) = found.ci_low.zip(found.ci_high).unwrap();
            assert!((least..most).contains(&low), "{n}: {found:?}");
            assert!(
                (low + high - f64::from(n + 1)).abs() < 1e-9,
                "as far from both ends: {found:?}"
            );
            assert_eq!(found.median, Some(f64::from(n + 1) / 2.0));
        }
    }

    /// R: `prop.test(x, 10, correct = FALSE)$conf.int`.
    #[test]
    fn the_interval_of_a_share_is_that_of_the_textbook() {
        let of = |yes: u32| {
            let found =
                Summary::of_share((0..10).map(|at| f64::from(u8::from(at < yes))).collect());
            (found.mean.unwrap(), found.ci_low.unwrap(), found.ci_high.unwrap())
        };
        for (yes, low, high) in
            [(0, 0.0, 0.277_532_8), (3, 0.107_791_3, 0.603_221_9), (10, 0.722_467_2, 1.0)]
        {
            let found = of(yes);
            assert_eq!(found.0, f64::from(yes) / 10.0);
            assert!((found.1 - low).abs() < 1e-6 && (found.2 - high).abs() < 1e-6, "{found:?}");
        }
        assert_eq!(Summary::of_share(Vec::new()).ci_low, None);
    }

    #[test]
    fn where_most_values_are_equal_there_is_no_interval() {
        let nine = [vec![1.0; 9], vec![0.2]].concat();
        let found = Summary::of(nine);
        assert_eq!((found.median, found.least, found.ci_low), (Some(1.0), Some(0.2), None));
        assert_eq!((found.greatest, found.n), (Some(1.0), 10));
    }

    /// Of skewed values, too, of which intervals around the mean miss most: 4,000 times ten values.
    #[test]
    fn intervals_cover_what_they_say() {
        use rand::SeedableRng;
        use rand_distr::{Distribution, Exp1, Pareto, StandardNormal};
        let mut rng = rand_xoshiro::SplitMix64::seed_from_u64(1);
        let pareto = Pareto::new(1.0, 1.1).unwrap();
        type Draw<'a> = &'a dyn Fn(&mut rand_xoshiro::SplitMix64) -> f64;
        let draws: [(&str, f64, Draw<'_>); 3] = [
            ("normal", 0.0, &|rng| StandardNormal.sample(rng)),
            ("exponential", 2.0_f64.ln(), &|rng| Exp1.sample(rng)),
            ("Pareto", 2.0_f64.powf(1.0 / 1.1), &|rng| pareto.sample(rng)),
        ];
        for (name, median, draw) in draws {
            for n in [6, 8, 10, 25] {
                let covers = |_: &u32| {
                    let found = Summary::of((0..n).map(|_| draw(&mut rng)).collect());
                    (found.ci_low.unwrap()..=found.ci_high.unwrap()).contains(&median)
                };
                let share = f64::from((0..4_000).filter(covers).count() as u32) / 4_000.0;
                assert!((0.935..0.975).contains(&share), "{name}, {n} values: {share}");
            }
        }
    }

    #[test]
    fn few_or_equal_values_give_what_they_can() {
        let estimate = |values: &[f64]| values.iter().copied().collect::<Moments>().estimate();
        let none = estimate(&[]);
        assert_eq!((none.n, none.mean, none.ci_low, none.ci_high), (0, None, None, None));
        let one = estimate(&[5.0]);
        assert_eq!((one.n, one.mean, one.ci_low, one.ci_high), (1, Some(5.0), None, None));
        let equal = estimate(&[0.1; 7]);
        assert_eq!((equal.mean, equal.ci_low, equal.ci_high), (Some(0.1), Some(0.1), Some(0.1)));
        assert_eq!(paired(&[(1.0, 2.0)]), None);
        let equal = paired(&[(1.0, 1.0), (3.0, 3.0)]).unwrap();
        assert_eq!((equal.p, equal.test), (1.0, Test::Equal));
        // Ten times heads.
        let same = paired(&[(1.0, 2.0); 10]).unwrap();
        assert_eq!((same.p, same.test), (2.0 / 1024.0, Test::Sign));
    }

    /// R: `p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")`, and one with a value that would be over 1.
    #[test]
    fn many_tests_are_held_against_each_other() {
        let found = holm(&[0.01, 0.04, 0.03, 0.005]);
        let expected = [0.03, 0.06, 0.06, 0.02];
        assert!(found.iter().zip(expected).all(|(f, e)| is_near(*f, e)), "{found:?}");
        assert_eq!(holm(&[0.8, 0.6]), [1.0, 1.0]);
        assert_eq!(holm(&[]), [0.0; 0]);
    }

    /// A test that cries wolf in one of twenty cases where there is no wolf.
    #[test]
    fn the_test_is_as_sharp_as_it_says() {
        use rand::SeedableRng;
        use rand_distr::{Distribution, StandardNormal};
        let mut rng = rand_xoshiro::SplitMix64::seed_from_u64(1);
        let mut draw = || -> f64 { StandardNormal.sample(&mut rng) };
        let alarms = |shift: f64, draw: &mut dyn FnMut() -> f64| {
            let alarm = |_: &u32| {
                let pairs: Vec<_> = (0..10).map(|_| (draw(), draw() + shift)).collect();
                paired(&pairs).unwrap().p < 0.05
            };
            f64::from((0..4_000).filter(alarm).count() as u32) / 4_000.0
        };
        let false_alarms = alarms(0.0, &mut draw);
        assert!((0.038..0.062).contains(&false_alarms), "{false_alarms}");
        let right_alarms = alarms(3.0, &mut draw);
        assert!(right_alarms > 0.95, "{right_alarms}");
    }
}
