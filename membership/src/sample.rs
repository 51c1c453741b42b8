//! Uniform choices from slices.

use rand::RngExt;
use thin_vec::ThinVec;

/// One element, uniformly.
pub(crate) fn choose<'a, T>(from: &'a [T], rng: &mut impl rand::Rng) -> Option<&'a T> {
    if from.is_empty() { None } else { Some(&from[rng.random_range(0..from.len())]) }
}

/// One element that satisfies `fits`, uniformly.
pub(crate) fn choose_where<T: Copy>(
    from: impl Iterator<Item = T> + Clone,
    fits: impl Fn(&T) -> bool,
    rng: &mut impl rand::Rng,
) -> Option<T> {
    let candidates = from.filter(|candidate| fits(candidate));
    let count = candidates.clone().count();
    if count == 0 { None } else { candidates.clone().nth(rng.random_range(0..count)) }
}

/// Adds `count` distinct elements of `from` (or all, if there are fewer) to `into`, uniformly:
/// Knuth's selection sampling, which needs no memory of what was taken.
pub(crate) fn sample_into<T>(
    into: &mut ThinVec<T>,
    from: impl ExactSizeIterator<Item = T>,
    count: usize,
    rng: &mut impl rand::Rng,
) {
    let mut left = from.len();
    let mut wanted = count.min(left);
    for item in from {
        if wanted == 0 {
            return;
        }
        if rng.random_range(0..left) < wanted {
            into.push(item);
            wanted -= 1;
        }
        left -= 1;
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_xoshiro::SplitMix64;

    use super::*;

    #[test]
    fn samples_are_distinct_and_uniform() {
        let mut rng = SplitMix64::seed_from_u64(1);
        let mut hits = [0u32; 30];
        for _ in 0..30_000 {
            let mut sample = ThinVec::new();
            sample_into(&mut sample, 0..30usize, 4, &mut rng);
            assert_eq!(sample.len(), 4);
            assert!(sample.windows(2).all(|pair| pair[0] < pair[1]), "{sample:?}");
            for index in sample {
                hits[index] += 1;
            }
        }
        // 4,000 expected each, standard deviation 59: a sampler that favours the first k is far out.
        assert!(hits.iter().all(|count| (3_700..4_300).contains(count)), "{hits:?}");
    }

    #[test]
    fn a_short_list_is_taken_whole() {
        let mut rng = SplitMix64::seed_from_u64(1);
        let mut sample = ThinVec::new();
        sample_into(&mut sample, 0..3, 4, &mut rng);
        assert_eq!(sample.as_slice(), [0, 1, 2]);
        assert_eq!(choose::<u8>(&[], &mut rng), None);
        assert_eq!(choose_where(0..9, |n| n % 10 == 7, &mut rng), Some(7));
        assert_eq!(choose_where(0..9, |n| *n > 9, &mut rng), None);
    }
}
