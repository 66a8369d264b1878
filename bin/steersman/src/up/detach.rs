//! Starts the cluster in the background: the same program again, in a session of its own, with its output in a log.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::data_dir::DataDir;
use crate::progress::READY;

/// A start that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How often the log is looked at while the cluster starts.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Starts it, shows its progress, and returns when it is ready; an error says what it printed last.
pub fn start(data_dir: &DataDir) -> Result<()> {
    // Taken and given back at once: a running cluster is an error here, not in the log.
    drop(data_dir.lock()?);
    let path = data_dir.log();
    let open = || OpenOptions::new().create(true).append(true).open(&path);
    let log = open().with_context(|| format!("could not open the log {}", path.display()))?;
    let begin = log.metadata().map(|known| known.len()).unwrap_or(0);
    let arguments = std::env::args_os().skip(1).filter(|argument| argument != "--detach");
    let mut child = Command::new("/proc/self/exe")
        .arg0("steersman")
        .args(arguments)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("could not duplicate the log's descriptor")?)
        .stderr(log)
        .spawn()
        .context("could not start the background process")?;
    follow(&mut child, &path, begin)
}

/// Prints what the child prints until it is ready or has ended.
fn follow(child: &mut Child, path: &std::path::Path, begin: u64) -> Result<()> {
    use std::io::{Seek, SeekFrom};
    let mut file = File::open(path).with_context(|| format!("could not read the log {}", path.display()))?;
    file.seek(SeekFrom::Start(begin))?;
    let (mut lines, deadline) = (BufReader::new(file), Instant::now() + TIMEOUT);
    let (mut line, mut ready) = (String::new(), false);
    while Instant::now() < deadline {
        let ended = child.try_wait().context("could not watch the background process")?;
        while lines.read_line(&mut line)? > 0 && line.ends_with('\n') {
            print!("{line}");
            ready |= line.starts_with(READY);
            line.clear();
        }
        if let Some(status) = ended {
            bail!("the cluster did not start ({status}); its log is {}", path.display());
        }
        // The lines after the first ready one come at once with it.
        if ready {
            return Ok(());
        }
        pause();
    }
    bail!("the cluster is not ready after {} s; its log is {}", TIMEOUT.as_secs(), path.display())
}

#[expect(clippy::disallowed_methods, reason = "another process's file can only be looked at again")]
fn pause() {
    std::thread::sleep(LOOK_EVERY);
}
