//! The error type: its message is a sentence for the user of the program.

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
