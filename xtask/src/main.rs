//! Code generation and checks of the workspace.

fn main() {}
