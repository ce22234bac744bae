//! The allocator of a link, in virtual time.

use super::*;
use relay_proto::unit::{MediaSeq, RtpTime};

const RATES: [u64; MAX_LAYERS] = [100_000, 350_000, 1_250_000];

/// Tracks that send some of their layers, thirty pictures a second, each of one packet.
struct Link {
    now: Instant,
    allocator: LinkAllocator,
    classes: Vec<Class>,
    sends: Vec<Vec<u8>>,
    frame: u32,
    /// Datagrams that crossed in the last run, by track and layer.
    crossed: BTreeMap<(u32, u8), u64>,
    told: Vec<Allowance>,
}

impl Link {
    fn of(classes: &[Class]) -> Self {
        Self {
            now: crate::rtc::testing::instant(),
            allocator: LinkAllocator::default(),
            classes: classes.to_vec(),
            sends: vec![vec![2]; classes.len()],
            frame: 0,
            crossed: BTreeMap::new(),
            told: Vec::new(),
        }
    }

    /// Viewers who see that a layer does not cross take what does, as soon as they know.
    fn run(&mut self, capacity: u64, ms: u64) {
        self.crossed.clear();
        for _ in 0..ms / 33 {
            self.now += Duration::from_millis(33);
            self.frame += 1;
            for track in 0..self.classes.len() {
                for layer in self.sends[track].clone() {
                    let keyframe = self.frame.is_multiple_of(15);
                    let header = packet(track as u32, layer, self.frame, keyframe, true);
                    let bytes = RATES[usize::from(layer)] / 8 * 33 / 1_000;
                    if self
                        .allocator
                        .admit(self.now, self.classes[track], &header, bytes as usize)
                    {
                        *self.crossed.entry((track as u32, layer)).or_default() += 1;
                    }
                }
            }
            self.allocator.review(self.now, Bitrate(capacity));
            while let Some(news) = self.allocator.poll_news() {
                self.sends[news.key.track.0 as usize] =
                    news.layer.map(|layer| layer.0.min(2)).into_iter().collect();
                self.told.push(news);
            }
        }
    }

    fn allowed(&self) -> Vec<Option<u8>> {
        self.sends.iter().map(|layers| layers.first().copied()).collect()
    }
}

fn packet(track: u32, layer: u8, seq: u32, keyframe: bool, marker: bool) -> Header {
    let mut header = Header::media(
        NodeId(1),
        TrackAlias(track),
        Layer(layer),
        MediaSeq(seq),
        RtpTime(seq),
    );
    (header.keyframe, header.marker) = (keyframe, marker);
    header
}

#[test]
fn all_crosses_while_it_fits_and_nothing_is_said() {
    let mut link = Link::of(&[Class::Other; 10]);
    link.run(50_000_000, 5_000);
    assert_eq!(link.allowed(), vec![Some(2); 10]);
    assert_eq!((link.told.len(), link.allocator.wanted()), (0, Bitrate(0)));
    assert_eq!(link.allocator.poll_timeout(), None);
}

#[test]
fn everybody_keeps_the_smallest_layer_before_the_screen_has_more() {
    let mut classes = [Class::Other; 10];
    (classes[3], classes[7]) = (Class::Screen, Class::Speaker);
    let mut link = Link::of(&classes);
    link.run(50_000_000, 3_000);
    link.run(3_600_000, 3_000);
    let allowed = link.allowed();
    assert!(allowed.iter().all(Option::is_some), "{allowed:?}");
    assert_eq!(allowed[3], Some(2), "{allowed:?}");
    assert!(allowed[7] > Some(0), "{allowed:?}");
    assert!(
        allowed.iter().filter(|layer| **layer == Some(0)).count() >= 7,
        "{allowed:?}"
    );
    link.run(500_000, 3_000);
    assert!(link.allowed()[3].is_some() && link.allowed()[7].is_some());
    assert!(
        link.allocator.totals().paused >= 5,
        "{:?}",
        link.allocator.totals()
    );
}

#[test]
fn what_is_chosen_stays_and_comes_back_step_by_step() {
    let mut link = Link::of(&[Class::Other; 10]);
    link.run(50_000_000, 3_000);
    link.run(3_000_000, 5_000);
    let before = link.allocator.totals();
    link.run(3_000_000, 20_000);
    let after = link.allocator.totals();
    assert!(after.lowered - before.lowered <= 2, "{before:?} {after:?}");
    link.run(50_000_000, 10_000);
    assert_eq!(link.allowed(), vec![Some(2); 10]);
    assert_eq!(link.allocator.totals().tracks, 0);
}

#[test]
fn a_layer_ends_with_its_picture_and_begins_at_a_keyframe() {
    let now = crate::rtc::testing::instant();
    let mut crossing = Crossing::new(now);
    let admit = |crossing: &mut Crossing, seq, time, keyframe, marker| {
        let mut header = packet(1, 2, seq, keyframe, marker);
        header.time = RtpTime(time);
        crossing.admit(now, Class::Other, &header, 1_000)
    };
    assert!(admit(&mut crossing, 1, 1, true, false));
    crossing.allow(now, Some(Layer(0)));
    assert!(admit(&mut crossing, 2, 1, false, false), "the picture under way");
    assert!(admit(&mut crossing, 3, 1, false, true));
    assert!(!admit(&mut crossing, 4, 2, false, true), "the next one");
    assert!(!admit(&mut crossing, 3, 1, false, true), "nor what is sent again");
    crossing.allow(now, Some(Layer::TOP));
    assert!(!admit(&mut crossing, 5, 3, false, true));
    assert!(!admit(&mut crossing, 1, 1, true, false), "an old keyframe");
    assert!(admit(&mut crossing, 6, 4, true, false));
    assert!(admit(&mut crossing, 7, 4, false, true));
}

#[test]
fn a_layer_that_comes_without_a_keyframe_is_asked_for_one_now_and_then() {
    let mut now = crate::rtc::testing::instant();
    let mut allocator = LinkAllocator::default();
    let key = TrackKey::of(&packet(1, 0, 1, true, true));
    allocator.admit(now, Class::Other, &packet(1, 0, 1, true, true), 1_000);
    let waits = [(key, Layer(0), 5_000)];
    assert_eq!(allocator.relieve(now, waits.into_iter()), Some((key, Layer(0))));
    let mut asked = 0;
    for seq in 2..200 {
        now += Duration::from_millis(33);
        allocator.admit(now, Class::Other, &packet(1, 0, seq, false, true), 1_000);
        allocator.review(now, Bitrate(10_000_000));
        asked += usize::from(allocator.poll_keyframe().is_some());
    }
    assert!((5..=10).contains(&asked), "{asked}");
}

#[test]
fn a_full_queue_costs_the_least_important_its_layer_at_once() {
    let now = crate::rtc::testing::instant();
    let mut allocator = LinkAllocator::default();
    for (track, class) in [(1, Class::Screen), (2, Class::Other), (3, Class::Other)] {
        allocator.admit(now, class, &packet(track, 2, 1, true, false), 1_000);
    }
    let key = |track| TrackKey {
        origin: NodeId(1),
        track: TrackAlias(track),
    };
    let waiting = [
        (key(1), Layer(2), 90_000),
        (key(2), Layer(2), 10_000),
        (key(3), Layer(2), 20_000),
    ];
    assert_eq!(
        allocator.relieve(now, waiting.into_iter()),
        Some((key(3), Layer(2)))
    );
    assert!(!allocator.admit(now, Class::Other, &packet(3, 2, 2, false, true), 1_000));
    assert!(allocator.admit(now, Class::Other, &packet(2, 2, 2, false, true), 1_000));
    let told = allocator.poll_news();
    assert_eq!(
        told.map(|news| (news.key, news.layer)),
        Some((key(3), Some(Layer(1))))
    );
}

#[test]
fn tracks_nobody_watches_any_more_are_forgotten_and_many_are_bounded() {
    let mut link = Link::of(&[Class::Other; 4]);
    link.run(50_000_000, 1_000);
    assert_eq!(link.allocator.tracks.len(), 4);
    link.classes.truncate(1);
    link.run(50_000_000, 8_000);
    assert_eq!(link.allocator.tracks.len(), 1);
    let now = link.now;
    for track in 0..20_000 {
        let crosses = link
            .allocator
            .admit(now, Class::Other, &packet(track, 0, 1, true, true), 1_000);
        assert!(crosses);
    }
    assert_eq!(link.allocator.tracks.len(), MAX_TRACKS);
}
