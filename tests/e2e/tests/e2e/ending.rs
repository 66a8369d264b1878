//! The end of a cluster: `down` keeps what a user would want to have again, `down --purge` leaves nothing.

use anyhow::{Result, ensure};
use steersman_e2e::cluster::steersman;
use steersman_e2e::machine::Snapshot;
use steersman_e2e::suite::{Suite, Test};

use crate::manifests::{deployment, shell};

pub const TESTS: &[Test] = &[
    ("a_cluster_that_was_stopped_starts_again", a_cluster_that_was_stopped_starts_again),
    ("purge_leaves_the_machine_as_it_was", purge_leaves_the_machine_as_it_was),
    ("purge_cleans_up_after_a_kill", purge_cleans_up_after_a_kill),
];

fn run_pods(suite: &Suite) -> Result<()> {
    // Not in a namespace that goes with the test: they must still run when the cluster ends.
    let kubectl = suite.cluster()?.kubectl()?;
    let pod = shell("remaining", &suite.image("busybox:1")?, "sleep 1000");
    kubectl.apply(&deployment("remaining", 2, &pod).to_string())?;
    kubectl.ok(&["rollout", "status", "deployment/remaining", "--timeout=60s"])?;
    Ok(())
}

fn a_cluster_that_was_stopped_starts_again(suite: &Suite) -> Result<()> {
    run_pods(suite)?;
    let cluster = suite.cluster()?;
    cluster.down(&[])?.success()?;
    let data = cluster.data_dir();
    ensure!(data.exists(), "its data stays");
    let differences = Snapshot::take()?.differences(suite.machine_before());
    ensure!(differences.is_empty(), "left behind: {differences:#?}");
    steersman(&["status", "--data-dir", &data.to_string_lossy()])?.failure()?;
    cluster.up(&[])?.success()?;
    let kubectl = cluster.kubectl()?;
    kubectl.ok(&["rollout", "status", "deployment/remaining", "--timeout=60s"])?;
    kubectl.until_field("deployment/remaining", ".status.readyReplicas", "2")
}

fn purge_leaves_the_machine_as_it_was(suite: &Suite) -> Result<()> {
    run_pods(suite)?;
    let cluster = suite.take_cluster()?;
    ensure!(
        !Snapshot::take()?.differences(suite.machine_before()).is_empty(),
        "the comparison sees a cluster"
    );
    cluster.down(&["--purge"])?.success()?;
    ensure!(!cluster.data_dir().exists(), "its data is gone");
    let differences = Snapshot::take()?.differences(suite.machine_before());
    ensure!(differences.is_empty(), "left behind: {differences:#?}");
    Ok(())
}

fn purge_cleans_up_after_a_kill(suite: &Suite) -> Result<()> {
    run_pods(suite)?;
    let cluster = suite.take_cluster()?;
    cluster.kill()?;
    cluster.down(&["--purge"])?.success()?;
    let differences = Snapshot::take()?.differences(suite.machine_before());
    ensure!(differences.is_empty(), "left behind: {differences:#?}");
    Ok(())
}
