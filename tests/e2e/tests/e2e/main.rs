//! The end-to-end tests, in the order in which they run. See `src/lib.rs` for what they stand on.

mod applications;
mod bad_input;
mod ending;
mod identity;
mod images;
mod network;
mod pods;
mod reading;
mod restart;
mod starting;
mod streams;
mod writing;

mod manifests;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::Arguments;
use steersman_e2e::suite::{Suite, Test, trials};

/// Modules in the order in which they run: clusters that do not start, the shared cluster, its end.
const MODULES: &[(&str, &[Test])] = &[
    ("starting", starting::TESTS),
    ("reading", reading::TESTS),
    ("writing", writing::TESTS),
    ("bad_input", bad_input::TESTS),
    ("pods", pods::TESTS),
    ("streams", streams::TESTS),
    ("network", network::TESTS),
    ("identity", identity::TESTS),
    ("images", images::TESTS),
    ("applications", applications::TESTS),
    ("restart", restart::TESTS),
    ("ending", ending::TESTS),
];

fn main() -> ExitCode {
    // One after another: a machine runs one cluster.
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    let suite = match Suite::new() {
        Ok(suite) => Arc::new(suite),
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let tests = MODULES.iter().flat_map(|(module, tests)| trials(&suite, module, tests)).collect();
    let conclusion = libtest_mimic::run(&arguments, tests);
    suite.close();
    conclusion.exit_code()
}
