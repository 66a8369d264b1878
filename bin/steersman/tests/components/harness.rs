//! Processes of the real binary on ports and in a directory of their own.

use std::fs::File;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};
use tempfile::TempDir;

/// Long enough for a build without optimizations on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A port of the loopback that nobody uses now, neither with TCP nor with UDP.
pub fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Asks until there is an answer.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {} s: {what}", PATIENCE.as_secs());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A program that has ended: how, and what it said.
pub fn finished(arguments: &[&str]) -> (ExitStatus, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_steersman")).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status, text(&output.stdout), text(&output.stderr))
}

/// A running program; it is killed when this is dropped.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    fn start(arguments: &[&str], log: PathBuf) -> Self {
        let file = File::create(&log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_steersman"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// How it ended; `None` if it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Kills it with no warning.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(mut self) -> ExitStatus {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        until("the process ends", async || self.ended()).await
    }

    /// What it has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.log.display(), self.log());
        }
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An API server, and a place for the logs of what runs against it.
pub struct Api {
    pub process: Process,
    pub port: u16,
    directory: TempDir,
}

impl Api {
    /// Starts `steersman apiserver`, or `server` with these flags; returns when it is ready.
    pub async fn start(command: &str, more: &[&str]) -> Self {
        let (directory, port) = (tempfile::tempdir().unwrap(), free_port());
        let data = directory.path().join("data");
        let port_flag = if command == "server" { "--api-port" } else { "--secure-port" };
        let mut arguments = vec![command, "--advertise-address", "192.0.2.1", "--data-dir"];
        let (data, number) = (data.to_str().unwrap(), port.to_string());
        arguments.extend([data, port_flag, &number]);
        arguments.extend(more);
        let process = Process::start(&arguments, directory.path().join("api.log"));
        let mut api = Self { process, port, directory };
        until("the API server is ready", async || {
            assert_eq!(api.process.ended(), None, "the API server has ended");
            api.process.log().contains("is ready").then_some(())
        })
        .await;
        api
    }

    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The kubeconfig of a component or the administrator.
    pub fn kubeconfig(&self, stem: &str) -> String {
        self.data_dir().join(format!("{stem}.kubeconfig")).to_str().unwrap().to_owned()
    }

    /// A client of this test with a component's kubeconfig.
    pub async fn client(&self, stem: &str) -> kube::Client {
        steersman_client::from_kubeconfig(Path::new(&self.kubeconfig(stem))).await.unwrap()
    }

    /// Starts another program, whose log is named `name`.
    pub fn run(&self, name: &str, arguments: &[&str]) -> Process {
        Process::start(arguments, self.directory.path().join(format!("{name}.log")))
    }

    /// A place for a test's file beside the data.
    pub fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    /// What a component's secure port answers to one who believes the authority of this file only.
    pub async fn ask_trusting(&self, port: u16, path: &str, authority: PathBuf) -> Result<String, String> {
        let mut config = kube::Config::new(format!("https://127.0.0.1:{port}").parse().unwrap());
        config.root_cert_file = Some(authority);
        get(config, path).await
    }

    /// What a component's secure port answers, to nobody or to the user of a kubeconfig.
    pub async fn ask(&self, port: u16, path: &str, user: Option<&str>) -> Result<String, String> {
        let url: http::Uri = format!("https://127.0.0.1:{port}").parse().unwrap();
        let mut config = match user {
            None => kube::Config::new(url.clone()),
            Some(stem) => {
                let file = Kubeconfig::read_from(self.kubeconfig(stem)).unwrap();
                kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap()
            }
        };
        config.cluster_url = url;
        config.accept_invalid_certs = true;
        get(config, path).await
    }
}

async fn get(mut config: kube::Config, path: &str) -> Result<String, String> {
    config.default_retry = false;
    let client = kube::Client::try_from(config).map_err(|error| error.to_string())?;
    let request = http::Request::get(path).body(Vec::new()).unwrap();
    client.request_text(request).await.map_err(|error| error.to_string())
}
