//! What happens on the wires: dials, connections, frames and datagrams, and obedience to every output.

use super::net::{MeshNet, NodeIndex, SentBytes, SentMedia, ShardPort};
use super::pipe::{End, Frame};
use crate::mesh::directory::{DirectoryAnswer, DirectoryOrder};
use crate::mesh::io::{LinkDirection, LinkId, MeshOutput};
use relay_proto::codec;
use relay_proto::control::ControlMessage;
use relay_proto::datagram::{Header, Kind};
use std::time::Duration;

/// How long a node waits before it dials a peer again.
const DIAL_BACKOFF: Duration = Duration::from_millis(400);

#[derive(Clone, Debug)]
pub(super) enum Event {
    Dial {
        from: NodeIndex,
        to: NodeIndex,
    },
    Connected {
        connection: usize,
        end: usize,
        direction: LinkDirection,
    },
    Frame {
        connection: usize,
        end: usize,
    },
    Datagram {
        connection: usize,
        end: usize,
        bytes: Vec<u8>,
        probe: bool,
    },
    DirectoryOrder {
        node: NodeIndex,
        order: DirectoryOrder,
    },
    DirectoryAnswer {
        node: NodeIndex,
        answer: DirectoryAnswer,
    },
    LeaseEnds {
        node: NodeIndex,
        incarnation: u64,
    },
}

impl SentBytes {
    const fn count(&mut self, message: &ControlMessage, bytes: u64) {
        self.control += bytes;
        match message {
            ControlMessage::Rows(_) | ControlMessage::SignedRows(_) => self.rows += bytes,
            ControlMessage::RowDigest(_) | ControlMessage::RowSummary { .. } => self.questions += bytes,
            _ => {}
        }
    }
}

impl<S: ShardPort> MeshNet<S> {
    /// The node that an event is for.
    pub(super) fn reader(&self, event: &Event) -> NodeIndex {
        match event {
            Event::Dial { from, .. } => *from,
            Event::Connected { connection, end, .. }
            | Event::Frame { connection, end }
            | Event::Datagram { connection, end, .. } => self.connections[*connection][*end].node,
            Event::DirectoryOrder { node, .. }
            | Event::DirectoryAnswer { node, .. }
            | Event::LeaseEnds { node, .. } => *node,
        }
    }

    pub(super) fn happen(&mut self, event: Event) {
        match event {
            Event::Dial { from, to } => self.on_dial(from, to),
            Event::Connected {
                connection,
                end,
                direction,
            } => self.on_connected(connection, end, direction),
            Event::Frame { connection, end } => self.on_frame(connection, end),
            Event::Datagram {
                connection,
                end,
                bytes,
                probe,
            } => {
                self.on_datagram(connection, end, bytes, probe);
            }
            Event::DirectoryOrder { node, order } => self.on_directory_order(node, order),
            Event::DirectoryAnswer { node, answer } => self.on_directory_answer(node, answer),
            Event::LeaseEnds { node, incarnation } => self.on_lease_ends(node, incarnation),
        }
    }

    /// What the shell does: dial whoever has no link, again and again.
    fn on_dial(&mut self, from: NodeIndex, to: NodeIndex) {
        if self.nodes[from].core.is_none() {
            return;
        }
        let pause = DIAL_BACKOFF + self.chance.up_to(DIAL_BACKOFF / 4);
        self.schedule(self.now + pause, Event::Dial { from, to });
        let (there, back) = (self.paths[&(from, to)], self.paths[&(to, from)]);
        let linked = self.nodes[from].selected.contains_key(&self.id(to));
        let stopped = self.nodes[from]
            .core
            .as_ref()
            .is_none_or(|core| core.poll_timeout().is_none());
        if linked || stopped || there.cut || back.cut || self.nodes[to].core.is_none() {
            return;
        }
        let dialler = End::new(from, self.new_link(from, 0));
        let acceptor = End::new(to, self.new_link(to, 1));
        let connection = self.connections.len();
        self.connections.push([dialler, acceptor]);
        let accepted_at = self.now + there.delay;
        let direction = LinkDirection::Dialled;
        self.schedule(
            accepted_at + back.delay,
            Event::Connected {
                connection,
                end: 0,
                direction,
            },
        );
        let direction = LinkDirection::Accepted;
        self.schedule(
            accepted_at,
            Event::Connected {
                connection,
                end: 1,
                direction,
            },
        );
    }

    fn new_link(&mut self, node: NodeIndex, end: usize) -> LinkId {
        let connection = self.connections.len();
        let node = &mut self.nodes[node];
        let link = LinkId(node.next_link);
        node.next_link += 1;
        node.links.insert(link, (connection, end));
        link
    }

    fn on_connected(&mut self, connection: usize, end: usize, direction: LinkDirection) {
        let now = self.now;
        let [ours, theirs] = ends(&mut self.connections[connection], end);
        if !ours.open {
            return;
        }
        if !theirs.open && end == 0 {
            // The acceptor has died in the meantime; the dialler's handshake would time out.
            ours.open = false;
            return;
        }
        let (node, link) = (ours.node, ours.link);
        self.with_core(node, |core| core.handle_link_up(now, link, direction));
    }

    fn on_frame(&mut self, connection: usize, end: usize) {
        let now = self.now;
        let ours = &mut self.connections[connection][end];
        let Some((_, frame)) = ours.inbound.pop_front() else {
            return;
        };
        if !ours.open {
            return;
        }
        let (node, link) = (ours.node, ours.link);
        match frame {
            Frame::Control(message) => {
                self.with_core(node, |core| core.handle_control(now, link, *message));
            }
            Frame::Close => {
                ours.open = false;
                self.nodes[node].links.remove(&link);
                self.with_core(node, |core| core.handle_link_down(now, link));
            }
        }
    }

    fn on_datagram(&mut self, connection: usize, end: usize, bytes: Vec<u8>, probe: bool) {
        let now = self.now;
        let from = self.connections[connection][1 - end].node;
        let ours = &mut self.connections[connection][end];
        if !ours.open {
            return;
        }
        ours.heard += 1;
        let (node, link, heard) = (ours.node, ours.link, ours.heard);
        self.with_core(node, |core| core.handle_heard(link, heard, now));
        if probe {
            self.with_core(node, |core| core.handle_probe(now, link, &bytes));
            return;
        }
        let Ok((header, _)) = Header::decode(&bytes) else {
            return;
        };
        let from = self.id(from);
        for shard in self.routed(node, header.origin, header.track) {
            self.nodes[node]
                .shards
                .handle_datagram(now, shard, from, bytes.clone());
        }
        self.drain(node);
    }

    pub(super) fn drain(&mut self, index: NodeIndex) {
        self.drain_outputs(index);
        let node = &mut self.nodes[index];
        node.core_due = node.core.as_ref().and_then(|core| Some(core.poll_timeout()?.0));
    }

    fn drain_outputs(&mut self, index: NodeIndex) {
        loop {
            let node = &mut self.nodes[index];
            let Some(core) = node.core.as_mut() else {
                return;
            };
            if let Some(output) = core.poll_output() {
                self.obey(index, output);
            } else if let Some((shard, fact)) = node.shards.poll_fact() {
                core.handle_shard_fact(self.now, shard, fact);
            } else if let Some((peer, bytes)) = node.shards.poll_datagram() {
                if let Some(link) = node.selected.get(&peer).copied() {
                    self.send_datagram(index, link, bytes, false);
                }
            } else {
                return;
            }
        }
    }

    fn obey(&mut self, index: NodeIndex, output: MeshOutput) {
        match output {
            MeshOutput::SendControl { link, message } => {
                let frame =
                    codec::encode(&message).expect("invariant: a core sends nothing that the codec refuses");
                self.nodes[index].sent.count(&message, frame.len() as u64);
                self.send_frame(index, link, Frame::Control(message));
            }
            MeshOutput::SendDatagram { link, bytes } => {
                self.nodes[index].sent.probes += bytes.len() as u64;
                self.send_datagram(index, link, bytes, true);
            }
            MeshOutput::CloseLink { link, cause } => {
                self.nodes[index].closed.push(cause);
                self.send_frame(index, link, Frame::Close);
                if let Some((connection, end)) = self.nodes[index].links.remove(&link) {
                    self.connections[connection][end].open = false;
                }
            }
            MeshOutput::SelectLink { peer, link } => {
                let selected = &mut self.nodes[index].selected;
                match link {
                    Some(link) => selected.insert(peer, link),
                    None => selected.remove(&peer),
                };
            }
            MeshOutput::ToShard { shard, command } => {
                self.nodes[index].shards.handle_command(self.now, shard, command);
            }
            MeshOutput::RouteTrack {
                origin,
                track,
                shards,
            } => {
                let tracks = &mut self.nodes[index].tracks;
                if shards.is_empty() {
                    tracks.remove(&(origin, track));
                } else {
                    tracks.insert((origin, track), shards);
                }
            }
            MeshOutput::Directory(order) => self.order_directory(index, order),
            MeshOutput::ToSignaling(fact) => {
                self.nodes[index].clients.note(&fact);
                self.facts[index].push(fact);
            }
        }
    }

    /// Lets a node say something to another one that its machine would not.
    pub fn say(&mut self, from: NodeIndex, to: NodeIndex, message: ControlMessage) {
        let link = self.nodes[from].selected.get(&self.id(to)).copied();
        let link = link.expect("invariant: whoever lies has a link to do it on");
        self.send_frame(from, link, Frame::Control(Box::new(message)));
    }

    fn send_frame(&mut self, from: NodeIndex, link: LinkId, frame: Frame) {
        let Some(&(connection, end)) = self.nodes[from].links.get(&link) else {
            return;
        };
        let theirs = &mut self.connections[connection][1 - end];
        let path = self.paths[&(from, theirs.node)];
        if let Some(at) = theirs.send(self.now, frame, &path, &mut self.chance) {
            self.schedule(
                at,
                Event::Frame {
                    connection,
                    end: 1 - end,
                },
            );
        }
    }

    fn send_datagram(&mut self, from: NodeIndex, link: LinkId, bytes: Vec<u8>, probe: bool) {
        let Some(&(connection, end)) = self.nodes[from].links.get(&link) else {
            return;
        };
        let to = self.connections[connection][1 - end].node;
        if let Some(media) = &mut self.media
            && let Ok((header, _)) = Header::decode(&bytes)
            && header.kind == Kind::Media
        {
            media.push(SentMedia { from, to, header });
        }
        if let Some(at) = self.paths[&(from, to)].datagram_arrival(self.now, &mut self.chance) {
            self.schedule(
                at,
                Event::Datagram {
                    connection,
                    end: 1 - end,
                    bytes,
                    probe,
                },
            );
        }
    }
}

/// Both ends, the one called `end` first.
const fn ends(connection: &mut [End; 2], end: usize) -> [&mut End; 2] {
    let [first, second] = connection;
    if end == 0 {
        [first, second]
    } else {
        [second, first]
    }
}
