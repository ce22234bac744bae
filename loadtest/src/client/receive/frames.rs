//! Frames out of ordered packets, judged as a decoder would: one with a hole, and every frame after it until the next
//! keyframe, cannot be shown.

use super::stream::{Arrival, Packet};
use crate::trace::Stamp;

/// A frame that is whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole {
    pub(super) stamp: Stamp,
    pub(super) keyframe: bool,
    /// When its last packet came.
    pub(super) arrived: Arrival,
    pub(super) bytes: u32,
    /// Of these, what was published: without headers and tags.
    pub(super) media_bytes: u32,
}

/// What an ordered packet led to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Progress {
    /// Nothing yet.
    Waiting,
    /// A frame that can be shown.
    Shown(Whole),
    /// A frame is whole or in pieces but cannot be decoded; a keyframe is needed.
    Broken,
}

/// The decoder's state for one video stream. Audio has no such state: each of its frames stands alone.
#[derive(Debug)]
pub(super) struct FrameAssembler {
    /// Whether frames depend on each other.
    chained: bool,
    /// Whether the chain since the last keyframe is whole.
    decodable: bool,
    frame: Option<Partial>,
}

#[derive(Clone, Copy, Debug)]
struct Partial {
    time: u32,
    keyframe: bool,
    arrived: Arrival,
    bytes: u32,
    media_bytes: u32,
}

impl FrameAssembler {
    /// An assembler; `chained` for video, whose first frame must be a keyframe.
    pub(super) fn new(chained: bool) -> Self {
        Self {
            chained,
            decodable: !chained,
            frame: None,
        }
    }

    /// Packets are missing for good. Whether a keyframe is needed now.
    pub(super) fn hole(&mut self) -> bool {
        self.frame = None;
        if self.chained {
            self.decodable = false;
        }
        self.chained
    }

    /// Takes the next packet in order.
    pub(super) fn packet(&mut self, packet: &Packet) -> Progress {
        if packet.empty {
            return Progress::Waiting;
        }
        if let Some(start) = packet.start.filter(|start| start.frame)
            && self.frame.is_none_or(|frame| frame.time != packet.time)
        {
            self.frame = Some(Partial {
                time: packet.time,
                keyframe: start.keyframe,
                arrived: packet.arrived,
                bytes: 0,
                media_bytes: 0,
            });
        }
        let Some(frame) = self.frame.as_mut().filter(|frame| frame.time == packet.time) else {
            // The beginning of this frame is lost.
            self.frame = None;
            return if packet.marker {
                Progress::Broken
            } else {
                Progress::Waiting
            };
        };
        frame.keyframe |= packet.start.is_some_and(|start| start.keyframe);
        frame.bytes += packet.bytes;
        frame.media_bytes += packet.media_bytes;
        if packet.arrived.at > frame.arrived.at {
            frame.arrived = packet.arrived;
        }
        let whole = *frame;
        match packet.stamp.filter(|_| packet.marker) {
            Some(stamp) => self.finish(whole, stamp),
            // Somebody else's media: it carries no stamp and is counted in packets only.
            None => {
                if packet.marker {
                    self.frame = None;
                }
                Progress::Waiting
            }
        }
    }

    fn finish(&mut self, frame: Partial, stamp: Stamp) -> Progress {
        self.frame = None;
        self.decodable |= frame.keyframe;
        if !self.decodable {
            return Progress::Broken;
        }
        Progress::Shown(Whole {
            stamp,
            keyframe: frame.keyframe,
            arrived: frame.arrived,
            bytes: frame.bytes,
            media_bytes: frame.media_bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::stream::Start;
    use super::*;

    struct Feed {
        assembler: FrameAssembler,
        now: Instant,
    }

    impl Feed {
        fn new(chained: bool) -> Self {
            Self {
                assembler: FrameAssembler::new(chained),
                now: Instant::now(),
            }
        }

        fn put(&mut self, time: u32, start: Option<bool>, marker: bool) -> Progress {
            let packet = Packet {
                marker,
                time,
                start: start.map(|keyframe| Start {
                    frame: true,
                    keyframe,
                }),
                stamp: marker.then_some(Stamp {
                    sender: 1,
                    source: 1,
                    layer: 0,
                    sequence: time,
                    sent_at_ns: 0,
                }),
                empty: false,
                arrived: Arrival {
                    at: self.now,
                    unix_ns: 0,
                },
                bytes: 10,
                media_bytes: 7,
            };
            self.assembler.packet(&packet)
        }
    }

    #[test]
    fn a_keyframe_begins_and_a_hole_breaks_until_the_next() {
        let mut feed = Feed::new(true);
        assert!(matches!(feed.put(1, Some(false), true), Progress::Broken));
        assert!(matches!(feed.put(2, Some(true), false), Progress::Waiting));
        let Progress::Shown(whole) = feed.put(2, None, true) else {
            panic!("a whole keyframe is shown");
        };
        assert!(whole.keyframe);
        assert_eq!((whole.bytes, whole.media_bytes), (20, 14));
        assert!(matches!(feed.put(3, Some(false), true), Progress::Shown(_)));
        assert!(feed.assembler.hole());
        assert!(matches!(feed.put(4, None, true), Progress::Broken));
        assert!(matches!(feed.put(5, Some(false), true), Progress::Broken));
        assert!(matches!(feed.put(6, Some(true), true), Progress::Shown(_)));
    }

    #[test]
    fn audio_goes_on_after_a_hole() {
        let mut feed = Feed::new(false);
        assert!(matches!(feed.put(1, Some(true), true), Progress::Shown(_)));
        assert!(!feed.assembler.hole());
        assert!(matches!(feed.put(3, Some(true), true), Progress::Shown(_)));
    }
}
