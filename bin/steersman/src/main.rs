//! Steersman: Kubernetes in one binary.

fn main() {
    println!("steersman {}", env!("CARGO_PKG_VERSION"));
}
