//! What can go wrong: a sentence for whoever runs the program.

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
