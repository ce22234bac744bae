//! Reliable messages of one sender, remembered for clients that come back: the newest, within a bound of bytes.

use bytes::Bytes;
use relay_proto::id::Identity;
use std::collections::VecDeque;

#[derive(Debug)]
struct Entry {
    sequence: u32,
    to: Vec<Identity>,
    payload: Bytes,
}

impl Entry {
    fn bytes(&self) -> usize {
        let names: usize = self.to.iter().map(|who| who.as_str().len()).sum();
        // What the entry itself takes is about as much as a short message.
        self.payload.len() + names + size_of::<Self>()
    }
}

#[derive(Debug, Default)]
pub(super) struct History {
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl History {
    /// Remembers a message; the oldest give way. Cost: constant on average.
    pub(super) fn note(&mut self, sequence: u32, to: &[Identity], payload: Bytes, max_bytes: usize) {
        let entry = Entry {
            sequence,
            to: to.to_vec(),
            payload,
        };
        self.bytes += entry.bytes();
        self.entries.push_back(entry);
        while self.bytes > max_bytes
            && let Some(oldest) = self.entries.pop_front()
        {
            self.bytes -= oldest.bytes();
        }
    }

    /// Roughly what it takes.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What `viewer` should have had after message `after`, in order.
    pub(super) fn after<'a>(&'a self, after: u32, viewer: &'a Identity) -> impl Iterator<Item = Bytes> + 'a {
        self.entries
            .iter()
            .filter(move |entry| entry.sequence > after)
            .filter(move |entry| entry.to.is_empty() || entry.to.contains(viewer))
            .map(|entry| entry.payload.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_within_the_bound() {
        let mut history = History::default();
        let ada = Identity::from("ada");
        for sequence in 1..=100 {
            history.note(sequence, &[], Bytes::from(vec![sequence as u8; 100]), 2_000);
            assert!(history.bytes <= 2_000);
        }
        let kept: Vec<u8> = history.after(0, &ada).map(|payload| payload[0]).collect();
        assert!((5..20).contains(&kept.len()), "{}", kept.len());
        assert_eq!(kept.last(), Some(&100));
        assert!(kept.is_sorted());
        assert_eq!(history.after(98, &ada).count(), 2);
        history.note(101, &[], Bytes::from(vec![0; 3_000]), 2_000);
        assert_eq!((history.after(0, &ada).count(), history.bytes), (0, 0));
    }

    #[test]
    fn nobody_is_sent_again_what_was_for_somebody_else() {
        let mut history = History::default();
        let (ada, bob) = (Identity::from("ada"), Identity::from("bob"));
        history.note(
            1,
            std::slice::from_ref(&ada),
            Bytes::from_static(b"for ada"),
            10_000,
        );
        history.note(2, &[], Bytes::from_static(b"for all"), 10_000);
        assert_eq!(history.after(0, &ada).count(), 2);
        assert_eq!(
            history.after(0, &bob).collect::<Vec<_>>(),
            [Bytes::from_static(b"for all")]
        );
    }
}
