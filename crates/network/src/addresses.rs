//! Which pod has which address: a file per address, named for it, that holds the sandbox's id (as CNI's `host-local`
//! keeps it), so that nothing is lost or given twice across restarts.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::str::FromStr;

use parking_lot::Mutex;

/// An IPv4 network such as `10.244.0.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Range {
    base: u32,
    prefix: u8,
}

impl Ipv4Range {
    /// The network of this prefix length around `address`; `None` if the length is over 32.
    pub fn new(address: Ipv4Addr, prefix: u8) -> Option<Self> {
        let mask = u32::MAX.checked_shl(32_u32.checked_sub(u32::from(prefix))?).unwrap_or(0);
        Some(Self { base: u32::from(address) & mask, prefix })
    }

    /// The prefix length.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// The network address.
    pub fn network(&self) -> Ipv4Addr {
        self.base.into()
    }

    /// The address at `offset` from the network address; `None` beyond the range.
    pub fn nth(&self, offset: u32) -> Option<Ipv4Addr> {
        (u64::from(offset) < self.size()).then(|| (self.base + offset).into())
    }

    /// How many addresses there are, network and broadcast included.
    pub fn size(&self) -> u64 {
        1 << (32 - u32::from(self.prefix))
    }

    /// Whether the address is in the range.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        Self::new(address, self.prefix).is_some_and(|other| other.base == self.base)
    }

    /// The bits that are fixed, in network order.
    pub fn mask(&self) -> [u8; 4] {
        u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0).to_be_bytes()
    }
}

impl FromStr for Ipv4Range {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let parsed = text
            .split_once('/')
            .and_then(|(address, prefix)| Self::new(address.parse().ok()?, prefix.parse().ok()?));
        parsed.ok_or_else(|| AddressError::NotARange(text.to_owned()))
    }
}

impl std::fmt::Display for Ipv4Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.network(), self.prefix)
    }
}

/// Why an address was not given.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// Not `a.b.c.d/n`.
    #[error("{0:?} is not an IPv4 network such as 10.244.0.0/24")]
    NotARange(String),
    /// Every address is taken.
    #[error("no addresses available in range {range}")]
    Exhausted {
        /// The node's pod range.
        range: Ipv4Range,
    },
    /// The directory of the files failed.
    #[error("could not keep addresses in {dir}")]
    Io {
        /// The directory.
        dir: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

/// The addresses of one node's pods.
#[derive(Debug)]
pub struct PodAddresses {
    dir: PathBuf,
    range: Ipv4Range,
    /// The offset after the last one that was given: addresses are not given again at once.
    next: Mutex<u32>,
}

/// The network address and the gateway.
const FIRST: u32 = 2;

impl PodAddresses {
    /// The addresses of `range` as `dir` has them; makes the directory.
    pub fn open(dir: PathBuf, range: Ipv4Range) -> Result<Self, AddressError> {
        fs::create_dir_all(&dir).map_err(|source| AddressError::Io { dir: dir.clone(), source })?;
        Ok(Self { dir, range, next: Mutex::new(FIRST) })
    }

    /// The address of the bridge, which every pod has as its gateway.
    pub fn gateway(&self) -> Ipv4Addr {
        self.range.nth(1).expect("a pod range has more than one address")
    }

    /// The address of `owner`: the one it has already, or a free one. Durable when it returns.
    pub fn allocate(&self, owner: &str) -> Result<Ipv4Addr, AddressError> {
        if let Some(address) = self.of(owner)? {
            return Ok(address);
        }
        let mut next = self.next.lock();
        // All but the broadcast address.
        let end = u32::try_from(self.range.size() - 1).unwrap_or(u32::MAX);
        let count = end.saturating_sub(FIRST);
        for _ in 0..count {
            let offset = *next;
            *next = if offset + 1 < end { offset + 1 } else { FIRST };
            let Some(address) = self.range.nth(offset) else { break };
            if self.claim(address, owner).map_err(|source| self.io(source))? {
                return Ok(address);
            }
        }
        Err(AddressError::Exhausted { range: self.range })
    }

    /// The address that `owner` has.
    pub fn of(&self, owner: &str) -> Result<Option<Ipv4Addr>, AddressError> {
        for entry in fs::read_dir(&self.dir).map_err(|source| self.io(source))? {
            let entry = entry.map_err(|source| self.io(source))?;
            let Ok(address) = entry.file_name().to_string_lossy().parse() else { continue };
            match fs::read_to_string(entry.path()) {
                Ok(held) if held == owner => return Ok(Some(address)),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(source) => return Err(self.io(source)),
            }
        }
        Ok(None)
    }

    /// Gives the address of `owner` back; nothing happens if it has none.
    pub fn release(&self, owner: &str) -> Result<(), AddressError> {
        let Some(address) = self.of(owner)? else { return Ok(()) };
        match fs::remove_file(self.dir.join(address.to_string())) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.io(error)),
            _ => Ok(()),
        }
    }

    /// Whether the address was free. The file appears whole: it is written beside and linked into place.
    fn claim(&self, address: Ipv4Addr, owner: &str) -> io::Result<bool> {
        let path = self.dir.join(address.to_string());
        if path.exists() {
            return Ok(false);
        }
        let draft = self.dir.join(format!(".{address}"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&draft)?;
        file.write_all(owner.as_bytes())?;
        let linked = fs::hard_link(&draft, &path);
        fs::remove_file(&draft)?;
        match linked {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn io(&self, source: io::Error) -> AddressError {
        AddressError::Io { dir: self.dir.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_parsed_and_bounded() {
        let range: Ipv4Range = "10.244.3.9/24".parse().expect("a range");
        assert_eq!(range.to_string(), "10.244.3.0/24");
        assert_eq!(range.nth(255), Some(Ipv4Addr::new(10, 244, 3, 255)));
        assert_eq!(range.nth(256), None);
        assert!(
            range.contains(Ipv4Addr::new(10, 244, 3, 77)) && !range.contains(Ipv4Addr::new(10, 244, 4, 1))
        );
        for bad in ["10.0.0.0", "10.0.0.0/33", "x/8", ""] {
            assert!(bad.parse::<Ipv4Range>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_owner_keeps_its_address_across_restarts() {
        let dir = tempfile::tempdir().expect("a directory");
        let range = "10.9.0.0/29".parse().expect("a range");
        let open = || PodAddresses::open(dir.path().to_owned(), range).expect("opens");
        let addresses = open();
        let given: Vec<String> =
            ["a", "b", "c", "d", "e"].map(|o| addresses.allocate(o).expect("free").to_string()).into();
        assert_eq!(given, ["10.9.0.2", "10.9.0.3", "10.9.0.4", "10.9.0.5", "10.9.0.6"]);
        assert!(matches!(open().allocate("f"), Err(AddressError::Exhausted { .. })));
        assert_eq!(open().allocate("c").expect("its own").to_string(), "10.9.0.4");
        addresses.release("b").expect("released");
        addresses.release("nobody").expect("nothing to do");
        assert_eq!(open().allocate("f").expect("free again").to_string(), "10.9.0.3");
    }
}
