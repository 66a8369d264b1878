//! Steersman: Kubernetes in one binary. This program reads its arguments, builds the parts, runs them, and gives an
//! exit code; it is the only place that joins components.

mod control;
mod data_dir;
mod demo;
mod down;
mod image;
mod settings;
mod status;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use settings::Settings;

/// Kubernetes in one binary.
#[derive(Parser)]
#[command(name = "steersman", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a whole single-node cluster.
    Up(up::Arguments),
    /// Stop the cluster and remove what it made of the machine.
    Down(down::Arguments),
    /// Say what runs and what is wrong.
    Status(status::Arguments),
    /// Serve the page of the demo; its pods run this.
    #[command(hide = true)]
    DemoPage(demo::Arguments),
    /// Look after the node's images.
    Image(image::Arguments),
    /// Print the version.
    Version,
}

fn main() -> ExitCode {
    // A shim is this program again; it must not start a thread, nor need anything that comes after.
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == steersman_container_runtime::shim::SUBCOMMAND) {
        return ExitCode::from(
            u8::try_from(steersman_container_runtime::shim::main(words)).unwrap_or(u8::MAX),
        );
    }
    let outcome = match Arguments::parse().command {
        Command::Up(arguments) => up::main(&arguments),
        Command::Down(arguments) => down::main(&arguments),
        Command::Status(arguments) => status::main(&arguments),
        Command::DemoPage(arguments) => demo::main(&arguments),
        Command::Image(arguments) => image::main(arguments),
        Command::Version => {
            println!("steersman {} (Kubernetes {})", env!("CARGO_PKG_VERSION"), settings::KUBERNETES);
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
