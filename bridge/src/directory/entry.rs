//! How the directory is written in etcd: one key for each node in each room, `<prefix>rooms/<room>/<node>`, with JSON that
//! operators can read (`etcdctl get --prefix /causeway/rooms/`).

use crate::config::is_node_name;
use bridge_core::mesh::directory::HostEntry;
use relay_proto::id::{Epoch, NodeId, RoomName};
use serde::{Deserialize, Serialize};

/// Longest value that is looked at, in bytes: ours have some seventy.
const MAX_VALUE_BYTES: usize = 512;
/// More people than any room has: whoever adds the numbers of many nodes up must not overflow.
const MAX_PARTICIPANTS: u32 = 1_000_000;

/// What stands in etcd. Fields of later versions are ignored.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    incarnation: u64,
    epoch: u32,
    /// Missing once the node has left the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    participants: Option<u32>,
}

/// Which keys are ours.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
    node: String,
}

impl Keys {
    /// Keys below `prefix`, of the node called `node`.
    pub(super) fn new(prefix: &str, node: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            node: node.to_owned(),
        }
    }

    /// What all keys of a room begin with.
    pub(super) fn of_room(&self, room: &RoomName) -> Vec<u8> {
        let mut key = format!("{}rooms/", self.prefix);
        for byte in room.as_str().bytes() {
            // Unreserved characters of RFC 3986 stand for themselves.
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                key.push(char::from(byte));
            } else {
                key.push_str(&format!("%{byte:02X}"));
            }
        }
        key.push('/');
        key.into_bytes()
    }

    /// The key of this node in a room.
    pub(super) fn ours(&self, room: &RoomName) -> Vec<u8> {
        let mut key = self.of_room(room);
        key.extend_from_slice(self.node.as_bytes());
        key
    }

    /// A key that nobody writes.
    pub(super) fn nothing(&self) -> Vec<u8> {
        format!("{}nothing", self.prefix).into_bytes()
    }
}

/// The end of the range of keys that begin with `prefix`, as etcd wants it.
pub(super) fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}

/// The node a key is of, given what all keys of its room begin with; none of keys that are none of ours.
pub(super) fn node_of(key: &[u8], of_room: &[u8]) -> Option<NodeId> {
    let name = std::str::from_utf8(key.strip_prefix(of_room)?).ok()?;
    is_node_name(name).then(|| NodeId::of(name))
}

/// A value as it is written.
pub(super) fn written(entry: &HostEntry) -> Vec<u8> {
    let written = Written {
        incarnation: entry.incarnation,
        epoch: entry.epoch.0,
        participants: entry.participants,
    };
    serde_json::to_vec(&written).expect("invariant: numbers can be written as JSON")
}

/// The entry of `node` that a value holds; none of values that are none of ours.
pub(super) fn read(node: NodeId, value: &[u8]) -> Option<HostEntry> {
    if value.len() > MAX_VALUE_BYTES {
        return None;
    }
    let written: Written = serde_json::from_slice(value).ok()?;
    Some(HostEntry {
        node,
        incarnation: written.incarnation,
        epoch: Epoch(written.epoch),
        participants: written.participants.map(|people| people.min(MAX_PARTICIPANTS)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(participants: Option<u32>) -> HostEntry {
        HostEntry {
            node: NodeId::of("fra"),
            incarnation: 1_790_000_000_000,
            epoch: Epoch(7),
            participants,
        }
    }

    #[test]
    fn what_is_written_is_read_again_and_later_fields_do_no_harm() {
        for entry in [entry(Some(3)), entry(None)] {
            assert_eq!(read(entry.node, &written(&entry)), Some(entry));
        }
        let later = br#"{"incarnation":1790000000000,"epoch":7,"participants":3,"mood":"fine"}"#;
        assert_eq!(read(NodeId::of("fra"), later), Some(entry(Some(3))));
    }

    #[test]
    fn nobody_claims_more_people_than_can_be_added_up() {
        let value = br#"{"incarnation":1,"epoch":1,"participants":4294967295}"#;
        let read = read(NodeId::of("fra"), value).unwrap();
        assert_eq!(read.participants, Some(MAX_PARTICIPANTS));
    }

    #[test]
    fn garbage_is_no_entry() {
        let long = format!("{{\"incarnation\":1,\"epoch\":1,\"x\":\"{}\"}}", "x".repeat(600));
        for value in [
            "",
            "{}",
            "[]",
            "null",
            "{\"incarnation\":-1,\"epoch\":1}",
            "{\"incarnation\":1,\"epoch\":99999999999}",
            &long,
        ] {
            assert_eq!(read(NodeId::of("fra"), value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn rooms_whatever_their_names_do_not_hold_each_others_keys() {
        let keys = Keys::new("/causeway/", "fra");
        let names = ["a", "a/b", "a%2Fb", "a/", "ä", "a b", "A"];
        for name in names {
            let of_room = keys.of_room(&name.into());
            assert_eq!(
                node_of(&keys.ours(&name.into()), &of_room),
                Some(NodeId::of("fra"))
            );
            for other in names.iter().filter(|other| **other != name) {
                assert_eq!(
                    node_of(&keys.ours(&(*other).into()), &of_room),
                    None,
                    "{other} in {name}"
                );
            }
        }
        assert_eq!(keys.ours(&"a/b c".into()), b"/causeway/rooms/a%2Fb%20c/fra");
    }

    #[test]
    fn keys_of_strangers_are_of_no_node() {
        for key in [
            "/causeway/rooms/a/",
            "/causeway/rooms/a/fra/x",
            "/causeway/rooms/a/FRA",
            "/other",
        ] {
            assert_eq!(node_of(key.as_bytes(), b"/causeway/rooms/a/"), None, "{key}");
        }
        assert_eq!(
            node_of(
                &[b"/causeway/rooms/a/".as_slice(), &[0xff]].concat(),
                b"/causeway/rooms/a/"
            ),
            None
        );
    }

    #[test]
    fn a_range_ends_behind_all_keys_with_its_prefix() {
        assert_eq!(end_of(b"ab/"), b"ab0");
        assert_eq!(end_of(&[b'a', 0xff]), b"b");
        assert_eq!(end_of(&[0xff]), [0]);
    }
}
