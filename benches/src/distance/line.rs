//! What is under way in one direction: packets in order, each until its time has come.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A delay, and room for so much.
#[derive(Debug)]
pub(crate) struct Line {
    delay: Duration,
    /// Bytes that may be under way.
    capacity: usize,
    packets: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
}

impl Line {
    pub(crate) fn new(delay: Duration, capacity: usize) -> Self {
        Self { delay, capacity, packets: VecDeque::new(), bytes: 0 }
    }

    /// Takes a packet that came at `now`, if there is room for it.
    pub(crate) fn push(&mut self, now: Instant, packet: &[u8]) -> bool {
        let has_room = self.bytes + packet.len() <= self.capacity;
        if has_room {
            self.bytes += packet.len();
            self.packets.push_back((now + self.delay, packet.to_vec()));
        }
        has_room
    }

    /// The next packet, if its time has come.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Vec<u8>> {
        let (_, packet) = self.packets.pop_front_if(|(due, _)| *due <= now)?;
        self.bytes -= packet.len();
        Some(packet)
    }

    /// When the next one's time comes.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.packets.front().map(|(due, _)| *due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_out_in_order_and_not_before_their_time() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut line = Line::new(Duration::from_millis(10), 100);
        assert_eq!((line.due(), line.pop(start)), (None, None));
        assert!(line.push(at(0), b"one") && line.push(at(4), b"two"));
        assert_eq!((line.due(), line.pop(at(9))), (Some(at(10)), None));
        assert_eq!(line.pop(at(10)), Some(b"one".to_vec()));
        assert_eq!((line.due(), line.pop(at(13))), (Some(at(14)), None));
        assert!(line.push(at(20), b"three"));
        assert_eq!(line.pop(at(30)), Some(b"two".to_vec()));
        assert_eq!(line.pop(at(30)), Some(b"three".to_vec()));
        assert_eq!((line.due(), line.pop(at(99))), (None, None));
    }

    #[test]
    fn what_finds_no_room_is_not_taken() {
        let start = Instant::now();
        let mut line = Line::new(Duration::ZERO, 10);
        let packets = [[1; 4].as_slice(), &[2; 4], &[3; 4], &[4; 2]];
        assert_eq!(packets.map(|packet| line.push(start, packet)), [true, true, false, true]);
        let came: Vec<_> = std::iter::from_fn(|| line.pop(start)).map(|packet| packet[0]).collect();
        assert_eq!(came, [1, 2, 4]);
        assert!(line.push(start, &[5; 10]) && !line.push(start, &[6; 1]));
    }
}
