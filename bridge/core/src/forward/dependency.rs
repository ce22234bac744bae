//! The dependency descriptor, a header extension that says of each packet which layer it is of and what that depends on
//! (AOM, "RTP Payload Format For AV1" 1.0, appendix A), as far as a forwarder needs it.
//!
//! A keyframe brings the *structure*: a list of templates, one for each kind of frame. Every other packet names its
//! template, so that three bytes are enough.

use super::svc::SvcPosition;
use relay_proto::id::MAX_LAYERS;

/// Where the 16-bit number of the frame stands.
pub const FRAME_NUMBER_AT: usize = 1;
/// Length of the fields every descriptor has.
const MANDATORY_BYTES: usize = 3;
/// Most templates of a structure: ids have six bits.
const MAX_TEMPLATES: usize = 64;
/// Most decode targets: their number has five bits.
const MAX_TARGETS: usize = 32;
/// Most spatial layers: ids have two bits.
const MAX_SPATIAL: u8 = 4;
/// Most temporal layers: ids have three bits.
const MAX_TEMPORAL: u8 = 8;
/// A decode target indication: all that follows of this target is decodable if this frame is.
const SWITCH: u8 = 2;
/// What stands for a frame that is not of a decode target.
const NOT_PRESENT: u8 = 0;

/// One kind of frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Template {
    spatial: u8,
    temporal: u8,
    /// Indications, two bits for each decode target, the first in the lowest.
    targets: u64,
    /// The temporal layer a receiver may go up to at such a frame.
    up_to: u8,
}

/// What a keyframe says of all frames until the next one. Its memory is used again by the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DependencyStructure {
    offset: u8,
    targets: u8,
    count: u8,
    templates: [Template; MAX_TEMPLATES],
    /// The largest spatial and temporal layer of each decode target.
    reach: [(u8, u8); MAX_TARGETS],
}

/// What a descriptor says of its packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DependencyDescriptor {
    /// Where the packet stands.
    pub position: SvcPosition,
    /// It begins a keyframe: brings a structure.
    pub starts_keyframe: bool,
    /// Number of its frame.
    pub frame: u16,
}

/// The structure of a stream, kept from one keyframe to the next.
#[derive(Debug, Default)]
pub struct DependencyReader {
    structure: Option<Box<DependencyStructure>>,
    /// Frame that brought it.
    since: u16,
}

impl DependencyReader {
    /// Reads the descriptor of a packet, and takes over the structure it brings, unless that of a later keyframe is known.
    /// None where it is broken, or names a template nobody has described.
    ///
    /// Hot path: no allocation after the first keyframe; looks at a few bytes of most packets.
    pub fn read(&mut self, bytes: &[u8]) -> Option<DependencyDescriptor> {
        let mut bits = Bits { bytes, at: 0 };
        let starts_frame = bits.flag()?;
        let ends_frame = bits.flag()?;
        let template = bits.take(6)? as u8;
        let frame = bits.take(16)? as u16;
        let mut custom_targets = false;
        let mut brings = None;
        if bytes.len() > MANDATORY_BYTES {
            let brings_structure = bits.flag()?;
            let says_active = bits.flag()?;
            custom_targets = bits.flag()?;
            // Custom differences and chains come behind everything that is read here.
            bits.take(2)?;
            if brings_structure {
                brings = Some(DependencyStructure::read(&mut bits)?);
            }
            if says_active {
                let targets = brings.as_ref().or(self.structure.as_deref())?.targets;
                bits.take(u32::from(targets))?;
            }
        }
        let starts_keyframe = brings.is_some() && starts_frame;
        if let Some(brings) = brings {
            self.adopt(brings, frame);
        }
        let structure = self.structure.as_deref()?;
        let mut template = *structure.template(template)?;
        if custom_targets {
            template.targets = bits.targets(structure.targets)?;
            template.up_to = structure.up_to(&template);
        }
        Some(DependencyDescriptor {
            position: SvcPosition {
                spatial: template.spatial.min(MAX_LAYERS as u8 - 1),
                temporal: template.temporal,
                starts_frame,
                ends_frame,
                up_to: template.up_to,
            },
            starts_keyframe,
            frame,
        })
    }

    fn adopt(&mut self, brings: DependencyStructure, frame: u16) {
        let is_older = (frame.wrapping_sub(self.since) as i16) < 0;
        match &mut self.structure {
            // A repair of an earlier keyframe: its own templates are not needed any more.
            Some(_) if is_older => {}
            Some(known) => {
                **known = brings;
                self.since = frame;
            }
            none => {
                *none = Some(Box::new(brings));
                self.since = frame;
            }
        }
    }
}

impl DependencyStructure {
    /// Reads `template_dependency_structure` (A.4.1).
    fn read(bits: &mut Bits<'_>) -> Option<Self> {
        let mut structure = Self {
            offset: bits.take(6)? as u8,
            targets: bits.take(5)? as u8 + 1,
            count: 0,
            templates: [Template::default(); MAX_TEMPLATES],
            reach: [(0, 0); MAX_TARGETS],
        };
        structure.read_layers(bits)?;
        for at in 0..structure.count {
            structure.templates[usize::from(at)].targets = bits.targets(structure.targets)?;
        }
        structure.take_stock();
        for _ in 0..structure.count {
            while bits.flag()? {
                bits.take(4)?;
            }
        }
        let chains = bits.non_symmetric(u32::from(structure.targets) + 1)?;
        if chains > 0 {
            for _ in 0..structure.targets {
                bits.non_symmetric(chains)?;
            }
            for _ in 0..u32::from(structure.count) * chains {
                bits.take(4)?;
            }
        }
        if bits.flag()? {
            let spatial = structure.templates[..usize::from(structure.count)]
                .last()
                .map_or(0, |last| last.spatial);
            for _ in 0..=spatial {
                bits.take(32)?;
            }
        }
        Some(structure)
    }

    fn read_layers(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        let mut next = Template::default();
        loop {
            *self.templates.get_mut(usize::from(self.count))? = next;
            self.count += 1;
            match bits.take(2)? {
                0 => {}
                1 => next.temporal += 1,
                2 => (next.spatial, next.temporal) = (next.spatial + 1, 0),
                _ => return Some(()),
            }
            if next.spatial >= MAX_SPATIAL || next.temporal >= MAX_TEMPORAL {
                return None;
            }
        }
    }

    fn template(&self, id: u8) -> Option<&Template> {
        let at = id.wrapping_sub(self.offset) % MAX_TEMPLATES as u8;
        self.templates[..usize::from(self.count)].get(usize::from(at))
    }

    /// Notes the largest layers of each decode target, and where templates let a receiver go up.
    fn take_stock(&mut self) {
        let templates = &mut self.templates[..usize::from(self.count)];
        for target in 0..self.targets {
            let reach = &mut self.reach[usize::from(target)];
            for template in templates.iter() {
                if template.indication(target) != NOT_PRESENT {
                    reach.0 = reach.0.max(template.spatial);
                    reach.1 = reach.1.max(template.temporal);
                }
            }
        }
        for at in 0..usize::from(self.count) {
            self.templates[at].up_to = self.up_to(&self.templates[at]);
        }
    }

    /// The largest temporal layer of the decode targets a frame switches, among those of its own spatial layer and of
    /// more than its own temporal layer; 0 where there are none.
    fn up_to(&self, template: &Template) -> u8 {
        let switched = (0..self.targets).filter(|target| template.indication(*target) == SWITCH);
        switched
            .map(|target| self.reach[usize::from(target)])
            .filter(|(spatial, temporal)| *spatial == template.spatial && *temporal > template.temporal)
            .map(|(_, temporal)| temporal)
            .max()
            .unwrap_or_default()
    }
}

impl Template {
    const fn indication(&self, target: u8) -> u8 {
        (self.targets >> (2 * target)) as u8 & 0x03
    }
}

/// Reads bits, the highest of a byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn flag(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// `f(n)`, n at most 32.
    fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            value = value << 1 | u32::from(self.flag()?);
        }
        Some(value)
    }

    /// `ns(n)`: a number below `n`.
    fn non_symmetric(&mut self, n: u32) -> Option<u32> {
        let width = u32::BITS - n.leading_zeros();
        let short = (1 << width) - n;
        let value = self.take(width.saturating_sub(1))?;
        if value < short {
            return Some(value);
        }
        Some((value << 1) - short + u32::from(self.flag()?))
    }

    /// Indications of `count` decode targets.
    fn targets(&mut self, count: u8) -> Option<u64> {
        let mut targets = 0;
        for target in 0..count {
            targets |= u64::from(self.take(2)?) << (2 * target);
        }
        Some(targets)
    }
}

#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
