//! Netlink attributes: length, type, payload, padded to four bytes.

/// Marks an attribute that holds attributes.
pub(crate) const NESTED: u16 = 1 << 15;
const HEADER: usize = 4;

/// Attributes one after another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes(pub(crate) Vec<u8>);

impl Attributes {
    /// Adds raw bytes.
    pub(crate) fn bytes(mut self, kind: u16, payload: &[u8]) -> Self {
        self.put(kind, payload);
        self
    }

    /// Adds a number in network order, as nftables has them.
    pub(crate) fn u32(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Adds a number in network order.
    pub(crate) fn u64(self, kind: u16, value: u64) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Adds a string with its final zero.
    pub(crate) fn text(mut self, kind: u16, value: &str) -> Self {
        let mut payload = value.as_bytes().to_vec();
        payload.push(0);
        self.put(kind, &payload);
        self
    }

    /// Adds attributes inside an attribute.
    pub(crate) fn nested(mut self, kind: u16, inner: &Self) -> Self {
        self.put(kind | NESTED, &inner.0);
        self
    }

    fn put(&mut self, kind: u16, payload: &[u8]) {
        let length =
            u16::try_from(HEADER + payload.len()).expect("attributes are built in chunks below 64 KiB");
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(payload);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }
}

/// The attributes of a message: type without flags, and payload. Stops at the first that is malformed.
pub(crate) fn read(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (header, _) = bytes.split_at_checked(HEADER)?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]) & 0x3fff;
        let payload = bytes.get(HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, payload))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_read_back() {
        let built = Attributes::default().text(1, "ab").u32(2, 7);
        assert_eq!(built.0.len(), 16);
        let read: Vec<(u16, &[u8])> = read(&built.0).collect();
        assert_eq!(read, [(1, &b"ab\0"[..]), (2, &[0, 0, 0, 7][..])]);
    }
}
