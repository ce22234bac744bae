//! What a node says at `/api/mesh` of the media it has sent over its links.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Media over one link, or one layer of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct MediaCount {
    /// Packets.
    pub datagrams: u64,
    /// Their bytes as they were published.
    pub bytes: u64,
    /// Of these packets, those that had crossed before.
    pub repeated: u64,
}

impl MediaCount {
    /// What has been counted since `earlier`.
    #[must_use]
    pub const fn since(&self, earlier: &Self) -> Self {
        Self {
            datagrams: self.datagrams.saturating_sub(earlier.datagrams),
            bytes: self.bytes.saturating_sub(earlier.bytes),
            repeated: self.repeated.saturating_sub(earlier.repeated),
        }
    }
}

/// What a link to one peer has carried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Number of the link: with another one, counters have begun anew.
    pub link: Option<u64>,
    /// All media.
    pub media: MediaCount,
    /// The same by track and layer.
    pub streams: BTreeMap<(String, u8), MediaCount>,
}

/// What a node has sent, by the name of the peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Feed {
    /// See there.
    pub sent: BTreeMap<String, Sent>,
}

#[derive(Deserialize)]
struct RawFeed {
    peers: Vec<RawPeer>,
}

#[derive(Deserialize)]
struct RawPeer {
    node: String,
    link: Option<u64>,
    #[serde(default)]
    media: MediaCount,
    #[serde(default)]
    streams: Vec<RawStream>,
}

#[derive(Deserialize)]
struct RawStream {
    track: String,
    layer: u8,
    #[serde(flatten)]
    media: MediaCount,
}

impl Feed {
    /// Reads an answer; `None` for one that is no such feed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let raw: RawFeed = serde_json::from_str(text).ok()?;
        let peers = raw.peers.into_iter().map(|peer| {
            let streams = peer.streams.into_iter();
            let sent = Sent {
                link: peer.link,
                media: peer.media,
                streams: streams
                    .map(|stream| ((stream.track, stream.layer), stream.media))
                    .collect(),
            };
            (peer.node, sent)
        });
        Some(Self {
            sent: peers.collect(),
        })
    }

    /// What has been sent to each peer since `earlier`; nothing of links that are new since then.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let same_link = |peer: &str, sent: &Sent| {
            let before = earlier.sent.get(peer)?;
            (before.link == sent.link).then_some(before)
        };
        let peers = self.sent.iter().filter_map(|(peer, sent)| {
            let before = same_link(peer, sent)?;
            let streams = sent.streams.iter().map(|(key, media)| {
                let began = before.streams.get(key).copied().unwrap_or_default();
                (key.clone(), media.since(&began))
            });
            let since = Sent {
                link: sent.link,
                media: sent.media.since(&before.media),
                streams: streams.collect(),
            };
            Some((peer.clone(), since))
        });
        Self {
            sent: peers.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(link: u64, datagrams: u64) -> Feed {
        let text = format!(
            r#"{{"node":"a","peers":[{{"node":"b","link":{link},"rtt_ms":1.5,
            "media":{{"datagrams":{datagrams},"bytes":900,"repeated":1}},
            "streams":[{{"track":"TR_x","layer":2,"datagrams":{datagrams}}}]}}]}}"#
        );
        Feed::parse(&text).unwrap()
    }

    #[test]
    fn the_difference_of_two_answers_is_what_has_crossed_between_them() {
        let since = feed(3, 50).since(&feed(3, 20));
        let b = &since.sent["b"];
        assert_eq!((b.media.datagrams, b.media.bytes, b.media.repeated), (30, 0, 0));
        assert_eq!(b.streams[&("TR_x".to_owned(), 2)].datagrams, 30);
        assert!(
            feed(4, 50).since(&feed(3, 20)).sent.is_empty(),
            "a link that is new"
        );
        assert_eq!(Feed::parse("{}"), None);
    }
}
