//! Starts that go wrong: each error names the cause and the fix.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Result, ensure};
use steersman_e2e::cluster::{Cluster, program, steersman};
use steersman_e2e::machine::Snapshot;
use steersman_e2e::suite::{Suite, Test};
use steersman_e2e::{command, wait};

pub const TESTS: &[Test] = &[
    ("version_and_usage_are_printed", version_and_usage_are_printed),
    ("without_root_the_error_says_so", without_root_the_error_says_so),
    ("a_read_only_data_dir_is_named", a_read_only_data_dir_is_named),
    ("a_taken_port_is_named", a_taken_port_is_named),
    ("a_corrupt_store_is_named", a_corrupt_store_is_named),
    ("a_cluster_runs_once", a_cluster_runs_once),
];

/// Runs `up` where it must fail; the error has all of `wanted`, and nothing is left behind.
fn fails_to_start(suite: &Suite, cluster: &Cluster, wanted: &[&str]) -> Result<()> {
    let error = cluster.up(&[])?;
    ensure!(!error.status.success(), "it started: {}", error.stdout);
    let text = error.stdout + &error.stderr;
    for wanted in wanted {
        ensure!(text.contains(wanted), "no {wanted:?} in: {text}");
    }
    cluster.down(&[])?.success()?;
    nothing_left(suite)
}

fn nothing_left(suite: &Suite) -> Result<()> {
    let differences = Snapshot::take()?.differences(suite.machine_before());
    ensure!(differences.is_empty(), "left behind: {differences:#?}");
    Ok(())
}

fn version_and_usage_are_printed(_: &Suite) -> Result<()> {
    let version = steersman(&["version"])?.success()?;
    ensure!(version.contains("1.37"), "{version}");
    let help = steersman(&["--help"])?.success()?;
    for name in ["up", "down", "status", "image", "version"] {
        ensure!(help.contains(&format!("  {name} ")), "no {name} in: {help}");
    }
    let image = steersman(&["image", "--help"])?.success()?;
    for name in ["import", "pull", "list", "remove"] {
        ensure!(image.contains(&format!("  {name} ")), "no {name} in: {image}");
    }
    steersman(&["no-such-command"])?.failure()?;
    Ok(())
}

fn without_root_the_error_says_so(_: &Suite) -> Result<()> {
    const NOBODY: u32 = 65534;
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("steersman"); // the original may be where nobody may look
    fs::copy(program()?, &copy)?;
    make_readable(folder.path())?;
    let mut up = Command::new(&copy);
    up.args(["up", "--detach", "--data-dir", "/tmp/steersman-e2e-nobody"]).uid(NOBODY).gid(NOBODY);
    let error = command::run(up.current_dir("/"), b"", wait::SOON)?.failure()?;
    ensure!(error.contains("root") && error.contains("sudo"), "{error}");
    Ok(())
}

fn make_readable(path: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

fn a_read_only_data_dir_is_named(suite: &Suite) -> Result<()> {
    let cluster = Cluster::new()?;
    let place = cluster.data_dir();
    fs::create_dir(&place)?;
    let shown = place.display().to_string();
    let mount = |arguments: &[&str]| command::run(Command::new("mount").args(arguments), b"", wait::SOON);
    mount(&["-t", "tmpfs", "-o", "ro", "none", &shown])?.success()?;
    let failed = cluster.up(&[]);
    command::run(Command::new("umount").arg(&shown), b"", wait::SOON)?.success()?;
    let text = failed?.failure()?;
    ensure!(text.contains(&shown) && text.contains("--data-dir"), "{text}");
    ensure!(text.contains("ead-only"), "the cause is not in: {text}");
    nothing_left(suite)
}

fn a_taken_port_is_named(suite: &Suite) -> Result<()> {
    let cluster = Cluster::new()?;
    let _holder = TcpListener::bind(("127.0.0.1", cluster.port()))?;
    fails_to_start(suite, &cluster, &[&cluster.port().to_string(), "--api-port", "in use"])
}

/// Damage in the middle of the store is refused, with what to do; a torn end, as a crash leaves it, is not.
fn a_corrupt_store_is_named(suite: &Suite) -> Result<()> {
    let cluster = Cluster::start()?;
    cluster.kubectl()?.ok(&["create", "configmap", "kept", "--from-literal=a=b"])?;
    cluster.down(&[])?.success()?;
    let store = cluster.data_dir().join("store");
    let segments = fs::read_dir(&store)?.filter_map(|e| Some(e.ok()?.path()));
    let segment = segments.filter(|p| p.is_file()).max_by_key(|p| fs::metadata(p).map_or(0, |m| m.len()));
    let segment = segment.ok_or_else(|| anyhow::anyhow!("the store has no files"))?;
    let healthy = fs::read(&segment)?;
    let mut damaged = healthy.clone();
    // Well inside what was written first.
    damaged[4096..4128].fill(0xa5);
    fs::write(&segment, &damaged)?;
    fails_to_start(suite, &cluster, &[&store.display().to_string()])?;
    fs::write(&segment, &healthy)?;
    cluster.up(&[])?.success()?;
    cluster.kubectl()?.ok(&["get", "configmap", "kept"])?;
    Ok(())
}

fn a_cluster_runs_once(suite: &Suite) -> Result<()> {
    let cluster = suite.cluster()?;
    let error = cluster.up(&[])?.failure()?;
    ensure!(error.contains("running already") && error.contains("steersman down"), "{error}");
    let data = cluster.data_dir();
    let status = steersman(&["status", "--data-dir", &data.to_string_lossy()])?.success()?;
    ensure!(status.contains("Ready") || status.contains("ready"), "{status}");
    Ok(())
}
