//! A Bloom filter (Bloom 1970) of the ids of one partition.

use std::sync::atomic::{AtomicU64, Ordering};

use amends_schemas::ids::{PartitionCount, SagaId};

/// Bits of all partitions together, at most: 16 MiB of memory.
const BITS: usize = 1 << 27;

/// Bits of one partition, at most: 2 MiB, so that a filter is a row like any other where it is kept. With a million sagas in the partition one
/// in 500 new ones is looked for in vain, with four million one in six; beyond, it merely helps less.
const PARTITION_BITS: usize = 1 << 24;

/// Bits set for one id.
const PROBES: u64 = 4;

/// The bits. Ids are random where it matters, so they need no hashing.
#[derive(Debug)]
pub(super) struct Filter(Vec<AtomicU64>);

impl Filter {
    pub(super) fn new(partition_count: PartitionCount) -> Self {
        let words = (BITS / usize::from(partition_count.get()).next_power_of_two()).min(PARTITION_BITS) / 64;
        Self(std::iter::repeat_with(AtomicU64::default).take(words).collect())
    }

    pub(super) fn add(&self, saga_id: SagaId) {
        for bit in probes(saga_id) {
            if let Some((word, mask)) = self.place(bit) {
                word.fetch_or(mask, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn may_have(&self, saga_id: SagaId) -> bool {
        let is_set = |bit| self.place(bit).is_some_and(|(word, mask)| word.load(Ordering::Relaxed) & mask != 0);
        probes(saga_id).all(is_set)
    }

    /// What it takes in memory, and where it is kept.
    pub(super) fn byte_count(&self) -> u64 {
        self.0.len() as u64 * 8
    }

    /// As they can be kept.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).collect()
    }

    /// Takes in what was kept; `false`, and nothing, when that is not of a filter of this size.
    pub(super) fn merge(&self, kept: &[u8]) -> bool {
        let (words, rest) = kept.as_chunks::<8>();
        let fits = words.len() == self.0.len() && rest.is_empty();
        if fits {
            for (word, kept) in self.0.iter().zip(words) {
                word.fetch_or(u64::from_le_bytes(*kept), Ordering::Relaxed);
            }
        }
        fits
    }

    /// There is a power of two of them.
    fn place(&self, bit: u64) -> Option<(&AtomicU64, u64)> {
        let word = usize::try_from(bit / 64).ok()? & (self.0.len() - 1);
        Some((self.0.get(word)?, 1 << (bit % 64)))
    }
}

/// Two numbers make all the probes (Kirsch and Mitzenmacher 2006). The low half of an id is random in every version we make; its partition
/// is taken from there as well, which leaves enough.
fn probes(saga_id: SagaId) -> impl Iterator<Item = u64> {
    let (high, low) = saga_id.uuid().as_u64_pair();
    let step = (high ^ low.rotate_left(32)) | 1;
    (0..PROBES).map(move |probe| low.wrapping_add(probe.wrapping_mul(step)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EIGHT: PartitionCount = PartitionCount::new(8).expect("in range");

    #[test]
    fn what_was_added_is_known_and_almost_nothing_else() {
        let filter = Filter::new(EIGHT);
        // Of one partition, as they come: what tells partitions apart tells nothing here.
        let own = || std::iter::repeat_with(SagaId::generate).filter(|id| id.partition(EIGHT).0 == 3);
        let ids: Vec<SagaId> = own().take(100_000).collect();
        ids.iter().for_each(|id| filter.add(*id));
        assert!(ids.iter().all(|id| filter.may_have(*id)));
        let mistaken = own().take(100_000).filter(|id| filter.may_have(*id)).count();
        assert!(mistaken < 300, "{mistaken} of 100000");
    }

    #[test]
    fn what_was_kept_is_known_again_and_another_size_is_refused() {
        let (filter, again) = (Filter::new(EIGHT), Filter::new(EIGHT));
        let (first, second) = (SagaId::generate(), SagaId::generate());
        filter.add(first);
        again.add(second);
        assert!(again.merge(&filter.to_bytes()));
        assert!(again.may_have(first) && again.may_have(second));
        assert!(!Filter::new(PartitionCount::new(64).expect("in range")).merge(&filter.to_bytes()));
        assert!(!again.merge(&[]));
    }
}
