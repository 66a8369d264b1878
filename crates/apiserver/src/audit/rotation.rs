//! A log file that is put aside when it is full, named by the time of that (`audit-2026-01-02T15-04-05.000.log`), until
//! it is too old or there are too many.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

/// When a file is put aside, and when what was put aside is removed.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// Days; 0 for never.
    pub max_age_days: u32,
    /// Number of old files; 0 for all.
    pub max_backups: usize,
    /// Size of a file.
    pub max_bytes: u64,
}

/// The file being written; `None` for standard output.
pub struct RotatingFile {
    path: PathBuf,
    rotation: Rotation,
    file: Option<(File, u64)>,
}

impl RotatingFile {
    /// Opens or makes the file, and the folders above it.
    pub fn open(path: PathBuf, rotation: Rotation) -> io::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self { path, rotation, file: None });
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = Some(opened(&path)?);
        Ok(Self { path, rotation, file })
    }

    /// Writes whole lines.
    pub fn append(&mut self, lines: &[Vec<u8>]) -> io::Result<()> {
        if self.file.is_none() {
            let mut out = io::stdout().lock();
            lines.iter().try_for_each(|line| out.write_all(line))?;
            return out.flush();
        }
        for line in lines {
            self.append_line(line)?;
        }
        Ok(())
    }

    fn append_line(&mut self, line: &[u8]) -> io::Result<()> {
        let Some((_, size)) = &self.file else { return Ok(()) };
        if *size > 0 && size + line.len() as u64 > self.rotation.max_bytes {
            self.rotate()?;
        }
        let Some((file, size)) = &mut self.file else { return Ok(()) };
        file.write_all(line)?;
        *size += line.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let now = Timestamp::now().strftime("%Y-%m-%dT%H-%M-%S.%3f").to_string();
        let (stem, extension) = self.name();
        std::fs::rename(&self.path, self.path.with_file_name(format!("{stem}-{now}{extension}")))?;
        self.file = Some(opened(&self.path)?);
        self.remove_old()
    }

    /// What stands before and after the time in the names of old files.
    fn name(&self) -> (String, String) {
        let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let extension = text(self.path.extension());
        let extension = if extension.is_empty() { extension } else { format!(".{extension}") };
        (text(self.path.file_stem()), extension)
    }

    fn remove_old(&self) -> io::Result<()> {
        let (stem, extension) = self.name();
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut old = Vec::new();
        for entry in std::fs::read_dir(folder.unwrap_or(Path::new(".")))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let time = name.strip_prefix(&format!("{stem}-")).and_then(|rest| rest.strip_suffix(&extension));
            if time.is_some_and(is_time) {
                old.push((name, entry.path(), entry.metadata()?.modified()?));
            }
        }
        // Their names sort by time.
        old.sort_unstable_by(|a, b| b.0.cmp(&a.0));
        let Rotation { max_age_days, max_backups, .. } = self.rotation;
        let longest = Duration::from_secs(u64::from(max_age_days) * 86_400);
        let is_old =
            |written: SystemTime| max_age_days > 0 && written.elapsed().is_ok_and(|age| age > longest);
        for (index, (_, path, written)) in old.into_iter().enumerate() {
            if is_old(written) || (max_backups > 0 && index >= max_backups) {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

/// Whether it is the time in the name of an old file, so that no other file is ever removed.
fn is_time(text: &str) -> bool {
    const FORM: &[u8] = b"0000-00-00T00-00-00.000";
    let fits = |(byte, form): (u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == *form };
    text.len() == FORM.len() && text.bytes().zip(FORM).all(fits)
}

fn opened(path: &Path) -> io::Result<(File, u64)> {
    // Only the server's user may read who did what.
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_files_are_put_aside_and_old_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/audit.log");
        let rotation = Rotation { max_age_days: 1, max_backups: 2, max_bytes: 10 };
        let mut file = RotatingFile::open(path.clone(), rotation).unwrap();
        let bystander = path.with_file_name("audit-notes.log");
        std::fs::write(&bystander, "mine").unwrap();
        let names = ["2020-01-01T00-00-00.000", "2020-01-02T00-00-00.000"];
        names.iter().for_each(|time| {
            std::fs::write(path.with_file_name(format!("audit-{time}.log")), "old").unwrap();
        });
        file.append(&[b"12345\n".to_vec(), b"67890\n".to_vec()]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "67890\n");
        let mut left: Vec<_> = std::fs::read_dir(path.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort_unstable();
        assert_eq!(left.len(), 4, "{left:?}");
        assert_eq!(
            (left[0].as_str(), left[2].as_str(), left[3].as_str()),
            ("audit-2020-01-02T00-00-00.000.log", "audit-notes.log", "audit.log")
        );
        drop(file);
        let mut again = RotatingFile::open(path.clone(), rotation).unwrap();
        again.append(&[b"a\n".to_vec()]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "67890\na\n");
    }
}
