//! Timers of any type behind a number: for hosts that know no type of what they run.

use alloc::vec::Vec;

/// A timer, by the place where it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AnyTimer(u32);

/// Timers that are armed. There are few at a time.
#[derive(Debug, Clone)]
pub struct Armed<T>(Vec<Option<T>>);

impl<T> Default for Armed<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// With a timer in each place, or none.
impl<T> From<Vec<Option<T>>> for Armed<T> {
    fn from(places: Vec<Option<T>>) -> Self {
        Self(places)
    }
}

impl<T> Armed<T> {
    /// Its places, each with its timer.
    #[must_use]
    pub fn places(&self) -> &[Option<T>] {
        &self.0
    }

    /// Keeps a timer until it is due.
    pub fn put(&mut self, timer: T) -> AnyTimer {
        let free = self.0.iter().position(Option::is_none).unwrap_or_else(|| {
            self.0.push(None);
            self.0.len() - 1
        });
        self.0[free] = Some(timer);
        // A strategy has a timer of a kind, a service as many as its host allows.
        AnyTimer(free as u32)
    }

    /// A timer that is not due yet.
    #[must_use]
    pub fn get(&self, AnyTimer(place): AnyTimer) -> Option<&T> {
        self.0.get(place as usize)?.as_ref()
    }

    /// A timer that is due, once.
    pub fn take(&mut self, AnyTimer(place): AnyTimer) -> Option<T> {
        self.0.get_mut(place as usize)?.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_is_due_once_and_leaves_its_place() {
        let mut armed = Armed::default();
        let (a, b) = (armed.put('a'), armed.put('b'));
        assert_eq!(armed.get(a), Some(&'a'));
        assert_eq!((armed.take(a), armed.take(a)), (Some('a'), None));
        assert_eq!(armed.put('c'), a);
        assert_eq!((armed.take(b), armed.take(a)), (Some('b'), Some('c')));
    }
}
