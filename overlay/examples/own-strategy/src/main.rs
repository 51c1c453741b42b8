//! The simulator with these strategies and metrics beside its own: `cargo run -p own-strategy -- run star.toml`.

use std::process::ExitCode;

use murmurate_simulator::{cli, strategies::Registry};
use own_strategy::{metrics, rumour, star};

fn main() -> ExitCode {
    let ours = Registry::ours()
        .membership::<star::Parameters>()
        .broadcast::<rumour::Parameters>()
        .metric(metrics::HUB)
        .metric(metrics::PERSISTENCE);
    match ours.install() {
        Ok(()) => cli::main(),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
