//! Programs that run: to their end with a deadline, or beside the test.

use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::wait;

/// What a program left behind.
#[derive(Debug)]
pub struct Output {
    /// The command line, for messages.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// The output of a program that went well; the error shows what a failed one printed.
    pub fn success(self) -> Result<String> {
        if !self.status.success() {
            bail!("`{}` failed ({}): {}{}", self.command, self.status, self.stderr, self.stdout);
        }
        Ok(self.stdout)
    }

    /// What a program that failed printed as its errors; fails if it went well.
    pub fn failure(self) -> Result<String> {
        if self.status.success() {
            bail!("`{}` should have failed; it printed: {}{}", self.command, self.stdout, self.stderr);
        }
        Ok(self.stderr)
    }
}

/// Runs a program to its end. After `timeout` it is killed, which is an error that shows what it had printed.
pub fn run(command: &mut Command, input: &[u8], timeout: Duration) -> Result<Output> {
    let mut running = Running::spawn(command)?;
    running.write(input)?;
    running.close_input();
    let deadline = Instant::now() + timeout;
    let status = loop {
        if let Some(status) = running.child.try_wait()? {
            break status;
        }
        if Instant::now() >= deadline {
            running.end();
            let (out, err) = (running.stdout(), running.stderr());
            bail!("`{}` did not end within {} s: {out}{err}", running.command, timeout.as_secs());
        }
        running.nap();
    };
    running.join_readers();
    let (stdout, stderr) = (running.stdout(), running.stderr());
    Ok(Output { command: running.command.clone(), status, stdout, stderr })
}

/// A program that runs beside the test. Dropping it kills it.
pub struct Running {
    child: Child,
    command: String,
    stdout: Arc<Mutex<Vec<u8>>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Running {
    /// Starts it with its input open.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        let line = line(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("could not run `{line}`"))?;
        let (stdout, stderr) = (Arc::default(), Arc::default());
        let out = child.stdout.take().expect("it was piped");
        let err = child.stderr.take().expect("it was piped");
        let readers = vec![collect(out, &stdout), collect(err, &stderr)];
        Ok(Self { child, command: line, stdout, stderr, readers })
    }

    /// Writes to its input; a program that does not read is not waited for.
    pub fn write(&mut self, input: &[u8]) -> Result<()> {
        let Some(pipe) = &mut self.child.stdin else { bail!("the input of `{}` is closed", self.command) };
        match pipe.write_all(input).and_then(|()| pipe.flush()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Ends its input.
    pub fn close_input(&mut self) {
        drop(self.child.stdin.take());
    }

    /// What it has printed so far.
    pub fn stdout(&self) -> String {
        text(&self.stdout)
    }

    /// What it has printed as errors so far.
    pub fn stderr(&self) -> String {
        text(&self.stderr)
    }

    /// Waits until its output has `wanted`.
    pub fn wait_for(&mut self, wanted: &str) -> Result<()> {
        let what = format!("`{}` prints {wanted:?}", self.command);
        let seen = wait::until(&what, wait::SOON, || {
            let ended = self.child.try_wait()?;
            let (out, err) = (self.stdout(), self.stderr());
            match ended {
                _ if out.contains(wanted) => Ok(Some(Ok(()))),
                Some(status) => Ok(Some(Err(anyhow!("{what}: it ended ({status}) after: {out}{err}")))),
                None => bail!("it printed: {out}{err}"),
            }
        });
        seen?
    }

    /// Waits until it has ended.
    pub fn wait_end(&mut self) -> Result<ExitStatus> {
        let what = format!("`{}` ends", self.command);
        let status = wait::until(&what, wait::SOON, || Ok(self.child.try_wait()?))?;
        self.join_readers();
        Ok(status)
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal by name or number.
    pub fn signal(&self, signal: &str) -> Result<()> {
        signal_process(self.id(), signal)
    }

    /// Kills it and waits for its end.
    pub fn end(&mut self) {
        // An error says that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.join_readers();
    }

    /// Short at first: most programs end at once.
    fn nap(&self) {
        wait::pause_for(Duration::from_millis(5));
    }

    fn join_readers(&mut self) {
        for reader in self.readers.drain(..) {
            reader.join().expect("a reader does not panic");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// Sends a process a signal by name or number.
pub fn signal_process(pid: u32, signal: &str) -> Result<()> {
    let mut kill = Command::new("kill");
    kill.arg(format!("-{signal}")).arg(pid.to_string());
    run(&mut kill, b"", wait::SOON)?.success().map(drop)
}

/// Reads to the end in a thread of its own, which ends with the program.
fn collect(mut from: impl Read + Send + 'static, into: &Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    let into = into.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(size @ 1..) = from.read(&mut buffer) {
            into.lock().expect("no holder panics").extend_from_slice(&buffer[..size]);
        }
    })
}

fn text(bytes: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&bytes.lock().expect("no holder panics")).into_owned()
}

fn line(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|w| w.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_run_to_their_end_or_their_deadline() {
        let shell = |script: &str, input: &[u8], seconds| {
            run(Command::new("sh").args(["-c", script]), input, Duration::from_secs(seconds))
        };
        assert_eq!(shell("cat", b"in", 60).unwrap().success().unwrap(), "in");
        assert_eq!(shell("echo bad >&2; exit 3", b"", 60).unwrap().failure().unwrap(), "bad\n");
        assert!(shell("exit 3", b"", 60).unwrap().success().is_err());
        assert!(shell("true", &[b'x'; 1 << 20], 60).unwrap().failure().is_err());
        let late = shell("echo begun; exec sleep 1000", b"", 1).unwrap_err().to_string();
        assert!(late.contains("did not end") && late.contains("begun"), "{late}");
    }
}
