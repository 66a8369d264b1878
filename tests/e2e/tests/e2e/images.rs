//! `steersman image`, and pods from what it brings.

use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::json;
use steersman_e2e::cluster::{Cluster, steersman};
use steersman_e2e::command;
use steersman_e2e::suite::{Suite, Test};
use steersman_e2e::wait;

use crate::manifests::{container, shell};

pub const TESTS: &[Test] = &[
    ("archives_are_imported_and_run", archives_are_imported_and_run),
    ("images_are_pulled_listed_and_removed", images_are_pulled_listed_and_removed),
];

fn image(cluster: &Cluster, arguments: &[&str]) -> Result<command::Output> {
    let data = cluster.data_dir();
    steersman(&[&["image"], arguments, &["--data-dir", &data.to_string_lossy()]].concat())
}

fn archives_are_imported_and_run(suite: &Suite) -> Result<()> {
    let (cluster, kubectl) = (suite.cluster()?, suite.namespace()?);
    let source = format!("docker://{}", suite.image("busybox:1")?);
    for kind in ["docker-archive", "oci-archive"] {
        let archive = cluster.scratch().join(format!("{kind}.tar"));
        let name = format!("example.org/{kind}:1");
        let target = format!("{kind}:{}:{}", archive.display(), name);
        let mut copy = Command::new("skopeo");
        copy.args(["copy", "--quiet", "--src-tls-verify=false", &source, &target]);
        command::run(&mut copy, b"", wait::SOON)?.success()?;
        image(&cluster, &["import", &archive.to_string_lossy()])?.success()?;
        let listed = image(&cluster, &["list"])?.success()?;
        ensure!(listed.contains(&format!("example.org/{kind}")), "{listed}");
        let mut pod = shell(kind, &name, "sleep 1000");
        container(&mut pod)["imagePullPolicy"] = json!("Never");
        kubectl.apply(&pod.to_string())?;
        kubectl.until_ready(kind)?;
    }
    let error = image(&cluster, &["import", "/no/such/archive.tar"])?.failure()?;
    ensure!(error.contains("/no/such/archive.tar"), "{error}");
    Ok(())
}

fn images_are_pulled_listed_and_removed(suite: &Suite) -> Result<()> {
    let cluster = suite.cluster()?;
    let name = suite.image("nginx:2")?;
    image(&cluster, &["pull", &name])?.success()?;
    let repository = name.trim_end_matches(":2");
    ensure!(image(&cluster, &["list"])?.success()?.contains(repository));
    image(&cluster, &["remove", &name])?.success()?;
    let lines = image(&cluster, &["list"])?.success()?;
    ensure!(!lines.lines().any(|l| l.contains(repository) && l.contains('2') && l.contains(":2")), "{lines}");
    let error = image(&cluster, &["remove", &name])?.failure()?;
    ensure!(error.contains(&name), "{error}");
    let missing = suite.image("no-such-image:1")?;
    let error = image(&cluster, &["pull", &missing])?.failure()?;
    ensure!(error.contains(&missing), "{error}");
    Ok(())
}
