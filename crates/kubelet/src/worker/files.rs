//! Small files of a pod: last words of containers, `/etc/hosts`. Blocks on the file system.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::logs::line::content;
use crate::view::Container;

/// Longest termination message, bytes.
const MAX_MESSAGE: u64 = 4096;
/// How much of the log stands in for a missing message.
const LOG_LINES: usize = 80;
const LOG_BYTES: u64 = 2048;

/// The termination message of a container that has ended. `None` when its file is gone.
pub(super) fn last_words(container: &Container) -> Option<String> {
    let written = match container.message_path.as_str() {
        "" => Some(String::new()),
        path => read_start(Path::new(path)),
    };
    match written {
        Some(text) if text.is_empty() && container.message_from_log && container.exit_code != 0 => {
            Some(log_tail(Path::new(&container.log_path)).unwrap_or_default())
        }
        // The runtime's own message stands when the container said nothing.
        Some(text) if text.is_empty() => Some(container.message.clone()),
        written => written,
    }
}

fn read_start(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_MESSAGE).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn log_tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    // Each line carries some forty bytes of time and stream beside its content.
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES * 8)))?;
    let mut text = String::new();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let all = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = all.lines().collect();
    for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
        if let Some((content, whole)) = content(line) {
            text.push_str(content);
            if whole {
                text.push('\n');
            }
        }
    }
    let limit = usize::try_from(LOG_BYTES).unwrap_or(usize::MAX);
    let mut from = text.len().saturating_sub(limit);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    Ok(text.split_off(from))
}

/// Makes the file that a container writes its last words into; anyone may write to it.
pub(super) fn make_message_file(pod_dir: &Path, container: &str) -> io::Result<PathBuf> {
    let dir = pod_dir.join("containers").join(container);
    fs::create_dir_all(&dir)?;
    let path = dir.join(format!("{:08x}", rand::random::<u32>()));
    File::create_new(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
    Ok(path)
}

/// Writes the pod's `/etc/hosts`, in place, since containers have the file itself mounted.
pub(super) fn write_hosts(pod_dir: &Path, text: &str) -> io::Result<PathBuf> {
    fs::create_dir_all(pod_dir)?;
    let path = pod_dir.join("etc-hosts");
    if fs::read_to_string(&path).is_ok_and(|old| old == text) {
        return Ok(path);
    }
    fs::write(&path, text)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{container, pod};
    use crate::view::State;

    #[test]
    fn last_words_come_from_the_file_or_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let p = pod(serde_json::json!({ "containers": [{ "name": "a" }] }));
        let mut c = container(&p, "a", 0, State::Exited, 1);
        c.message_path = make_message_file(dir.path(), "a").unwrap().to_string_lossy().into_owned();
        c.log_path = dir.path().join("0.log").to_string_lossy().into_owned();
        let log = "2026-01-01T00:00:00Z stdout F first\n2026-01-01T00:00:00Z stderr P sec\n2026-01-01T00:00:00Z stderr F ond\n";
        fs::write(&c.log_path, log).unwrap();
        assert_eq!(last_words(&c).as_deref(), Some(""));
        c.message_from_log = true;
        assert_eq!(last_words(&c).as_deref(), Some("first\nsecond\n"));
        fs::write(&c.message_path, "boom").unwrap();
        assert_eq!(last_words(&c).as_deref(), Some("boom"));
        fs::remove_file(&c.message_path).unwrap();
        assert_eq!(last_words(&c), None);
    }
}
