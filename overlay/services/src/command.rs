//! What an application asks, and what it is told.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::time::Duration;

use bytes::Bytes;

use crate::dot::Dot;
use crate::key::Key;
use crate::roster::{News, Record};
use crate::store::Full;
use crate::values::Flag;

/// What an application asks, and who is told what came of it.
pub struct Command<P> {
    pub(crate) action: Action<P>,
    pub(crate) reply: Reply<P>,
}

/// Takes what came of a command.
pub(crate) type Reply<P> = Option<Box<dyn FnOnce(Result<Done<P>, Refused<P>>) + Send>>;

impl<P> Command<P> {
    /// A command of which nobody is told what came.
    #[must_use]
    pub fn new(action: Action<P>) -> Self {
        Self { action, reply: None }
    }

    /// The same, and `reply` is told what came of it, on the node's own task. Whatever others hear of it, they
    /// hear later.
    #[must_use]
    pub fn with_reply(
        self,
        reply: impl FnOnce(Result<Done<P>, Refused<P>>) + Send + 'static,
    ) -> Self {
        Self { reply: Some(Box::new(reply)), ..self }
    }
}

impl<P> From<Action<P>> for Command<P> {
    fn from(action: Action<P>) -> Self {
        Self::new(action)
    }
}

impl<P: fmt::Debug> fmt::Debug for Command<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.action.fmt(f)
    }
}

/// What an application can ask.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Action<P> {
    /// Say this of the node from now on.
    Describe(Record),
    /// Become a member of a group.
    Join {
        /// The group's scope: groups of one name in different scopes have nothing to do with each other.
        scope: String,
        /// The group's name.
        group: String,
        /// What others read of the member.
        about: Bytes,
    },
    /// Be present somewhere.
    Track {
        /// Where.
        topic: String,
        /// Who: several nodes, or one several times, may track the same key.
        key: String,
        /// What others read.
        about: Bytes,
    },
    /// Say something else of what this node wrote with [`Action::Join`], [`Action::Track`] or
    /// [`Action::Register`].
    Update {
        /// Its name.
        entry: Dot<P>,
        /// What others read from now on.
        about: Bytes,
    },
    /// End what this node wrote with [`Action::Join`], [`Action::Track`] or [`Action::Register`].
    End {
        /// Its name.
        entry: Dot<P>,
    },
    /// Take a name that nobody else has.
    Register {
        /// The name.
        name: String,
        /// What others read of who has it.
        about: Bytes,
    },
    /// Write a value.
    Put {
        /// Where.
        key: String,
        /// What.
        value: Bytes,
        /// Whether concurrent writes are all kept, rather than the latest one.
        concurrent: bool,
        /// Only if the present version is this one: `Some(None)` if there is none.
        expected: Option<Option<Dot<P>>>,
    },
    /// Remove a value.
    Delete {
        /// Where.
        key: String,
        /// Whether it was written so.
        concurrent: bool,
        /// Only if the present version is this one.
        expected: Option<Dot<P>>,
    },
    /// Set a flag. See [`Flag`](crate::Flag).
    Flag {
        /// Its name.
        name: String,
        /// What it says.
        flag: Flag,
    },
    /// Add to a counter.
    Count {
        /// Its name.
        name: String,
        /// How much.
        by: i64,
    },
    /// Put an element into a set.
    Insert {
        /// The set.
        set: String,
        /// The element.
        element: Bytes,
    },
    /// Take an element out of a set. Who inserts it at the same time wins.
    Remove {
        /// The set.
        set: String,
        /// The element.
        element: Bytes,
    },
}

/// What came of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Done<P> {
    /// It was written, under this name.
    Written(Dot<P>),
    /// So many values were removed.
    Removed(usize),
}

/// Why nothing came of an action. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused<P> {
    /// There is no room.
    Full(Full),
    /// Another node has the name.
    Taken(P),
    /// The present version is this one, not the one that was expected.
    Changed(Option<Dot<P>>),
    /// This node has no such entry.
    NoEntry,
    /// The node left.
    Left,
}

impl<P: fmt::Debug> fmt::Display for Refused<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(full) => write!(f, "there is no room: {full}"),
            Self::Taken(by) => write!(f, "{by:?} has the name"),
            Self::Changed(None) => write!(f, "there is no value any more"),
            Self::Changed(Some(now)) => {
                write!(f, "somebody wrote since: write {} of {:?}", now.number, now.writer)
            }
            Self::NoEntry => write!(f, "this node has no such entry"),
            Self::Left => write!(f, "the node left"),
        }
    }
}

impl<P: fmt::Debug> core::error::Error for Refused<P> {}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keys => "there are as many keys as may be",
            Self::Key => "the key is too long",
            Self::Value => "the value is too long",
            Self::Writer => "this node has written as much as one may",
            Self::Replica => "the replica is full",
            Self::Writers => "as many nodes have written as may",
        })
    }
}

/// Whether a cluster has most of its nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quorum {
    /// All that are expected are here.
    Whole,
    /// More than half are.
    Majority,
    /// At most half are: others may go on as a majority elsewhere.
    Minority,
}

/// What an application is told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<P> {
    /// Something happened to a member.
    Member(News, P),
    /// A member of a group came or went.
    Group {
        /// The scope.
        scope: String,
        /// The group.
        group: String,
        /// The member's entry.
        entry: Dot<P>,
        /// Whether it is there.
        is_there: bool,
    },
    /// Somebody came or went.
    Presence {
        /// Where.
        topic: String,
        /// Who.
        key: String,
        /// The entry.
        entry: Dot<P>,
        /// Whether it is there.
        is_there: bool,
    },
    /// A name has another holder, or none.
    Name {
        /// The name.
        name: String,
        /// Who has it.
        holder: Option<P>,
    },
    /// This node had a name, and another one took it at the same time and keeps it.
    NameLost {
        /// The name.
        name: String,
        /// Who has it.
        winner: P,
    },
    /// What is kept under a key changed: a value, a flag, a counter or a set.
    Changed(Key),
    /// As many nodes are here as this says. It fences nobody: the others may not know yet that they are cut off.
    Quorum(Quorum),
    /// A node's wall clock, or this one's, is wrong: what it wrote lies so far ahead.
    Drift {
        /// Whose write.
        writer: P,
        /// How far.
        ahead: Duration,
    },
}
