//! Shows results: pages, charts, traces, and files for other tools.

pub mod export;
#[cfg(feature = "plot")]
pub mod plot;
pub mod probe;
pub mod report;
pub mod trace;
