//! Archives, and a real registry (`docker-registry`) on the loopback. What unpacks needs root.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::secrets::RegistryAuth;
use serde_json::json;
use steersman_image::{
    Auth, Digest, ImageName, ImageStore, ImportError, Mirror, PullError, Registries, StoreError,
};

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, data) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, *data).expect("writing to memory");
    }
    builder.into_inner().expect("finished")
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).expect("compresses");
    encoder.finish().expect("finished")
}

fn config(layers: &[Vec<u8>]) -> Vec<u8> {
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": diff_ids },
        "config": { "Env": ["A=b"], "Cmd": ["/hello"], "Entrypoint": null, "User": "7" },
    });
    config.to_string().into_bytes()
}

fn two_layers() -> [Vec<u8>; 2] {
    [tar(&[("etc/os", b"base"), ("old", b"x")]), tar(&[("hello", b"hi"), (".wh.old", b"")])]
}

fn write(dir: &Path, name: &str, data: &[u8]) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, data).expect("written");
    path
}

fn store(dir: &Path) -> Arc<ImageStore> {
    Arc::new(ImageStore::open(dir.join("images")).expect("opens"))
}

#[test]
#[ignore = "needs root"]
fn a_docker_archive_is_imported_used_and_removed() {
    let dir = tempfile::tempdir().expect("a directory");
    let layers = two_layers();
    let manifest = json!([{ "Config": "config.json", "RepoTags": ["demo:1"], "Layers": ["a/layer.tar", "b/layer.tar"] }]);
    let archive = tar(&[
        ("a/layer.tar", &layers[0]),
        ("b/layer.tar", &layers[1]),
        ("config.json", &config(&layers)),
        ("manifest.json", manifest.to_string().as_bytes()),
    ]);
    let archive = write(dir.path(), "demo.tar.gz", &gzip(&archive));
    let images = store(dir.path());
    let imported = images.import(&archive, None).expect("imports");
    assert_eq!(imported[0].tags, ["docker.io/library/demo:1"]);
    assert_eq!(
        (imported[0].config.user.as_str(), &imported[0].config.cmd[..]),
        ("7", &["/hello".to_owned()][..])
    );

    let (_, rootfs) = images.prepare("demo:1", "container").expect("prepared");
    assert_eq!(fs::read(rootfs.lower[0].join("hello")).expect("the topmost layer comes first"), b"hi");
    assert_eq!(fs::read(rootfs.lower[1].join("etc/os")).expect("the base comes last"), b"base");

    drop(images);
    let images = store(dir.path());
    assert_eq!(images.list(), imported, "images are found again after a restart");
    images.remove("demo:1").expect("removed");
    assert!(images.list().is_empty());
    assert!(rootfs.lower[0].is_dir(), "a container keeps its layers");
    images.release("container").expect("released");
    assert!(!rootfs.lower[0].exists(), "nobody needs them any more");
}

#[test]
#[ignore = "needs root"]
fn an_oci_archive_is_imported_under_the_name_it_is_given() {
    let dir = tempfile::tempdir().expect("a directory");
    let layers = two_layers();
    let packed = gzip(&layers[0]);
    let config = config(&layers[..1]);
    let descriptor = |data: &[u8]| json!({ "digest": Digest::of(data), "size": data.len() });
    let manifest =
        json!({ "schemaVersion": 2, "config": descriptor(&config), "layers": [descriptor(&packed)] });
    let manifest = manifest.to_string().into_bytes();
    let index = json!({ "schemaVersion": 2, "manifests": [descriptor(&manifest)] }).to_string();
    let blob = |data: &[u8]| format!("blobs/sha256/{}", Digest::of(data).hex());
    let archive = tar(&[
        ("index.json", index.as_bytes()),
        (&blob(&packed), &packed),
        (&blob(&config), &config),
        (&blob(&manifest), &manifest),
    ]);
    let archive = write(dir.path(), "oci.tar", &archive);
    let name: ImageName = "registry.example/app:2".parse().expect("a name");
    let images = store(dir.path());
    images.import(&archive, Some(&name)).expect("imports");
    assert!(images.get("registry.example/app:2").is_some());
}

#[test]
#[ignore = "needs root"]
fn what_is_no_archive_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let images = store(dir.path());
    let other = write(dir.path(), "other.tar", &tar(&[("x", b"y")]));
    let error = images.import(&other, None).expect_err("no image");
    assert!(error.to_string().contains("neither a docker-archive"), "{error}");
    let layers = two_layers();
    let manifest = json!([{ "Config": "c", "RepoTags": null, "Layers": ["wrong.tar"] }]).to_string();
    let config = config(&layers[..1]);
    let wrong = tar(&[("c", &config), ("manifest.json", manifest.as_bytes()), ("wrong.tar", &layers[1])]);
    let error = images.import(&write(dir.path(), "wrong.tar", &wrong), None).expect_err("another layer");
    assert!(matches!(error, ImportError::Store(StoreError::LayerMismatch { .. })), "{error:?}");
    assert!(images.list().is_empty());
    assert_eq!(
        fs::read_dir(images.root().join("layers")).expect("readable").count(),
        0,
        "nothing half done stays"
    );
}

/// `docker-registry` on a free port; user `me`, password `secret` where it wants one.
struct Registry {
    process: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Registry {
    fn start(with_password: bool) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let mut config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"127.0.0.1:{port}\"}}\n",
            dir.path().display()
        );
        if with_password {
            // bcrypt of "secret"
            let line = b"me:$2b$05$y3izh5i8o4qQyO4M0S/hq.chteTLSeDh569Rc79UwDqiDxyMHlp7O\n";
            let users = write(dir.path(), "users", line);
            config += &format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", users.display());
        }
        let config = write(dir.path(), "config.yml", config.as_bytes());
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Debian's docker-registry is installed");
        let registry = Self { process, port, _dir: dir };
        registry.wait();
        registry
    }

    fn wait(&self) {
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(std::time::Instant::now() < deadline, "the registry does not listen");
            std::thread::yield_now();
        }
    }

    fn name(&self, image: &str) -> ImageName {
        format!("127.0.0.1:{}/{image}", self.port).parse().expect("a name")
    }

    async fn push(&self, name: &ImageName, layers: &[Vec<u8>], auth: &RegistryAuth) {
        let client = oci_client::Client::new(ClientConfig {
            protocol: ClientProtocol::Http,
            ..ClientConfig::default()
        });
        let packed: Vec<ImageLayer> = layers.iter().map(|l| ImageLayer::oci_v1_gzip(gzip(l), None)).collect();
        let reference = name.to_string().parse().expect("a name");
        client
            .push(&reference, &packed, Config::oci_v1(config(layers), None), auth, None)
            .await
            .expect("pushed");
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It is a test's child; a failure to end it shows in the wait.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root"]
async fn an_image_is_pulled_from_a_registry() {
    let (dir, registry) = (tempfile::tempdir().expect("a directory"), Registry::start(false));
    let (name, images) = (registry.name("team/app:1"), store(dir.path()));
    registry.push(&name, &two_layers(), &RegistryAuth::Anonymous).await;
    let plain = Registries::default();
    let image = images.pull(&name, Auth::Anonymous, &plain).await.expect("pulled");
    assert_eq!((image.tags.len(), image.layers.len()), (1, 2));
    let again = images.pull(&name, Auth::Anonymous, &plain).await.expect("pulled again");
    assert_eq!(image, again);
    let pinned = image.digests[0].clone();
    assert!(images.get(&pinned).is_some(), "it is found by its digest");
    assert_eq!(fs::read_dir(images.root().join("downloads")).expect("readable").count(), 0);

    let missing = images.pull(&registry.name("team/none:1"), Auth::Anonymous, &plain).await;
    assert!(matches!(missing, Err(PullError::NotFound { .. })), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root"]
async fn mirrors_are_asked_before_the_registry() {
    let (dir, registry) = (tempfile::tempdir().expect("a directory"), Registry::start(false));
    let (here, images) = (registry.name("team/app:1"), store(dir.path()));
    registry.push(&here, &two_layers(), &RegistryAuth::Anonymous).await;
    let mirror = |host: &str| Mirror { registry: "registry.invalid".to_owned(), host: host.to_owned() };
    let registries =
        Registries { mirrors: vec![mirror("127.0.0.1:9"), mirror(here.registry())], ..Registries::default() };
    let name: ImageName = "registry.invalid/team/app:1".parse().expect("a name");
    let image =
        images.pull(&name, Auth::Anonymous, &registries).await.expect("pulled from the second mirror");
    assert_eq!(image.tags, ["registry.invalid/team/app:1"]);

    let none: ImageName = "registry.invalid/team/none:1".parse().expect("a name");
    let error = images.pull(&none, Auth::Anonymous, &registries).await.expect_err("nobody has it");
    assert!(error.is_transient(), "the registry's own answer counts: {error:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root"]
async fn a_download_goes_on_where_it_broke_off() {
    let (dir, registry) = (tempfile::tempdir().expect("a directory"), Registry::start(false));
    let (name, images) = (registry.name("app:1"), store(dir.path()));
    let layer = tar(&[("noise", &(0..200_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>())]);
    registry.push(&name, std::slice::from_ref(&layer), &RegistryAuth::Anonymous).await;
    let packed = gzip(&layer);
    let part = images.root().join("downloads").join(Digest::of(&packed).hex());
    fs::write(&part, &packed[..packed.len() / 2]).expect("written");
    images.pull(&name, Auth::Anonymous, &Registries::default()).await.expect("resumed");

    images.remove(&name.to_string()).expect("removed");
    fs::write(&part, vec![0; packed.len() / 2]).expect("written");
    images.pull(&name, Auth::Anonymous, &Registries::default()).await.expect("a bad half is thrown away");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root"]
async fn a_private_registry_wants_the_password() {
    let (dir, registry) = (tempfile::tempdir().expect("a directory"), Registry::start(true));
    let (name, images) = (registry.name("app:1"), store(dir.path()));
    let auth = RegistryAuth::Basic("me".to_owned(), "secret".to_owned());
    registry.push(&name, &two_layers()[..1], &auth).await;
    let denied = images.pull(&name, Auth::Anonymous, &Registries::default()).await;
    assert!(matches!(denied, Err(PullError::Unauthorized { .. })), "{denied:?}");
    let auth = Auth::Basic("me".to_owned(), "secret".to_owned());
    images.pull(&name, auth.clone(), &Registries::default()).await.expect("pulled");
    assert!(!format!("{auth:?}").contains("secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_not_there_is_a_transient_failure() {
    let dir = tempfile::tempdir().expect("a directory");
    let name: ImageName = "127.0.0.1:9/app:1".parse().expect("a name");
    let error =
        store(dir.path()).pull(&name, Auth::Anonymous, &Registries::default()).await.expect_err("refused");
    assert!(error.is_transient(), "{error:?}");
}
