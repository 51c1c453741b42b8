//! Messages of one of two kinds of speakers, as tuples of services have them.

use core::marker::PhantomData;

use either::Either;

use crate::protocol::{Sizes, Wire};

impl<A: Wire, B: Wire> Wire for Either<A, B> {
    const KINDS: &'static [&'static str] = Both::<A, B>::KINDS.split_at(Both::<A, B>::COUNT).0;

    fn kind(&self) -> usize {
        match self {
            Self::Left(message) => message.kind(),
            Self::Right(message) => A::KINDS.len() + message.kind(),
        }
    }

    fn wire_len(&self, sizes: &Sizes) -> usize {
        either::for_both!(self, message => message.wire_len(sizes))
    }
}

/// Kinds of messages that two may have together.
const MOST_KINDS: usize = 64;

/// The kinds of two, those of the first before those of the second.
struct Both<A, B>(PhantomData<(A, B)>);

impl<A: Wire, B: Wire> Both<A, B> {
    const COUNT: usize = A::KINDS.len() + B::KINDS.len();
    const KINDS: &'static [&'static str; MOST_KINDS] = &{
        assert!(Self::COUNT <= MOST_KINDS, "too many kinds of messages");
        let mut kinds = [""; MOST_KINDS];
        let mut at = 0;
        while at < Self::COUNT {
            kinds[at] = match at.checked_sub(A::KINDS.len()) {
                None => A::KINDS[at],
                Some(at) => B::KINDS[at],
            };
            at += 1;
        }
        kinds
    };
}
