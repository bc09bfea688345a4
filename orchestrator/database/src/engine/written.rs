//! What a transaction wrote: the keys, and how much it is.

/// What an entry takes in the engine's table besides key and value, at most (`max_entry_bytes` of surrealkv 0.21, rounded up).
const TABLE_BYTES_PER_ENTRY: u64 = 256;

/// One after the other in one piece of memory: there are many, and they are hardly ever read.
#[derive(Debug, Default)]
pub(super) struct WrittenKeys {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    value_bytes: u64,
}

impl WrittenKeys {
    pub(super) fn add(&mut self, key: &[u8], value_bytes: usize) {
        self.value_bytes += value_bytes as u64;
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
    }

    /// What it takes in the engine's table, at most.
    pub(super) fn table_bytes(&self) -> u64 {
        self.bytes.len() as u64 + self.value_bytes + self.ends.len() as u64 * TABLE_BYTES_PER_ENTRY
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_as_they_were_added() {
        let mut written = WrittenKeys::default();
        for key in ["one", "", "three"] {
            written.add(key.as_bytes(), 10);
        }
        assert_eq!(written.iter().collect::<Vec<_>>(), [&b"one"[..], b"", b"three"]);
        assert_eq!(written.table_bytes(), 3 * TABLE_BYTES_PER_ENTRY + 8 + 30);
    }
}
