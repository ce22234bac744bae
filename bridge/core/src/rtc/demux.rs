//! Which track and layer an authenticated packet belongs to (RFC 8843 section 9.2, RFC 8852).
//!
//! In order: a known SSRC, unless the packet names another section; mid with rid or repaired rid; a rid alone where it
//! is unique; mid alone; an SSRC the offer declared; a payload type only one section uses. What is found is kept.

use super::rtp::{ExtensionElements, RtpHeader};
use super::sdp::ExtensionIds;
use relay_proto::datagram::MAX_DESCRIPTOR_BYTES;
use relay_proto::id::{Layer, TrackSid};
use relay_proto::room::Codec;
use std::collections::BTreeMap;

/// A publishing section as packets are matched to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UplinkSection {
    pub(crate) mid: String,
    pub(crate) track: TrackSid,
    pub(crate) codec: Codec,
    pub(crate) pt: u8,
    pub(crate) rtx_pt: Option<u8>,
    /// Payload type of redundant sound.
    pub(crate) red_pt: Option<u8>,
    /// Missing packets may be asked for again.
    pub(crate) repaired: bool,
    /// Empty without simulcast.
    pub(crate) rids: Vec<(String, Layer)>,
    /// Media SSRCs of `a=ssrc`, without those of retransmissions.
    pub(crate) declared: Vec<u32>,
    /// Media and retransmission SSRC of `a=ssrc-group:FID`.
    pub(crate) repaired_by: Vec<(u32, u32)>,
}

impl UplinkSection {
    fn layer_of(&self, rid: &str) -> Option<Layer> {
        self.rids
            .iter()
            .find(|(name, _)| name == rid)
            .map(|(_, layer)| *layer)
    }
}

/// Where an SSRC leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// Index of the section.
    pub(crate) section: usize,
    pub(crate) layer: Layer,
    /// Carries retransmissions.
    pub(crate) rtx: bool,
}

/// The header extensions of one packet that matter here.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tags<'p> {
    pub(crate) mid: Option<&'p str>,
    pub(crate) rid: Option<&'p str>,
    pub(crate) repaired_rid: Option<&'p str>,
    pub(crate) level: Option<u8>,
    pub(crate) transport_seq: Option<u16>,
    pub(crate) descriptor: Option<&'p [u8]>,
}

impl<'p> Tags<'p> {
    pub(crate) fn read(elements: ExtensionElements<'p>, ids: &ExtensionIds) -> Self {
        let mut tags = Self::default();
        for (id, data) in elements {
            let id = Some(id);
            if id == ids.transport_cc {
                tags.transport_seq = data.first_chunk().map(|bytes| u16::from_be_bytes(*bytes));
            } else if id == ids.audio_level {
                tags.level = data.first().copied();
            } else if id == ids.dependency {
                tags.descriptor = Some(data).filter(|data| data.len() <= MAX_DESCRIPTOR_BYTES);
            } else if id == ids.mid {
                tags.mid = std::str::from_utf8(data).ok();
            } else if id == ids.rid {
                tags.rid = std::str::from_utf8(data).ok();
            } else if id == ids.repaired_rid {
                tags.repaired_rid = std::str::from_utf8(data).ok();
            }
        }
        tags
    }
}

/// The publishing sections of one client and the SSRCs found so far.
#[derive(Debug, Default)]
pub(crate) struct Demux {
    sections: Vec<UplinkSection>,
    routes: BTreeMap<u32, Route>,
    max_routes: usize,
}

impl Demux {
    pub(crate) fn new(max_routes: usize) -> Self {
        Self {
            max_routes,
            ..Self::default()
        }
    }

    /// Replaces the sections. SSRCs stay bound to sections that carry the same track as before.
    pub(crate) fn set_sections(&mut self, sections: Vec<UplinkSection>) {
        let before = std::mem::replace(&mut self.sections, sections);
        let moved: Vec<Option<usize>> = before
            .iter()
            .map(|old| {
                self.sections
                    .iter()
                    .position(|new| new.mid == old.mid && new.track == old.track && new.rids == old.rids)
            })
            .collect();
        self.routes.retain(|_, route| match moved[route.section] {
            Some(section) => {
                route.section = section;
                true
            }
            None => false,
        });
    }

    pub(crate) fn section(&self, index: usize) -> Option<&UplinkSection> {
        self.sections.get(index)
    }

    /// Where a packet leads; none if nothing matches. Cost for a known SSRC: one tree look-up.
    pub(crate) fn route(&mut self, header: &RtpHeader, tags: &Tags<'_>) -> Option<Route> {
        if let Some(&route) = self.routes.get(&header.ssrc)
            && tags.mid.is_none_or(|mid| self.sections[route.section].mid == mid)
        {
            return self.carries(route, header.payload_type).then_some(route);
        }
        let route = self
            .find(header, tags)
            .filter(|route| self.carries(*route, header.payload_type))?;
        if self.routes.len() < self.max_routes || self.routes.contains_key(&header.ssrc) {
            self.routes.insert(header.ssrc, route);
        }
        Some(route)
    }

    /// The known route of an SSRC.
    pub(crate) fn known(&self, ssrc: u32) -> Option<Route> {
        self.routes.get(&ssrc).copied()
    }

    /// The SSRC on which a layer's media arrives.
    pub(crate) fn media_ssrc(&self, section: usize, layer: Layer) -> Option<u32> {
        let wanted = Route {
            section,
            layer,
            rtx: false,
        };
        self.routes
            .iter()
            .find(|(_, route)| **route == wanted)
            .map(|(ssrc, _)| *ssrc)
    }

    /// Any SSRC of the client.
    pub(crate) fn any_ssrc(&self) -> Option<u32> {
        self.routes.keys().next().copied()
    }

    fn carries(&self, route: Route, payload_type: u8) -> bool {
        let section = &self.sections[route.section];
        if route.rtx {
            section.rtx_pt == Some(payload_type)
        } else {
            section.pt == payload_type || section.red_pt == Some(payload_type)
        }
    }

    fn find(&self, header: &RtpHeader, tags: &Tags<'_>) -> Option<Route> {
        let rid = tags.rid.or(tags.repaired_rid);
        match (tags.mid, rid) {
            (Some(mid), rid) => {
                let section = self.sections.iter().position(|section| section.mid == mid)?;
                self.within(section, rid, header)
            }
            (None, Some(rid)) => {
                let named = |section: &UplinkSection| section.layer_of(rid).is_some();
                self.within(self.only(named)?, Some(rid), header)
            }
            (None, None) => self.declared(header.ssrc).or_else(|| {
                let uses = |section: &UplinkSection| {
                    let pt = header.payload_type;
                    section.pt == pt || section.rtx_pt == Some(pt) || section.red_pt == Some(pt)
                };
                self.within(self.only(uses)?, None, header)
            }),
        }
    }

    /// The layer within a section; without a rid only a section without layers will do.
    fn within(&self, index: usize, rid: Option<&str>, header: &RtpHeader) -> Option<Route> {
        let section = &self.sections[index];
        let layer = match rid {
            Some(rid) => section.layer_of(rid)?,
            None if section.rids.is_empty() => Layer(0),
            None => return None,
        };
        Some(Route {
            section: index,
            layer,
            rtx: section.rtx_pt == Some(header.payload_type),
        })
    }

    fn declared(&self, ssrc: u32) -> Option<Route> {
        self.sections.iter().enumerate().find_map(|(index, section)| {
            let rtx = section.repaired_by.iter().any(|(_, repair)| *repair == ssrc);
            let known = section.rids.is_empty() && (rtx || section.declared.contains(&ssrc));
            known.then_some(Route {
                section: index,
                layer: Layer(0),
                rtx,
            })
        })
    }

    /// The one section that fulfils a condition; none if there are several.
    fn only(&self, condition: impl Fn(&UplinkSection) -> bool) -> Option<usize> {
        let mut found = (0..self.sections.len()).filter(|index| condition(&self.sections[*index]));
        found.next().filter(|_| found.next().is_none())
    }
}

#[cfg(test)]
mod tests;
