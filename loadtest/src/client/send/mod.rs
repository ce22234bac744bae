//! What one client sends: sources with their layers, replayed from traces, in bursts of one frame.
//!
//! All layers of a source share their frame times and frame numbers, so that a receiver switched from one to the other
//! sees one run of numbers. A frame's packets are equally long but the last, so that each burst can leave in one
//! segmented send.

mod stream;

use std::time::{Duration, Instant};

use rtc_rtcp::Packet as RtcpPacket;
use rtc_rtcp::sender_report::SenderReport;

use stream::UpStream;
pub(super) use stream::{ExtensionIds, Moment, PayloadTypes, Section};

use super::random::Random;
use super::srtp::Srtp;
use crate::trace::{Codec, Replay, Stamp, TraceKind};

/// How often sender reports are due.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// A source that is later than this does not catch up: it goes on from now (the process was stopped).
const LATEST: Duration = Duration::from_millis(500);
/// Frames between two packets of comfort noise of a silent speaker (400 ms).
const SILENCE_FRAMES: u32 = 20;
/// The first loop of a trace is at most so long: four seconds of a camera.
const MOST_LOOP_FRAMES: usize = 100;
/// Names of simulcast layers in the order of size, as browsers send them.
pub const RIDS: [&str; 3] = ["q", "h", "f"];
/// Seconds between 1900 and 1970, for NTP times.
const NTP_OFFSET_S: u64 = 2_208_988_800;

/// What a source is, as stamps and reports call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Microphone.
    Audio = 0,
    /// Camera.
    Camera = 1,
    /// Shared screen.
    Screen = 2,
}

impl Source {
    /// The number in stamps.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The source of a stamp's number.
    #[must_use]
    pub const fn of_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Audio),
            1 => Some(Self::Camera),
            2 => Some(Self::Screen),
            _ => None,
        }
    }
}

/// A source to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceSetup {
    /// What it is.
    pub source: Source,
    /// Its codec; Opus for audio.
    pub codec: Codec,
    /// Simulcast layers, 1 to 3; the smallest ones of the trace. 1 for audio and screens.
    pub layers: u8,
}

impl SourceSetup {
    /// The traces of the layers, smallest first.
    #[must_use]
    pub fn traces(&self) -> Vec<TraceKind> {
        match self.source {
            Source::Audio => vec![TraceKind::Speech],
            Source::Screen => vec![TraceKind::Screen],
            Source::Camera => (0..self.layers.clamp(1, 3))
                .map(|layer| TraceKind::Camera {
                    codec: self.codec,
                    layer,
                })
                .collect(),
        }
    }

    /// Names of the layers in SDP; none for a single one.
    #[must_use]
    pub fn rids(&self) -> &'static [&'static str] {
        match self.source {
            Source::Camera if self.layers > 1 => &RIDS[..usize::from(self.layers.min(3))],
            _ => &[],
        }
    }
}

/// Stretches of talking that are remembered of one microphone.
const MOST_TALKS: usize = 4_096;

/// A stretch in which a microphone sends sound without a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Talk {
    /// Number of its first frame.
    pub first: u32,
    /// How many frames it has.
    pub frames: u32,
}

impl Talk {
    /// The frame `sequence` is one of sound.
    fn note(talks: &mut Vec<Self>, sequence: u32) {
        if let Some(talk) = talks.last_mut()
            && talk.first + talk.frames == sequence
        {
            talk.frames += 1;
        } else if talks.len() < MOST_TALKS {
            talks.push(Self {
                first: sequence,
                frames: 1,
            });
        }
    }
}

/// One source of one client.
pub(super) struct Sender {
    setup: SourceSetup,
    id: u32,
    section: Option<Section>,
    streams: Vec<UpStream>,
    sequence: u32,
    next: Option<Instant>,
    next_report: Instant,
    /// A silent microphone sends comfort noise only; a screen that is not shared sends nothing.
    active: bool,
    silent_frames: u32,
    talks: Vec<Talk>,
    started: bool,
}

impl Sender {
    pub(super) fn new(setup: SourceSetup, id: u32, random: &mut Random, now: Instant) -> Self {
        let rids = setup.rids();
        // All layers of a source in phase, the sources of a room not.
        let first_loop = (random.next() >> 33) as usize % MOST_LOOP_FRAMES;
        let streams = setup
            .traces()
            .into_iter()
            .enumerate()
            .map(|(layer, kind)| {
                let ssrcs = ((random.next() >> 33) as u32 | 1, (random.next() >> 33) as u32 | 1);
                // Numbers begin in the lower half (RFC 3711 section 3.3.1: no early roll-over).
                let seq = (random.next() >> 49) as u16;
                UpStream::new(
                    ssrcs,
                    rids.get(layer).copied(),
                    seq,
                    Replay::new(kind).with_first_loop(first_loop),
                )
            })
            .collect();
        Self {
            setup,
            id,
            section: None,
            streams,
            sequence: 0,
            next: None,
            next_report: now + REPORT_INTERVAL,
            active: setup.source != Source::Screen,
            silent_frames: 0,
            talks: Vec::new(),
            started: false,
        }
    }

    pub(super) fn setup(&self) -> SourceSetup {
        self.setup
    }

    /// The SSRC an offer states for a source without layers.
    pub(super) fn ssrc(&self) -> u32 {
        self.streams.first().map_or(0, |stream| stream.ssrc)
    }

    /// Number of the newest frame; frames are numbered from 1.
    pub(super) fn sequence(&self) -> u32 {
        self.sequence
    }

    /// When sound was sent, and not only comfort noise: the first [`MOST_TALKS`] stretches.
    pub(super) fn talks(&self) -> &[Talk] {
        &self.talks
    }

    /// Takes what the answer says about this source's section.
    pub(super) fn set_section(&mut self, section: Section) {
        self.section = Some(section);
    }

    /// Speaks or falls silent; shares or stops.
    pub(super) fn set_active(&mut self, active: bool) {
        if active && !self.active && self.setup.source != Source::Audio {
            self.streams
                .iter_mut()
                .for_each(|stream| stream.replay().begin_anew());
        }
        self.active = active;
    }

    pub(super) fn is_active(&self) -> bool {
        self.active
    }

    /// Begins to send; the first frame of every layer is a keyframe.
    pub(super) fn start(&mut self, now: Instant) {
        if !self.started && self.section.is_some() {
            self.started = true;
            self.next = Some(now);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.next.map(|next| next.min(self.next_report))
    }

    /// A keyframe was asked for. Whether the stream is one of this source.
    pub(super) fn request_keyframe(&mut self, now: Instant, ssrc: u32) -> bool {
        let found = self.streams.iter_mut().find(|stream| stream.ssrc == ssrc);
        found.is_some_and(|stream| {
            stream.replay().restart_at_keyframe(now);
            true
        })
    }

    /// Writes the next frame if it is due, one burst per layer: `emit` gets the sealed packets of a burst. Whether one
    /// was written.
    pub(super) fn write_due(
        &mut self,
        now: Instant,
        moment: &mut Moment<'_>,
        srtp: &mut Srtp,
        mut emit: impl FnMut(&[u8]),
    ) -> bool {
        let Some(due) = self.next.filter(|due| *due <= now) else {
            return false;
        };
        let Some(section) = &self.section else {
            return false;
        };
        let frames: Vec<_> = self
            .streams
            .iter_mut()
            .map(|stream| stream.replay().advance())
            .collect();
        let duration = frames.first().map_or(REPORT_INTERVAL, |played| played.duration());
        self.next = Some(if now.saturating_duration_since(due) > LATEST {
            now + duration
        } else {
            due + duration
        });
        if !self.active {
            if self.setup.source != Source::Audio {
                return true;
            }
            self.silent_frames += 1;
            if self.silent_frames < SILENCE_FRAMES {
                return true;
            }
            self.silent_frames = 0;
        }
        self.sequence = self.sequence.wrapping_add(1);
        let silent = !self.active;
        if self.setup.source == Source::Audio && !silent {
            Talk::note(&mut self.talks, self.sequence);
        }
        for (layer, (stream, played)) in self.streams.iter_mut().zip(frames).enumerate() {
            let played = if silent { played.silenced() } else { played };
            let stamp = Stamp {
                sender: self.id,
                source: self.setup.source.number(),
                layer: layer as u8,
                sequence: self.sequence,
                sent_at_ns: moment.unix_ns,
            };
            stream.write_frame(section, moment, played, stamp, |packet| {
                if let Some(sealed) = srtp.seal(packet) {
                    emit(&sealed);
                }
            });
        }
        true
    }

    /// Writes a packet again that the server missed. Whether the stream is one of this source.
    pub(super) fn write_again(
        &mut self,
        ssrc: u32,
        seq: u16,
        moment: &mut Moment<'_>,
        srtp: &mut Srtp,
        emit: impl FnOnce(&[u8]),
    ) -> bool {
        let (Some(section), Some(stream)) = (
            &self.section,
            self.streams.iter_mut().find(|stream| stream.ssrc == ssrc),
        ) else {
            return false;
        };
        stream.write_again(section, moment, seq, |packet| {
            if let Some(sealed) = srtp.seal(packet) {
                emit(&sealed);
            }
        });
        true
    }

    /// Sender reports, if they are due.
    pub(super) fn poll_reports(&mut self, now: Instant, unix_ns: u64) -> Vec<Box<dyn RtcpPacket>> {
        if !self.started || now < self.next_report {
            return Vec::new();
        }
        self.next_report = now + REPORT_INTERVAL;
        let sent = self.streams.iter().filter(|stream| stream.packets > 0);
        sent.map(|stream| {
            let report = SenderReport {
                ssrc: stream.ssrc,
                ntp_time: ntp(unix_ns),
                rtp_time: stream.newest_time,
                packet_count: stream.packets as u32,
                octet_count: stream.octets as u32,
                ..Default::default()
            };
            Box::new(report) as Box<dyn RtcpPacket>
        })
        .collect()
    }
}

/// NTP's 32.32 fixed point (RFC 3550 section 4).
fn ntp(unix_ns: u64) -> u64 {
    const NS_PER_S: u64 = 1_000_000_000;
    let seconds = unix_ns / NS_PER_S + NTP_OFFSET_S;
    let fraction = ((unix_ns % NS_PER_S) << 32) / NS_PER_S;
    seconds << 32 | fraction
}
