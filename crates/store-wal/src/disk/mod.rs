//! The seam to the disk: what the log needs of a directory, so that tests can tear, lose and fail everything in it.

mod real;

use std::io;

pub use real::RealDisk;

/// One directory of plain files. Changes of names (create, rename, remove) are durable after
/// [`Disk::sync_names`], contents after [`DiskFile::sync`].
pub trait Disk: Send + Sync + 'static {
    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file that exists.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Makes a file of `len` zero bytes with its space reserved; replaces one of that name.
    fn create(&self, name: &str, len: u64) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name, atomically.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Deletes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes changes of names durable.
    fn sync_names(&self) -> io::Result<()>;
    /// Identifies this run of the machine: while it is the same, unsynced writes of an ended process are still
    /// there. `None` if it cannot be told.
    fn boot_id(&self) -> Option<[u8; 16]>;
    /// How to name a file to the user.
    fn describe(&self, name: &str) -> String;
}

/// An open file.
pub trait DiskFile: Send {
    /// Its length in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Fills `buffer` from `offset`; an error if the file is shorter.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `data` at `offset`.
    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()>;
    /// Makes the contents durable.
    fn sync(&self) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&self, len: u64) -> io::Result<()>;
}
