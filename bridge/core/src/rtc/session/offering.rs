//! The other way round: this side offers what the client shall receive, the client answers.
//!
//! Sections are only ever added, one that carried a track is offered inactive once before it carries another, and the
//! next offer waits for the answer to the last (RFC 9429 sections 5.2.2 and 5.3). An offer is decided on as if a client
//! had offered our sections, which makes the assignment the same in both directions.

use super::{NegotiationError, Remote, Session};
use crate::rtc::io::{Accepted, Downlink, Offered, Wanted};
use crate::rtc::sdp::{AnswerHead, Offer, Section, SectionKind, our_section, write_answer};
use std::time::Instant;

/// What this side has offered.
#[derive(Debug, Default)]
pub(super) struct OwnOffer {
    sections: Vec<Section>,
    waiting: Option<Waiting>,
}

/// An offer without an answer.
#[derive(Debug)]
struct Waiting {
    offer_id: u32,
    downlinks: Vec<Downlink>,
    offer_again: bool,
}

impl Session {
    /// Offers what the client shall receive, `wanted` in order of priority; data channels are opened from this side, too.
    /// None while an offer waits for its answer, and after the end. Cost: about 50 µs per section.
    pub fn offer(&mut self, now: Instant, wanted: &[Wanted<'_>]) -> Option<Offered> {
        if self.ended || self.own_offer.waiting.is_some() {
            return None;
        }
        if self.own_offer.sections.is_empty() {
            self.own_offer.sections.push(our_section(SectionKind::Data, 0));
            self.data.open_channels();
        }
        if self.keys.is_none() {
            self.deadline
                .get_or_insert(now + self.config.limits.handshake_timeout);
        }
        self.add_sections(wanted);
        let assigned = self
            .assignments
            .apply(&self.own_offer.sections, &[], wanted, &mut self.random);
        self.version += 1;
        let head = AnswerHead {
            session_id: self.session_id,
            version: self.version,
            credentials: self.ice.credentials(),
            fingerprint: self.config.certificate.fingerprint(),
            candidates: &self.config.candidates,
            tcp_candidates: &self.config.tcp_candidates,
            allow_mixed: true,
            max_message_bytes: self.config.limits.max_data_message_bytes,
            offers: true,
        };
        let sdp = write_answer(&head, &assigned.answer);
        let sections = assigned
            .downlinks
            .iter()
            .map(|downlink| (downlink.mid.clone(), downlink.track.clone()))
            .collect();
        self.own_offer.waiting = Some(Waiting {
            offer_id: self.version,
            downlinks: assigned.downlinks,
            offer_again: assigned.offer_again,
        });
        Some(Offered {
            offer_id: self.version,
            sdp,
            sections,
        })
    }

    /// Adds the sections `wanted` lacks, up to the limit a client's offer has. What ends in the same offer does not count:
    /// it would serve one offer later only, and be missed until then. It is there for the next change.
    fn add_sections(&mut self, wanted: &[Wanted<'_>]) {
        let assigned =
            self.assignments
                .clone()
                .apply(&self.own_offer.sections, &[], wanted, &mut self.random);
        let missing = [
            (SectionKind::Audio, assigned.lacking_audios),
            (SectionKind::Video, assigned.lacking_videos),
        ];
        for (kind, count) in missing {
            for _ in 0..count {
                let position = self.own_offer.sections.len();
                if position < self.config.limits.max_sections {
                    self.own_offer.sections.push(our_section(kind, position));
                }
            }
        }
    }

    /// Applies the client's answer to the offer that waits for one; none if it answers another. An `offer_id` of 0 means
    /// that offer, too: older clients send no number.
    ///
    /// # Errors
    /// [`NegotiationError`]; nothing has changed then.
    pub fn accept(&mut self, offer_id: u32, answer: &str) -> Result<Option<Accepted>, NegotiationError> {
        if self.ended {
            return Err(NegotiationError::Ended);
        }
        let expected = |waiting: &Waiting| offer_id == 0 || waiting.offer_id == offer_id;
        if !self.own_offer.waiting.as_ref().is_some_and(expected) {
            return Ok(None);
        }
        let answer = Offer::parse(answer, &self.config.limits)?;
        self.check_sections(&answer)?;
        self.adopt_answerer(&answer)?;
        let Some(waiting) = self.own_offer.waiting.take() else {
            return Ok(None);
        };
        self.extension_ids = answer.extensions();
        if let Some(data) = answer.sections.iter().find(|it| it.kind == SectionKind::Data) {
            self.data.set_peer_limit(data.max_message_bytes);
        }
        let downlinks: Vec<Downlink> = waiting
            .downlinks
            .into_iter()
            .filter_map(|downlink| {
                let section = answer.sections.iter().find(|it| it.mid == downlink.mid)?;
                accepted(downlink, section)
            })
            .collect();
        self.note_downlinks(&downlinks);
        Ok(Some(Accepted {
            downlinks,
            offer_again: waiting.offer_again,
        }))
    }

    /// An answer has the sections of its offer, in its order (RFC 3264 section 6).
    fn check_sections(&self, answer: &Offer) -> Result<(), NegotiationError> {
        let ours = &self.own_offer.sections;
        let same = |(ours, theirs): (&Section, &Section)| ours.mid == theirs.mid && ours.kind == theirs.kind;
        if ours.len() == answer.sections.len() && ours.iter().zip(&answer.sections).all(same) {
            Ok(())
        } else {
            Err(NegotiationError::Unusable(
                "its sections are not those of the offer".to_owned(),
            ))
        }
    }

    /// Takes over the client's side of the transport; only an offer may change it.
    fn adopt_answerer(&mut self, answer: &Offer) -> Result<(), NegotiationError> {
        let remote = Remote {
            ufrag: answer.ufrag.clone(),
            password: answer.password.clone(),
            fingerprint: answer.fingerprint,
        };
        if self.remote.as_ref().is_some_and(|before| *before != remote) {
            return Err(NegotiationError::Unusable(
                "the client's credentials have changed without an offer".to_owned(),
            ));
        }
        self.remote = Some(remote);
        Ok(())
    }
}

/// What is left of an offered downlink after the answer; none if the client does not take it.
fn accepted(offered: Downlink, section: &Section) -> Option<Downlink> {
    if section.rejected || !section.receives {
        return None;
    }
    let matched = section
        .matched
        .iter()
        .find(|matched| matched.codec == offered.codec && matched.pt == offered.pt)?;
    let repaired = offered.rtx_pt.is_some() && matched.rtx_pt == offered.rtx_pt;
    let ids = section.extensions;
    let both = |ours: Option<u8>, theirs: Option<u8>| ours.filter(|_| ours == theirs);
    Some(Downlink {
        rtx_pt: offered.rtx_pt.filter(|_| repaired),
        red_pt: offered.red_pt.filter(|_| matched.red_pt == offered.red_pt),
        rtx_ssrc: offered.rtx_ssrc.filter(|_| repaired),
        mid_ext: both(offered.mid_ext, ids.mid),
        abs_send_time_ext: both(offered.abs_send_time_ext, ids.abs_send_time),
        dependency_ext: both(offered.dependency_ext, ids.dependency),
        audio_level_ext: both(offered.audio_level_ext, ids.audio_level),
        ..offered
    })
}
