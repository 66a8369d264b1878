//! Follows a log: wakes when the file grows or is rotated (inotify), and ends when the container has ended and all
//! is read.

use std::future::Future;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};

use super::file::LogFile;
use super::select::{Options, Selector};

/// Reads the log at `path` into `out` until its end; with `follow`, until `is_running` says no and nothing is left.
/// `changes` tells that some container changed. A reader that went away ends it.
pub async fn stream<F, R>(
    path: PathBuf,
    options: Options,
    out: mpsc::Sender<Bytes>,
    mut changes: watch::Receiver<u64>,
    is_running: F,
) -> io::Result<()>
where
    F: Fn() -> R,
    R: Future<Output = bool>,
{
    let follow = options.follow;
    // Watched before the first read, so that nothing written between is missed.
    let watcher = if follow { Some(Watcher::new(&path)?) } else { None };
    let (tail, opened) = (options.tail_lines, path.clone());
    let mut file = blocking(move || LogFile::open(&opened, tail)).await?;
    let mut selector = Selector::new(options);
    let mut running = true;
    loop {
        let text;
        (file, selector, text) = blocking(move || {
            let text = file.read(&mut selector)?;
            Ok((file, selector, text))
        })
        .await?;
        if !text.is_empty() {
            if out.send(text.into()).await.is_err() {
                return Ok(());
            }
            continue;
        }
        if selector.is_done() {
            return Ok(());
        }
        let Some(watcher) = &watcher else { return Ok(()) };
        let rotated;
        (file, rotated) = blocking(move || {
            let rotated = file.reopen_if_rotated()?;
            Ok((file, rotated))
        })
        .await?;
        if rotated {
            continue;
        }
        // One more round after the end: its last lines may have come in between.
        if !running {
            return Ok(());
        }
        changes.mark_unchanged();
        running = is_running().await;
        if running {
            tokio::select! {
                () = out.closed() => return Ok(()),
                woken = watcher.wait() => woken?,
                changed = changes.changed() => if changed.is_err() { return Ok(()) },
            }
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Wakes on changes of a file and on a new file in its place.
struct Watcher(AsyncFd<Handle>);

struct Handle(Inotify);

impl AsRawFd for Handle {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Watcher {
    // The successor asks for a promise in an unsafe block that the descriptor lives as long as the registration;
    // `Handle` owns its descriptor, which keeps that promise.
    #[expect(deprecated)]
    fn new(path: &Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        inotify.add_watch(path, AddWatchFlags::IN_MODIFY)?;
        if let Some(dir) = path.parent() {
            let flags = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_MODIFY;
            inotify.add_watch(dir, flags)?;
        }
        Ok(Self(AsyncFd::new(Handle(inotify))?))
    }

    async fn wait(&self) -> io::Result<()> {
        let mut ready = self.0.readable().await?;
        loop {
            match self.0.get_ref().0.read_events() {
                Ok(_) => {}
                Err(Errno::EAGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        ready.clear_ready();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn append(path: &Path, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "2026-01-01T00:00:01Z stdout F {text}").unwrap();
    }

    #[tokio::test]
    async fn a_reader_gets_every_line_as_it_is_written_and_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        append(&path, "one");
        let running = Arc::new(AtomicBool::new(true));
        let (changed, changes) = watch::channel(0);
        let (sender, mut lines) = mpsc::channel(4);
        let options = Options { follow: true, ..Options::default() };
        let state = running.clone();
        let is_running = move || std::future::ready(state.load(Ordering::SeqCst));
        let task = tokio::spawn(stream(path.clone(), options, sender, changes, is_running));
        assert_eq!(lines.recv().await.unwrap(), "one\n");
        append(&path, "two");
        assert_eq!(lines.recv().await.unwrap(), "two\n");
        std::fs::rename(&path, dir.path().join("0.log.old")).unwrap();
        append(&path, "three");
        assert_eq!(lines.recv().await.unwrap(), "three\n");
        running.store(false, Ordering::SeqCst);
        changed.send_modify(|count| *count += 1);
        assert_eq!(lines.recv().await, None);
        task.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_ends_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        append(&path, "one");
        let (_changed, changes) = watch::channel(0);
        let (sender, mut lines) = mpsc::channel(4);
        let options = Options { follow: true, ..Options::default() };
        let task = tokio::spawn(stream(path, options, sender, changes, || std::future::ready(true)));
        assert_eq!(lines.recv().await.unwrap(), "one\n");
        drop(lines);
        task.await.unwrap().unwrap();
    }
}
