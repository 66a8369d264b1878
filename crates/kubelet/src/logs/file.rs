//! Lines of a growing file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::select::Selector;

const BLOCK: usize = 64 * 1024;

/// A log file and how far it has been read. Blocks on the file system.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: File,
    /// The beginning of a line whose end is not written yet.
    rest: Vec<u8>,
}

impl LogFile {
    /// Opens a log at its beginning, or so many lines before its end.
    pub fn open(path: &Path, tail_lines: Option<usize>) -> io::Result<Self> {
        let mut file = File::open(path)?;
        if let Some(lines) = tail_lines {
            let from = tail_start(&mut file, lines)?;
            file.seek(SeekFrom::Start(from))?;
        }
        Ok(Self { path: path.to_owned(), file, rest: Vec::new() })
    }

    /// Reads some more whole lines through `selector`; nothing comes at the end of what is written.
    pub fn read(&mut self, selector: &mut Selector) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut block = vec![0; BLOCK];
        while out.is_empty() && !selector.is_done() {
            let read = self.file.read(&mut block)?;
            if read == 0 {
                break;
            }
            self.rest.extend_from_slice(&block[..read]);
            let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { continue };
            for line in self.rest[..=end].split_inclusive(|byte| *byte == b'\n') {
                selector.push(line, &mut out);
                if selector.is_done() {
                    break;
                }
            }
            self.rest.drain(..=end);
        }
        Ok(out)
    }

    /// Goes on with the new file when this one was rotated away; true if there is one.
    pub fn reopen_if_rotated(&mut self) -> io::Result<bool> {
        let own = self.file.metadata()?;
        let current = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened?,
        };
        let meta = current.metadata()?;
        if (meta.dev(), meta.ino()) == (own.dev(), own.ino()) {
            return Ok(false);
        }
        self.file = current;
        self.rest.clear();
        Ok(true)
    }
}

/// Where the last `lines` lines begin.
fn tail_start(file: &mut File, lines: usize) -> io::Result<u64> {
    let mut end = file.seek(SeekFrom::End(0))?;
    if lines == 0 {
        return Ok(end);
    }
    let whole = end;
    let mut found = 0;
    let mut block = vec![0; BLOCK];
    while end > 0 {
        let start = end.saturating_sub(BLOCK as u64);
        let size = usize::try_from(end - start).unwrap_or(BLOCK);
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut block[..size])?;
        for at in (0..size).rev() {
            // The newline at the very end closes the last line and begins none.
            if block[at] == b'\n' && start + at as u64 + 1 != whole {
                found += 1;
                if found == lines {
                    return Ok(start + at as u64 + 1);
                }
            }
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::select::Options;
    use std::fs;
    use std::io::Write;

    fn line(text: &str) -> String {
        format!("2026-01-01T00:00:01Z stdout F {text}\n")
    }

    fn read_all(file: &mut LogFile) -> String {
        let mut selector = Selector::new(Options::default());
        let mut out = Vec::new();
        loop {
            let more = file.read(&mut selector).unwrap();
            if more.is_empty() {
                return String::from_utf8(out).unwrap();
            }
            out.extend(more);
        }
    }

    #[test]
    fn the_tail_is_found_across_blocks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let text: String = (0..10_000).map(|n| line(&n.to_string())).collect();
        fs::write(&path, text).unwrap();
        for lines in [0, 1, 3, 5000, 10_000, 20_000] {
            let mut file = LogFile::open(&path, Some(lines)).unwrap();
            let want: String =
                (10_000_usize.saturating_sub(lines)..10_000).map(|n| format!("{n}\n")).collect();
            assert_eq!(read_all(&mut file), want, "{lines}");
        }
    }

    #[test]
    fn half_a_line_waits_for_its_end_and_rotation_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let (head, tail) = ("2026-01-01T00:00:01Z stdout F he", "llo\n");
        fs::write(&path, head).unwrap();
        let mut file = LogFile::open(&path, None).unwrap();
        assert_eq!(read_all(&mut file), "");
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(tail.as_bytes()).unwrap();
        assert_eq!(read_all(&mut file), "hello\n");
        assert!(!file.reopen_if_rotated().unwrap());
        fs::rename(&path, dir.path().join("0.log.1")).unwrap();
        assert!(!file.reopen_if_rotated().unwrap());
        fs::write(&path, line("new")).unwrap();
        assert!(file.reopen_if_rotated().unwrap());
        assert_eq!(read_all(&mut file), "new\n");
    }
}
