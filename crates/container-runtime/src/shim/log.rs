//! Container output in the form of CRI: one line each with a time, the stream, and `F`ull or `P`artial.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A line longer than this is split into partial ones, as by every CRI runtime.
pub const LONGEST: usize = 16 * 1024;

/// Which output a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, and all output of a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// One container's log file and the unfinished line of each stream.
pub struct Log {
    path: Option<PathBuf>,
    file: Option<File>,
    unfinished: [Vec<u8>; 2],
}

impl Log {
    /// Opens the file for appending, or with no path throws output away.
    pub fn open(path: Option<&Path>) -> io::Result<Self> {
        let file = path.map(open).transpose()?;
        Ok(Self { path: path.map(Path::to_path_buf), file, unfinished: [Vec::new(), Vec::new()] })
    }

    /// Opens the file of that name anew; what is written from now on goes there.
    pub fn reopen(&mut self) -> io::Result<()> {
        if let Some(path) = &self.path {
            self.file = Some(open(path)?);
        }
        Ok(())
    }

    /// Takes output as it comes; whole lines are written, the rest is kept until its end arrives.
    ///
    /// A full disk loses lines but never stops the container: there is nobody to tell.
    pub fn write(&mut self, stream: Stream, mut data: &[u8], now_ns: i64) {
        while !data.is_empty() {
            let kept = self.unfinished[stream as usize].len();
            let room = &data[..data.len().min(LONGEST - kept)];
            let newline = room.iter().position(|b| *b == b'\n');
            match newline {
                Some(at) => {
                    self.line(stream, &data[..at], true, now_ns);
                    data = &data[at + 1..];
                }
                None if room.len() + kept == LONGEST => {
                    let (piece, rest) = data.split_at(room.len());
                    self.line(stream, piece, false, now_ns);
                    data = rest;
                }
                None => {
                    self.unfinished[stream as usize].extend(data);
                    return;
                }
            }
        }
    }

    /// The stream has ended; what is left becomes a line.
    pub fn finish(&mut self, stream: Stream, now_ns: i64) {
        if !self.unfinished[stream as usize].is_empty() {
            self.line(stream, &[], true, now_ns);
        }
        self.unfinished[stream as usize] = Vec::new();
    }

    fn line(&mut self, stream: Stream, tail: &[u8], full: bool, now_ns: i64) {
        let kept = &mut self.unfinished[stream as usize];
        if let Some(file) = &mut self.file {
            let tag = if full { 'F' } else { 'P' };
            let mut head = [0u8; 48];
            let mut rest = &mut head[..];
            let _ = write!(rest, "{} {} {tag} ", Rfc3339(now_ns), stream.name());
            let length = 48 - rest.len();
            let parts = [&head[..length], kept, tail, b"\n"];
            let _ = write_line(file, &parts.map(IoSlice::new));
        }
        kept.clear();
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

/// One system call a line, so that a reader never sees half of one.
fn write_line(file: &mut File, parts: &[IoSlice<'_>]) -> io::Result<()> {
    let total: usize = parts.iter().map(|p| p.len()).sum();
    match file.write_vectored(parts)? {
        written if written == total => Ok(()),
        // A nearly full disk took a part. The rest must follow, or the next line would be glued to it.
        written => {
            let joined: Vec<u8> = parts.iter().flat_map(|p| p.iter().copied()).collect();
            file.write_all(&joined[written..])
        }
    }
}

/// A time in UTC with nanoseconds.
struct Rfc3339(i64);

impl std::fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (seconds, nanos) = (self.0.div_euclid(1_000_000_000), self.0.rem_euclid(1_000_000_000));
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar. Years are taken to begin in
/// March, so that the leap day is the last one.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468; // days from 0000-03-01
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_475_712_429_794_202_123;

    fn logged(chunks: &[(Stream, &[u8])]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let mut log = Log::open(Some(&path)).unwrap();
        for (stream, chunk) in chunks {
            log.write(*stream, chunk, NOW);
        }
        log.finish(Stream::Stdout, NOW);
        log.finish(Stream::Stderr, NOW);
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn lines_carry_time_stream_and_tag() {
        let text = logged(&[
            (Stream::Stdout, b"one\ntw"),
            (Stream::Stderr, b"oops\n"),
            (Stream::Stdout, b"o\nrest"),
        ]);
        assert_eq!(
            text,
            "2016-10-06T00:07:09.794202123Z stdout F one\n\
             2016-10-06T00:07:09.794202123Z stderr F oops\n\
             2016-10-06T00:07:09.794202123Z stdout F two\n\
             2016-10-06T00:07:09.794202123Z stdout F rest\n"
        );
    }

    #[test]
    fn long_lines_are_split() {
        let long = vec![b'x'; LONGEST * 2 + 3];
        let text =
            logged(&[(Stream::Stdout, &long[..5]), (Stream::Stdout, &long[5..]), (Stream::Stdout, b"\n")]);
        let shape: Vec<_> = text
            .lines()
            .map(|l| {
                let mut words = l.splitn(4, ' ').skip(2);
                (words.next().unwrap().to_owned(), words.next().unwrap().len())
            })
            .collect();
        assert_eq!(shape, [("P".to_owned(), LONGEST), ("P".to_owned(), LONGEST), ("F".to_owned(), 3)]);
    }

    #[test]
    fn days_become_dates() {
        for (day, date) in
            [(0, (1970, 1, 1)), (11_016, (2000, 2, 29)), (-1, (1969, 12, 31)), (20_777, (2026, 11, 20))]
        {
            assert_eq!(civil(day), date);
        }
    }

    proptest::proptest! {
        /// However output is cut into reads, the log has the same lines.
        #[test]
        fn cuts_do_not_show(text in "[ab\n]{0,60}", cut in 0usize..60) {
            let bytes = text.as_bytes();
            let cut = cut.min(bytes.len());
            let whole = logged(&[(Stream::Stdout, bytes)]);
            let parts = logged(&[(Stream::Stdout, &bytes[..cut]), (Stream::Stdout, &bytes[cut..])]);
            proptest::prop_assert_eq!(whole, parts);
        }
    }
}
