//! Writes dependency descriptors as libwebrtc does, for tests.

/// A bit string.
#[derive(Default)]
pub(in crate::forward) struct Writer {
    bits: Vec<bool>,
}

impl Writer {
    pub(in crate::forward) fn put(&mut self, value: u32, count: u32) -> &mut Self {
        self.bits
            .extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    /// `ns(n)`.
    fn put_non_symmetric(&mut self, value: u32, n: u32) -> &mut Self {
        let width = u32::BITS - n.leading_zeros();
        let short = (1 << width) - n;
        if value < short {
            self.put(value, width - 1)
        } else {
            self.put(value + short, width)
        }
    }

    pub(in crate::forward) fn bytes(&self) -> Vec<u8> {
        let byte = |bits: &[bool]| {
            let value = bits.iter().fold(0, |value, bit| value << 1 | u8::from(*bit));
            value << (8 - bits.len())
        };
        self.bits.chunks(8).map(byte).collect()
    }
}

/// A kind of frame: spatial and temporal layer, an indication for each decode target (`-DSR`), frame differences.
pub(in crate::forward) type Kind = (u8, u8, &'static str, &'static [u32]);

/// Three spatial and two temporal layers, dependent at keyframes only (L3T2_KEY): templates in the order of their layers, decode
/// targets S0T0, S0T1, S1T0, …
pub(in crate::forward) const L3T2_KEY: [Kind; 9] = [
    (0, 0, "SSSSSS", &[]),
    (0, 0, "SS----", &[6]),
    (0, 1, "-D----", &[3]),
    (1, 0, "--SSSS", &[1]),
    (1, 0, "--SS--", &[6]),
    (1, 1, "---D--", &[3]),
    (2, 0, "----SS", &[1]),
    (2, 0, "----SS", &[6]),
    (2, 1, "-----D", &[3]),
];

/// The descriptor of a packet: `starts` and `ends` its frame, of the `template`-th kind; with the structure if it begins a
/// keyframe.
pub(in crate::forward) fn descriptor(
    kinds: &[Kind],
    (starts, ends): (bool, bool),
    template: usize,
    frame: u16,
    keyframe: bool,
) -> Vec<u8> {
    const OFFSET: u32 = 60;
    let mut out = Writer::default();
    out.put(u32::from(starts), 1).put(u32::from(ends), 1);
    out.put((OFFSET + template as u32) % 64, 6)
        .put(u32::from(frame), 16);
    if !keyframe {
        return out.bytes();
    }
    let targets = kinds[0].2.len() as u32;
    out.put(0b10000, 5).put(OFFSET, 6).put(targets - 1, 5);
    for (at, (spatial, temporal, ..)) in kinds.iter().enumerate() {
        let next = match kinds.get(at + 1) {
            None => 3,
            Some((next, ..)) if next != spatial => 2,
            Some((_, next, ..)) if next != temporal => 1,
            Some(_) => 0,
        };
        out.put(next, 2);
    }
    for (_, _, indications, _) in kinds {
        for indication in indications.chars() {
            out.put("-DSR".find(indication).unwrap() as u32, 2);
        }
    }
    for (.., differences) in kinds {
        for difference in *differences {
            out.put(1, 1).put(difference - 1, 4);
        }
        out.put(0, 1);
    }
    // Three chains, one for each spatial layer, where there are three.
    let spatial = u32::from(kinds.last().unwrap().0) + 1;
    out.put_non_symmetric(spatial, targets + 1);
    for target in 0..targets {
        out.put_non_symmetric(target * spatial / targets, spatial);
    }
    for _ in 0..kinds.len() as u32 * spatial {
        out.put(3, 4);
    }
    out.put(1, 1);
    for layer in 0..spatial {
        out.put((320 << layer) - 1, 16).put((180 << layer) - 1, 16);
    }
    out.bytes()
}
