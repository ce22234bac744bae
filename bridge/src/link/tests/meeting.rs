//! People whose pictures and sounds cross a link in virtual time, and viewers behind it who do as a node does: choose what
//! comes, ask its origin for that, ask again for what is missing.

use super::path::{STEP, World};
use crate::link::lanes::Lane;
use bridge_core::allocation::Class;
use bridge_core::forward::nack::{NackGenerator, NackPolicy};
use bytes::Bytes;
use relay_proto::datagram::{ALLOWANCE_LEASE, Header, Kind, decode_allowance};
use relay_proto::id::{Layer, NodeId, TrackAlias};
use relay_proto::unit::{MediaSeq, RtpTime};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Bits a second of each layer.
const RATES: [u64; 3] = [100_000, 350_000, 1_250_000];
const FRAME: Duration = Duration::from_millis(33);
const PACKET_BYTES: usize = 1_100;
/// A keyframe in ordinary frames.
const KEYFRAME: usize = 6;
/// How long a publisher takes to make a keyframe it is asked for.
const ENCODING: Duration = Duration::from_millis(80);
const SOUND: Duration = Duration::from_millis(20);
const SOUND_BYTES: usize = 140;
const ORIGIN: NodeId = NodeId(7);
const FIRST_SOUND: u32 = 1_000;

/// One picture at its origin: what is asked for, and what is sent.
struct Camera {
    class: Class,
    next_frame: Instant,
    frame: u32,
    /// What is asked for from when on.
    asked: VecDeque<(Instant, Option<Layer>)>,
    target: Option<Layer>,
    current: Option<Layer>,
    keyframe_at: Option<Instant>,
    seqs: [u32; 3],
}

/// One picture behind the link.
struct View {
    offered: Option<Layer>,
    told_at: Option<Instant>,
    asked: Option<Layer>,
    /// Layer and packets of the picture that comes, and the layer that is shown.
    shown: Option<Layer>,
    newest: [Option<u32>; 3],
    broken: [bool; 3],
    pub(super) at: Instant,
}

/// A sound, at both ends.
struct Sound {
    seq: u32,
    next: Instant,
    sent_at: BTreeMap<u32, Instant>,
    nack: NackGenerator,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub(super) sounds: u64,
    pub(super) sounds_lost: u64,
    /// How long each took from its making, in milliseconds, sorted.
    pub(super) sound_ms: Vec<u64>,
    /// Pictures that were whole, per track.
    pub(super) pictures: Vec<u64>,
    /// Pictures that something was missing of.
    pub(super) broken: u64,
    /// Changes of the layer shown, per track.
    pub(super) changes: Vec<u64>,
    pub(super) longest_queue: Duration,
    pub(super) queue_over_30_ms: u64,
}

pub(super) struct Meeting {
    pub(super) world: World,
    cameras: Vec<Camera>,
    views: Vec<View>,
    sounds: Vec<Sound>,
    nacks: VecDeque<(Instant, u32, Vec<MediaSeq>)>,
    pub(super) outcome: Outcome,
}

impl Meeting {
    /// `classes` says what each camera is; so many people speak.
    pub(super) fn new(world: World, classes: &[Class], speakers: u32) -> Self {
        let now = world.now;
        let camera = |(at, class): (usize, &Class)| Camera {
            class: *class,
            next_frame: now + FRAME.mul_f64(at as f64 / classes.len() as f64),
            frame: 0,
            asked: VecDeque::new(),
            target: Some(Layer(2)),
            current: None,
            keyframe_at: Some(now + ENCODING.mul_f64(at as f64 / 3.0)),
            seqs: [0; 3],
        };
        let view = |_: &Class| View {
            offered: Some(Layer(2)),
            told_at: None,
            asked: Some(Layer(2)),
            shown: None,
            newest: [None; 3],
            broken: [false; 3],
            at: now,
        };
        let sound = |at: u32| Sound {
            seq: 0,
            next: now + SOUND.mul_f64(f64::from(at) / f64::from(speakers)),
            sent_at: BTreeMap::new(),
            nack: NackGenerator::new(NackPolicy::LINK),
        };
        Self {
            cameras: classes.iter().enumerate().map(camera).collect(),
            views: classes.iter().map(view).collect(),
            sounds: (0..speakers).map(sound).collect(),
            nacks: VecDeque::new(),
            outcome: Outcome::empty(classes.len()),
            world,
        }
    }

    /// Lets time pass; what is counted begins anew.
    pub(super) fn run(&mut self, time: Duration) -> Outcome {
        self.outcome = Outcome::empty(self.views.len());
        for _ in 0..time.as_millis() / STEP.as_millis() {
            self.step();
        }
        self.outcome.sound_ms.sort_unstable();
        self.outcome.clone()
    }

    /// The layer each viewer is shown.
    pub(super) fn shown(&self) -> Vec<Option<Layer>> {
        let fresh = |view: &View| self.world.now - view.at < Duration::from_millis(500);
        self.views
            .iter()
            .map(|view| view.shown.filter(|_| fresh(view)))
            .collect()
    }

    /// What viewers have been told that crosses.
    pub(super) fn offered(&self) -> Vec<Option<Layer>> {
        self.views.iter().map(|view| view.offered).collect()
    }

    fn step(&mut self) {
        let now = self.world.now;
        for at in 0..self.cameras.len() {
            self.film(now, at);
        }
        for at in 0..self.sounds.len() {
            self.speak(now, at);
        }
        self.repair(now);
        let queue = self.world.queue();
        self.outcome.longest_queue = self.outcome.longest_queue.max(queue);
        self.outcome.queue_over_30_ms += u64::from(queue > Duration::from_millis(30));
        for datagram in self.world.step() {
            self.receive(&datagram);
        }
        for (key, layer) in std::mem::take(&mut self.world.asked) {
            let camera = &mut self.cameras[key.track.0 as usize];
            if camera.current == Some(layer) {
                camera.keyframe_at.get_or_insert(now + ENCODING);
            }
        }
        for at in 0..self.views.len() {
            self.choose(at);
        }
        for (at, sound) in (0..).zip(&mut self.sounds) {
            let due = sound.nack.due(self.world.now, 64);
            if !due.is_empty() {
                let arrives = self.world.now + self.world.path.one_way;
                self.nacks.push_back((arrives, at, due));
            }
            let lost = |made: &Instant| self.world.now - *made > Duration::from_secs(2);
            while sound
                .sent_at
                .first_key_value()
                .is_some_and(|(_, made)| lost(made))
            {
                sound.sent_at.pop_first();
                self.outcome.sounds_lost += 1;
            }
        }
    }

    fn film(&mut self, now: Instant, at: usize) {
        let camera = &mut self.cameras[at];
        while camera.asked.front().is_some_and(|(when, _)| *when <= now) {
            camera.target = camera.asked.pop_front().and_then(|(_, layer)| layer);
            camera.keyframe_at = (camera.target != camera.current).then_some(now + ENCODING);
            if camera.target.is_none() {
                camera.current = None;
            }
        }
        if camera.next_frame > now {
            return;
        }
        camera.next_frame += FRAME;
        camera.frame += 1;
        let keyframe = camera.keyframe_at.is_some_and(|due| due <= now);
        if keyframe {
            camera.keyframe_at = None;
            camera.current = camera.target;
        }
        let Some(layer) = camera.current else {
            return;
        };
        let mut bytes = (RATES[usize::from(layer.0)] as f64 / 8.0 * FRAME.as_secs_f64()) as usize;
        bytes *= if keyframe { KEYFRAME } else { 1 };
        let mut first = true;
        while bytes > 0 {
            let part = bytes.min(PACKET_BYTES);
            bytes -= part;
            let seq = &mut camera.seqs[usize::from(layer.0)];
            *seq += 1;
            let (seq, time) = (MediaSeq(*seq), RtpTime(camera.frame));
            let mut header = Header::media(ORIGIN, TrackAlias(at as u32), layer, seq, time);
            header.keyframe = keyframe && first;
            header.marker = bytes == 0;
            // Where the picture begins, so that viewers know a whole one.
            let mut datagram = header.encode().to_vec();
            datagram.push(u8::from(first));
            datagram.resize(part + 37, 0);
            first = false;
            self.world.push_picture(camera.class, Bytes::from(datagram));
        }
    }

    fn speak(&mut self, now: Instant, at: usize) {
        let sound = &mut self.sounds[at];
        if sound.next > now {
            return;
        }
        sound.next += SOUND;
        sound.seq += 1;
        sound.sent_at.insert(sound.seq, now);
        self.outcome.sounds += 1;
        let datagram = sound_datagram(at, sound.seq);
        self.world.push(Lane::Audio, datagram);
    }

    fn repair(&mut self, now: Instant) {
        while self.nacks.front().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, at, seqs)) = self.nacks.pop_front() else {
                break;
            };
            for seq in seqs {
                let datagram = sound_datagram(at as usize, seq.0);
                self.world.push(Lane::Audio, datagram);
            }
        }
    }

    fn receive(&mut self, datagram: &[u8]) {
        let now = self.world.now;
        let Ok((header, body)) = Header::decode(datagram) else {
            return;
        };
        let track = header.track.0;
        match header.kind {
            Kind::Allowance => {
                let view = &mut self.views[track as usize];
                view.offered = decode_allowance(body).unwrap();
                view.told_at = Some(now);
            }
            Kind::Media if header.audio => {
                let sound = &mut self.sounds[(track - FIRST_SOUND) as usize];
                sound.nack.received(header.seq, now);
                if let Some(made) = sound.sent_at.remove(&header.seq.0) {
                    self.outcome.sound_ms.push((now - made).as_millis() as u64);
                }
            }
            Kind::Media => self.show(track as usize, &header, body[0] == 1),
            _ => {}
        }
    }

    fn show(&mut self, track: usize, header: &Header, begins: bool) {
        let view = &mut self.views[track];
        let at = usize::from(header.layer.0);
        let follows = view.newest[at].is_none_or(|newest| newest + 1 == header.seq.0);
        view.newest[at] = Some(header.seq.0);
        if header.keyframe && header.layer == view.offered.unwrap_or(Layer(0)).min(Layer(2)) {
            self.outcome.changes[track] += u64::from(view.shown != Some(header.layer));
            view.shown = Some(header.layer);
            view.broken[at] = false;
        } else if !follows {
            view.broken[at] = true;
        } else if begins {
            view.broken[at] = false;
        }
        if header.marker && view.shown == Some(header.layer) {
            if view.broken[at] {
                self.outcome.broken += 1;
            } else {
                self.outcome.pictures[track] += 1;
                view.at = self.world.now;
            }
        }
    }

    /// What a viewer's node asks the origin for.
    fn choose(&mut self, at: usize) {
        let now = self.world.now;
        let view = &mut self.views[at];
        if view.told_at.is_some_and(|told| now - told > ALLOWANCE_LEASE) {
            (view.told_at, view.offered) = (None, Some(Layer(2)));
        }
        if view.asked != view.offered {
            view.asked = view.offered;
            let arrives = now + self.world.path.one_way;
            self.cameras[at].asked.push_back((arrives, view.offered));
        }
    }
}

impl Outcome {
    fn empty(tracks: usize) -> Self {
        Self {
            pictures: vec![0; tracks],
            changes: vec![0; tracks],
            ..Self::default()
        }
    }

    /// The delay that `part` of all sounds did not exceed, in milliseconds.
    pub(super) fn sound_quantile(&self, part: f64) -> u64 {
        let at = (self.sound_ms.len() as f64 * part) as usize;
        self.sound_ms
            .get(at.min(self.sound_ms.len().saturating_sub(1)))
            .copied()
            .unwrap_or(u64::MAX)
    }
}

fn sound_datagram(at: usize, seq: u32) -> Bytes {
    let track = TrackAlias(FIRST_SOUND + at as u32);
    let mut header = Header::media(ORIGIN, track, Layer(0), MediaSeq(seq), RtpTime(seq * 960));
    header.audio = true;
    let mut datagram = header.encode().to_vec();
    datagram.resize(SOUND_BYTES, 0);
    Bytes::from(datagram)
}
