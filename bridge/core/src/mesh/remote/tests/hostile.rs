//! A node with a valid certificate that reaches for sessions of others.

use super::mesh::{ENTRY, MEDIA, Net, steered};
use crate::mesh::testing::join_command;
use relay_proto::id::{NodeId, SessionId};
use relay_proto::room::{ConnectionQuality, LeaveCause};
use relay_proto::session::{EndCause, RoomChange, SessionCommand, SessionFact};
use relay_proto::steering::SteeringStep;

/// The third node, which has nothing to do with the session.
const LIAR: usize = 2;

/// Lets the liar say something to `node`; how often that has been refused since.
fn said(net: &mut Net, node: usize, step: SteeringStep) -> u64 {
    let (now, liar) = (net.now(), net.id(LIAR));
    let refused = |net: &Net| net.core(node).unwrap().view().counters.steps_refused;
    let before = refused(net);
    net.with_core(node, |core| core.on_next_step(now, liar, step));
    refused(net) - before
}

fn command(command: SessionCommand) -> SteeringStep {
    SteeringStep::Command(Box::new(command))
}

fn fact(fact: SessionFact) -> SteeringStep {
    SteeringStep::Fact(Box::new(fact))
}

#[test]
fn it_cannot_command_sessions_of_another_node_nor_open_any_in_its_name() {
    let (mut net, session) = steered("kai");
    let cause = LeaveCause::Removed;
    let close = command(SessionCommand::CloseSession { session, cause });
    assert_eq!(said(&mut net, MEDIA, close), 1);
    let own = SessionId {
        entry: net.id(MEDIA),
        serial: 1,
    };
    for entry in [net.id(ENTRY), own.entry] {
        let open = command(join_command(entry, 77, "room", "eve"));
        assert_eq!(said(&mut net, MEDIA, open), 1);
    }
    assert_eq!(
        net.core(MEDIA).unwrap().view().rooms[0]
            .participants
            .values()
            .sum::<u32>(),
        1
    );
}

#[test]
fn it_cannot_steer_its_sessions_through_this_node() {
    let (mut net, _) = steered("kai");
    let SessionCommand::OpenSession(open) = join_command(net.id(LIAR), 5, "room", "eve") else {
        unreachable!("the command opens a session");
    };
    let (node, reason) = (net.id(ENTRY), String::new());
    let open = command(SessionCommand::OpenElsewhere { node, reason, open });
    assert_eq!(said(&mut net, MEDIA, open), 1);
    assert_eq!(net.core(MEDIA).unwrap().view().steered, []);
}

#[test]
fn it_is_not_believed_of_sessions_that_are_elsewhere() {
    let (mut net, session) = steered("kai");
    net.take_facts(ENTRY);
    let cause = EndCause::ConsentExpired;
    assert_eq!(
        said(
            &mut net,
            ENTRY,
            fact(SessionFact::SessionEnded { session, cause })
        ),
        1
    );
    let foreign = SessionId {
        entry: NodeId(9),
        serial: 1,
    };
    assert_eq!(
        said(
            &mut net,
            ENTRY,
            fact(SessionFact::TransportConnected { session: foreign })
        ),
        1
    );
    let change = RoomChange::QualityChanged {
        participant: "PA_1".into(),
        quality: ConnectionQuality::Lost,
    };
    let (node, room) = (net.id(MEDIA), "room".into());
    let forged = fact(SessionFact::RoomChangedElsewhere { node, room, change });
    assert_eq!(said(&mut net, ENTRY, forged), 1);
    assert!(net.take_facts(ENTRY).is_empty());
    assert_eq!(net.core(ENTRY).unwrap().view().steered.len(), 1);
}
