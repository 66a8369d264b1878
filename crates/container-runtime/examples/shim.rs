//! The shim alone, for tests of the runtime: what the `steersman` binary does for its `shim` subcommand.

fn main() {
    std::process::exit(steersman_container_runtime::shim::main(std::env::args_os().skip(1)));
}
