use super::*;
use relay_proto::datagram::HEADER_BYTES;
use relay_proto::id::{Layer, NodeId, TrackAlias};
use relay_proto::unit::{MediaSeq, RtpTime};

const LOSSY: PartsPerMillion = PartsPerMillion(10_000);
const OCEAN: Duration = Duration::from_millis(260);

fn sound(track: u32, seq: u32) -> (Header, Bytes) {
    let mut header = Header::media(
        NodeId(3),
        TrackAlias(track),
        Layer(0),
        MediaSeq(seq),
        RtpTime(seq * 960),
    );
    header.audio = true;
    let mut bytes = header.encode().to_vec();
    bytes.extend((0..60 + seq % 50).map(|at| (at * 7 + seq + track) as u8));
    (header, Bytes::from(bytes))
}

fn on(now: Instant, loss: PartsPerMillion) -> ParitySender {
    let mut sender = ParitySender::default();
    sender.adapt(now, OCEAN, loss);
    sender
}

fn body(parity: &[u8]) -> &[u8] {
    &parity[HEADER_BYTES..]
}

#[test]
fn any_one_of_a_group_is_made_from_the_others_byte_for_byte() {
    let now = crate::rtc::testing::instant();
    for lost in 0..4 {
        let (mut sender, mut receiver) = (on(now, LOSSY), ParityReceiver::default());
        let group: Vec<_> = (0..4).map(|track| sound(track, 70 + track * 9)).collect();
        let mut parity = None;
        for (at, (header, datagram)) in group.iter().enumerate() {
            parity = sender.sent(now, header, datagram);
            if at != lost {
                receiver.received(header, datagram.clone());
            }
        }
        let parity = parity.unwrap();
        assert_eq!(receiver.recover(body(&parity)), Some(group[lost].clone()));
        assert_eq!(receiver.recover(body(&parity)), None, "it is here now");
    }
}

#[test]
fn two_that_are_lost_are_not_guessed() {
    let now = crate::rtc::testing::instant();
    let (mut sender, mut receiver) = (on(now, LOSSY), ParityReceiver::default());
    let mut parity = None;
    for track in 0..4 {
        let (header, datagram) = sound(track, 5);
        parity = sender.sent(now, &header, &datagram);
        if track > 1 {
            receiver.received(&header, datagram);
        }
    }
    assert_eq!(receiver.recover(body(&parity.unwrap())), None);
}

#[test]
fn parities_are_for_long_links_that_lose_and_end_when_these_are_clean() {
    let now = crate::rtc::testing::instant();
    let mut sender = ParitySender::default();
    sender.adapt(now, OCEAN, PartsPerMillion(0));
    assert!(!sender.is_on(), "a clean link");
    sender.adapt(now, Duration::from_millis(76), LOSSY);
    assert!(!sender.is_on(), "a short link");
    sender.adapt(now, OCEAN, LOSSY);
    assert!(sender.is_on());
    sender.adapt(now + LINGER / 2, OCEAN, PartsPerMillion(0));
    assert!(sender.is_on());
    sender.adapt(now + LINGER, OCEAN, PartsPerMillion(0));
    assert!(!sender.is_on());
    let (header, datagram) = sound(1, 1);
    assert_eq!(sender.sent(now, &header, &datagram), None);
    assert_eq!(sender.poll_timeout(), None);
}

#[test]
fn nonsense_makes_nothing() {
    let now = crate::rtc::testing::instant();
    let (mut sender, mut receiver) = (on(now, LOSSY), ParityReceiver::default());
    let mut parity = Vec::new();
    for track in 0..4 {
        let (header, datagram) = sound(track, 5);
        parity.extend(sender.sent(now, &header, &datagram).into_iter().flatten());
        if track > 0 {
            receiver.received(&header, datagram);
        }
    }
    let body = body(&parity);
    for end in 0..body.len() {
        let _ = receiver.recover(&body[..end]);
    }
    for at in 0..body.len() {
        let mut other = body.to_vec();
        other[at] ^= 0x55;
        if let Some((header, datagram)) = receiver.recover(&other) {
            assert!(ParityReceiver::concerns(&header) && datagram.len() >= HEADER_BYTES);
        }
    }
    assert!(receiver.recent.len() <= REMEMBERED);
}

struct Random(u64);

impl Random {
    fn below(&mut self, share: f64) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) as f64 / (1_u64 << 53) as f64) < share
    }
}

/// How much later than on a clean path each sound came, sorted, in milliseconds; what never came counts as a round trip.
fn delays(speakers: u32, loss: f64, minutes: u32) -> (Vec<u64>, f64) {
    let start = crate::rtc::testing::instant();
    let (mut sender, mut receiver) = (
        on(start, PartsPerMillion((loss * 1e6) as u32)),
        ParityReceiver::default(),
    );
    let mut random = Random(0x1234_5678_9abc_def1);
    let mut lost_at = std::collections::BTreeMap::new();
    let mut delays = Vec::new();
    let (mut sounds_bytes, mut parity_bytes) = (0, 0);
    for ms in 0..minutes * 60_000 {
        let now = start + Duration::from_millis(u64::from(ms));
        let mut parities: Vec<Vec<u8>> = sender.poll_due(now).into_iter().collect();
        for speaker in 0..speakers {
            if !(ms + speaker * 20 / speakers).is_multiple_of(20) {
                continue;
            }
            let (header, datagram) = sound(speaker, ms / 20);
            sounds_bytes += datagram.len();
            parities.extend(sender.sent(now, &header, &datagram));
            if random.below(loss) {
                lost_at.insert((speaker, header.seq), ms);
            } else {
                receiver.received(&header, datagram);
                delays.push(0);
            }
        }
        for parity in parities {
            parity_bytes += parity.len();
            if !random.below(loss)
                && let Some((header, _)) = receiver.recover(body(&parity))
                && let Some(lost) = lost_at.remove(&(header.track.0, header.seq))
            {
                delays.push(u64::from(ms - lost));
            }
        }
    }
    delays.extend(lost_at.values().map(|_| OCEAN.as_millis() as u64));
    delays.sort_unstable();
    (
        delays,
        f64::from(parity_bytes as u32) / f64::from(sounds_bytes as u32),
    )
}

#[test]
fn at_one_percent_of_loss_sound_comes_without_a_round_trip() {
    for speakers in [1, 4, 8] {
        let (delays, costs) = delays(speakers, 0.01, 10);
        let quantile = |part: f64| delays[(delays.len() as f64 * part) as usize];
        assert!(quantile(0.99) <= 10 && quantile(0.999) <= 10, "{speakers} speak");
        assert!(
            costs < [2.0, 1.0, 0.6][speakers as usize / 4],
            "{speakers}: {costs}"
        );
    }
}
