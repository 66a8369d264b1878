//! The two real applications of `examples/`.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use steersman_e2e::kubectl::Kubectl;
use steersman_e2e::suite::{Namespace, Suite, Test};
use steersman_e2e::wait;

pub const TESTS: &[Test] = &[
    ("a_database_keeps_its_rows", a_database_keeps_its_rows),
    ("a_rollout_fails_no_request", a_rollout_fails_no_request),
];

/// Where `examples/mysql` keeps its data.
const DATA: &str = "/var/lib/steersman-example-mysql";

/// A database with its client in a namespace; its data goes with it.
struct Database {
    kubectl: Namespace,
    manifest: String,
    data: PathBuf,
}

impl Database {
    fn start(suite: &Suite) -> Result<Self> {
        let (kubectl, registry) = (suite.namespace()?, suite.registry()?);
        // A folder that is not there yet: its type is DirectoryOrCreate.
        let data = suite.cluster()?.scratch().join("mysql");
        let manifest = registry.example("mysql/mysql.yaml")?;
        ensure!(manifest.contains(DATA), "the example has its data in {DATA}");
        let manifest = manifest.replace(DATA, &data.to_string_lossy());
        kubectl.apply(&manifest)?;
        kubectl.apply(&registry.example("mysql/client.yaml")?)?;
        kubectl.until_ready("mysql-client")?;
        kubectl.until_ready("mysql")?;
        Ok(Self { kubectl, manifest, data })
    }

    /// What a statement prints, sent by the client pod through the Service.
    fn sql(&self, statement: &str) -> Result<String> {
        let client = ["exec", "mysql-client", "--", "mariadb", "--host=mysql", "--user=root"];
        let options = ["--default-character-set=utf8mb4", "--skip-column-names", "--execute", statement];
        self.kubectl.ok(&[&client[..], &options].concat())
    }

    fn password_of_the_server(&self) -> Result<String> {
        self.kubectl.ok(&["exec", "mysql", "--", "sh", "-c", "echo \"$MYSQL_ROOT_PASSWORD\""])
    }

    fn apply_again(&self) -> Result<()> {
        self.kubectl.apply(&self.manifest)?;
        self.kubectl.until_ready("mysql")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Its pod writes there until it is gone.
        let gone = self.kubectl.ok(&["delete", "pod", "mysql", "--ignore-not-found"]);
        let removed = gone.and_then(|_| Ok(std::fs::remove_dir_all(&self.data)?));
        if let Err(error) = removed {
            eprintln!("could not remove {}: {error:#}", self.data.display());
        }
    }
}

fn a_database_keeps_its_rows(suite: &Suite) -> Result<()> {
    let database = Database::start(suite)?;
    let kubectl = &database.kubectl;
    let charset = "show variables where variable_name = 'character_set_server'";
    ensure!(database.sql(charset)? == "character_set_server\tutf8mb4\n");
    database.sql("create database shop; create table shop.tea (name varchar(20))")?;
    database.sql("insert into shop.tea values ('西湖龙井')")?;
    let rows = "select name, char_length(name) from shop.tea";
    ensure!(database.sql(rows)? == "西湖龙井\t4\n");

    kubectl.feed(&["delete", "-f", "-"], &database.manifest)?.success()?;
    kubectl.fails(&["get", "pod", "mysql"])?;
    database.apply_again()?;
    wait::until_equal("the row after the pod", &"西湖龙井\t4\n".to_owned(), || database.sql(rows))?;

    let read_only = kubectl.fails(&["exec", "mysql", "--", "touch", "/etc/mysql/conf.d/new"])?;
    ensure!(read_only.contains("Read-only file system"), "{read_only}");

    kubectl.ok(&["patch", "secret", "mysql", "-p", r#"{"stringData":{"root-password":"changed"}}"#])?;
    ensure!(database.password_of_the_server()? == "correct horse\n", "a running environment does not change");
    kubectl.ok(&["delete", "pod", "mysql"])?;
    let changed = database.manifest.replace("root-password: correct horse", "root-password: changed");
    kubectl.apply(&changed)?;
    kubectl.until_ready("mysql")?;
    ensure!(database.password_of_the_server()? == "changed\n", "a new pod sees the new Secret");
    Ok(())
}

/// How often the looping client got each line.
fn answers(kubectl: &Kubectl) -> Result<(usize, usize, usize)> {
    let log = kubectl.ok(&["logs", "nginx-client"])?;
    let count = |wanted: &str| log.lines().filter(|line| *line == wanted).count();
    let known = (count("nginx version 1"), count("nginx version 2"));
    Ok((known.0, known.1, log.lines().count() - known.0 - known.1))
}

/// Waits until the client got `more` answers beyond `from` of one version, of which none may have failed.
fn until_answered(kubectl: &Kubectl, version: usize, from: usize, more: usize) -> Result<()> {
    wait::until(&format!("{more} answers of version {version}"), wait::SOON, || {
        let (first, second, other) = answers(kubectl)?;
        let got = if version == 1 { first } else { second };
        if got < from + more {
            bail!("{first} of version 1, {second} of version 2, {other} others")
        }
        Ok(Some(()))
    })
}

fn a_rollout_fails_no_request(suite: &Suite) -> Result<()> {
    let (kubectl, registry) = (suite.namespace()?, suite.registry()?);
    let rolled = || kubectl.ok(&["rollout", "status", "deployment/nginx", "--timeout=120s"]);
    kubectl.apply(&registry.example("nginx/nginx.yaml")?)?;
    rolled()?;
    kubectl.apply(&registry.example("nginx/client.yaml")?)?;
    kubectl.until_ready("nginx-client")?;
    until_answered(&kubectl, 1, 0, 20)?;

    let image = format!("nginx={}", registry.image("nginx:2"));
    kubectl.ok(&["set", "image", "deployment/nginx", &image])?;
    rolled()?;
    until_answered(&kubectl, 2, answers(&kubectl)?.1, 20)?;
    let history = kubectl.ok(&["rollout", "history", "deployment/nginx"])?;
    ensure!(history.contains("REVISION") && history.contains("\n2 "), "{history}");
    let second = kubectl.ok(&["rollout", "history", "deployment/nginx", "--revision=2"])?;
    ensure!(second.contains("nginx:2"), "{second}");

    kubectl.ok(&["rollout", "undo", "deployment/nginx"])?;
    rolled()?;
    until_answered(&kubectl, 1, answers(&kubectl)?.0, 20)?;
    for replicas in ["10", "1"] {
        kubectl.ok(&["scale", "deployment/nginx", "--replicas", replicas])?;
        kubectl.until_field("deployment/nginx", ".status.availableReplicas", replicas)?;
        kubectl.until_field("deployment/nginx", ".status.replicas", replicas)?;
    }
    kubectl.ok(&["rollout", "restart", "deployment/nginx"])?;
    rolled()?;
    until_answered(&kubectl, 1, answers(&kubectl)?.0, 20)?;
    let (first, second, failed) = answers(&kubectl)?;
    ensure!(failed == 0, "{failed} requests failed, {} did not", first + second);
    Ok(())
}
