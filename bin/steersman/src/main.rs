//! Steersman: Kubernetes in one binary. This program reads its arguments, builds the parts, runs them, and gives an
//! exit code; it is the only place that joins components.

mod addons;
mod agent;
mod components;
mod control;
mod credentials;
mod data_dir;
mod demo;
mod down;
mod flags;
mod image;
mod parts;
mod progress;
mod server;
mod settings;
mod status;
mod up;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};

use components::{apiserver, controller_manager, dns, kubelet, proxy, runtime, scheduler};

/// Kubernetes in one binary.
#[derive(Parser)]
#[command(name = "steersman", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a whole single-node cluster: a server and an agent in one process.
    Up(Box<up::Arguments>),
    /// Stop the cluster and remove what it made of the machine.
    Down(down::Arguments),
    /// Say what runs and what is wrong.
    Status(status::Arguments),
    /// Serve the page of the demo; its pods run this.
    #[command(hide = true)]
    DemoPage(demo::Arguments),
    /// Look after the node's images.
    Image(image::Arguments),
    /// Print a kubeconfig for a user or a node, signed by the cluster's authority.
    Kubeconfig(credentials::KubeconfigArguments),
    /// Write the certificate with which a node's kubelet serves, signed by the cluster's authority.
    Certificate(credentials::CertificateArguments),
    /// Run the control plane without a node: API server, controllers and scheduler.
    Server(server::Arguments),
    /// Run a node of a cluster: runtime, kubelet, proxy and DNS.
    Agent(Box<agent::Arguments>),
    /// Run the API server alone, with its store.
    Apiserver(apiserver::Arguments),
    /// Run the scheduler alone.
    Scheduler(Box<scheduler::Arguments>),
    /// Run the controllers alone.
    ControllerManager(Box<controller_manager::Arguments>),
    /// Run the kubelet alone, over any runtime that speaks CRI.
    Kubelet(Box<kubelet::Arguments>),
    /// Run the service proxy alone.
    Proxy(proxy::Arguments),
    /// Run the container runtime alone, with the pod network, behind CRI.
    Runtime(runtime::Arguments),
    /// Run the DNS server alone.
    Dns(dns::Arguments),
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
        Command::Kubeconfig(arguments) => credentials::kubeconfig(&arguments),
        Command::Certificate(arguments) => credentials::certificate(&arguments),
        Command::Server(arguments) => server::main(&arguments),
        Command::Agent(arguments) => agent::main(&arguments),
        Command::Apiserver(arguments) => apiserver::main(&arguments),
        Command::Scheduler(arguments) => scheduler::main(&arguments),
        Command::ControllerManager(arguments) => controller_manager::main(&arguments),
        Command::Kubelet(arguments) => kubelet::main(&arguments),
        Command::Proxy(arguments) => proxy::main(&arguments),
        Command::Runtime(arguments) => runtime::main(&arguments),
        Command::Dns(arguments) => dns::main(&arguments),
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

/// Refuses to go on without the rights that `command` needs.
fn require_root(command: &str) -> Result<()> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    bail!(
        "steersman {command} must run as root: it works on namespaces, mounts, cgroups and rules of the kernel; \
         try: sudo steersman {command}"
    )
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Arguments, Command};

    #[test]
    fn the_flags_fit_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn whatever_serves_the_api_takes_the_flags_of_requests() {
        let seats = ["--max-requests-inflight=40", "--max-mutating-requests-inflight=2"];
        let audit = ["--audit-policy-file=policy.yaml", "--audit-log-path=audit.log"];
        let rotation = ["--audit-log-maxage=1", "--audit-log-maxbackup=2", "--audit-log-maxsize=3"];
        for command in ["apiserver", "server", "up"] {
            let parse = |flags: &[&str]| {
                Arguments::try_parse_from([&["steersman", command], flags].concat())
                    .map(|arguments| arguments.command)
                    .map_err(|error| error.to_string())
            };
            let parsed = parse(&[&seats[..], &audit, &rotation].concat());
            assert!(
                matches!(parsed, Ok(Command::Apiserver(_) | Command::Server(_) | Command::Up(_))),
                "{command}: {:?}",
                parsed.err()
            );
            for (one, other) in [(audit[0], "--audit-log-path"), (audit[1], "--audit-policy-file")] {
                let refused = parse(&[one]).err().unwrap_or_default();
                assert!(refused.contains(other), "{command} {one}: {refused:?}");
            }
        }
    }
}
