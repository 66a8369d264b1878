//! Keeps the logs of running containers from filling the disk: one that has grown too large is renamed, the runtime
//! opens a new one, older ones are compressed, and the oldest are removed.
//!
//! Finding what has grown costs a look at the directory, nothing more; the runtime is asked only about those files.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::shared::Shared;
use crate::view::State;

/// Time of rotation in the name of a file, as `0.log.20260131-170000`; names sort by age.
const STAMP: &str = "%Y%m%d-%H%M%S";

/// Looks after all logs until `stop`.
pub async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut rounds = tokio::time::interval(shared.config.container_log_monitor_interval);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = rounds.tick() => {}
        }
        let (dir, limit) = (shared.config.logs_dir.clone(), shared.config.container_log_max_size);
        let large = tokio::task::spawn_blocking(move || larger_than(&dir, limit)).await.unwrap_or_default();
        for log in large {
            if let Err(error) = rotate_if_running(&shared, &log).await {
                tracing::warn!(log = %log.display(), %error, "container log not rotated, trying again");
            }
        }
    }
}

/// The current logs below `<dir>/<pod>/<container>/` that have more than `limit` bytes.
fn larger_than(dir: &Path, limit: u64) -> Vec<PathBuf> {
    let below = |dir: PathBuf| fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let logs = below(dir.to_owned()).flat_map(below).flat_map(below);
    logs.filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .filter(|path| fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() > limit))
        .collect()
}

/// A container that has ended writes no more, and its log is kept whole for those who ask why.
async fn rotate_if_running(shared: &Shared, log: &Path) -> io::Result<()> {
    let Some(uid) = pod_uid(log) else { return Ok(()) };
    let view = shared.runtime.pod_view(uid).await.map_err(io::Error::other)?;
    let wanted = log.to_string_lossy();
    let running = view.containers.iter().find(|c| c.state == State::Running && c.log_path == wanted);
    let Some(container) = running else { return Ok(()) };
    let (path, files) = (log.to_owned(), shared.config.container_log_max_files);
    let stamp = jiff::Timestamp::now().strftime(STAMP).to_string();
    let rotated = blocking(move || rotate(&path, &stamp, files)).await?;
    match shared.runtime.reopen_log(&container.id).await {
        Ok(()) => Ok(()),
        Err(status) => {
            // The container still writes to the renamed file; under its old name readers find it.
            fs::rename(rotated, log)?;
            Err(io::Error::other(status))
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// From `<namespace>_<pod>_<uid>/<container>/<attempt>.log`.
fn pod_uid(log: &Path) -> Option<&str> {
    let pod = log.parent()?.parent()?.file_name()?.to_str()?;
    pod.rsplit_once('_').map(|(_, uid)| uid)
}

/// Makes room so that at most `files` remain with the current one and this, compresses the older ones, and renames
/// the log; gives its new name.
fn rotate(log: &Path, stamp: &str, files: usize) -> io::Result<PathBuf> {
    let mut older = rotated(log)?;
    let excess = older.len().saturating_sub(files.saturating_sub(2));
    for path in older.drain(..excess) {
        fs::remove_file(path)?;
    }
    for path in older.iter().filter(|path| path.extension().is_none_or(|extension| extension != "gz")) {
        compress(path)?;
    }
    let target = with_suffix(log, stamp);
    fs::rename(log, &target)?;
    Ok(target)
}

/// The logs that were renamed before, oldest first. What a crash left half done is removed.
pub(crate) fn rotated(log: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(dir), Some(name)) = (log.parent(), log.file_name().and_then(|name| name.to_str())) else {
        return Ok(Vec::new());
    };
    let prefix = format!("{name}.");
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let Some(rest) = path.file_name().and_then(|name| name.to_str()?.strip_prefix(&prefix)) else {
            continue;
        };
        if rest.ends_with(".tmp") {
            fs::remove_file(path)?;
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn compress(path: &Path) -> io::Result<()> {
    let (fresh, done) = (with_suffix(path, "tmp"), with_suffix(path, "gz"));
    let mut encoder = GzEncoder::new(File::create(&fresh)?, Compression::default());
    io::copy(&mut File::open(path)?, &mut encoder)?;
    encoder.finish()?;
    fs::rename(fresh, done)?;
    fs::remove_file(path)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_newest_stays_readable_older_ones_are_compressed_and_the_oldest_go() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("0.log");
        for stamp in ["1", "2", "3", "4", "5"] {
            fs::write(&log, format!("text {stamp}")).unwrap();
            rotate(&log, stamp, 4).unwrap();
        }
        fs::write(&log, "now").unwrap();
        assert_eq!(names(dir.path()), ["0.log", "0.log.3.gz", "0.log.4.gz", "0.log.5"]);
        let mut text = String::new();
        let packed = File::open(dir.path().join("0.log.4.gz")).unwrap();
        flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
        assert_eq!(text, "text 4");
    }

    #[test]
    fn only_large_current_logs_are_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let container = dir.path().join("ns_p_u1/a");
        fs::create_dir_all(&container).unwrap();
        fs::write(container.join("0.log"), "0123456789").unwrap();
        fs::write(container.join("0.log.20260101-000000"), "0123456789").unwrap();
        fs::write(container.join("1.log"), "01").unwrap();
        let large = larger_than(dir.path(), 5);
        assert_eq!(large, [container.join("0.log")]);
        assert_eq!(pod_uid(&large[0]), Some("u1"));
    }
}
