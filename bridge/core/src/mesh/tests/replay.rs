//! Reliable messages sent again to clients that come back, also those of senders on other nodes.

use super::{Net, join, leave, ms, net_of};
use relay_proto::id::{ParticipantSid, SessionId};
use relay_proto::room::DataMessage;
use relay_proto::session::SessionCommand;

fn say(net: &mut Net, node: usize, session: SessionId, to: &[&str], sequence: u32) {
    let message = DataMessage {
        from: "PA_forged".into(),
        to: to.iter().map(|identity| (*identity).into()).collect(),
        reliable: true,
        payload: vec![sequence as u8; 1_000],
    };
    net.command(
        node,
        SessionCommand::SendReliable {
            session,
            message,
            sequence,
        },
    );
    net.run(ms(100));
}

fn heard(net: &mut Net, node: usize) -> Vec<(u32, u8)> {
    let data = std::mem::take(&mut net.shards(node).data);
    data.into_iter()
        .map(|(session, payload)| (session.serial, payload[0]))
        .collect()
}

fn sid(net: &Net, node: usize, identity: &str) -> ParticipantSid {
    net.clients(node).people(&"r".into()).unwrap()[&identity.into()]
        .sid
        .clone()
}

#[test]
fn what_a_client_missed_is_sent_again_in_order_from_its_own_node() {
    let mut net = net_of(1, &["fra", "sin"]);
    let ann = join(&mut net, 0, 1, "r", "ann");
    let ben = join(&mut net, 1, 1, "r", "ben");
    let cyd = join(&mut net, 1, 2, "r", "cyd");
    let _ = cyd;
    net.run(ms(500));
    for sequence in 1..=5 {
        say(&mut net, 0, ann, &[], sequence);
    }
    say(&mut net, 0, ann, &["cyd"], 6);
    say(&mut net, 1, ben, &[], 1);
    assert_eq!(heard(&mut net, 1).len(), 12);
    let after = vec![(sid(&net, 1, "ann"), 3), ("PA_nobody".into(), 0)];
    net.command(1, SessionCommand::ReplayData { session: ben, after });
    // Nothing crosses a link for it, nor is it told what was for somebody else.
    assert_eq!(heard(&mut net, 1), [(1, 4), (1, 5)]);
}

#[test]
fn nothing_is_remembered_of_whoever_has_left_and_never_more_than_the_bound() {
    let mut net = net_of(1, &["fra", "sin"]);
    let ann = join(&mut net, 0, 1, "r", "ann");
    let ben = join(&mut net, 1, 1, "r", "ben");
    net.run(ms(500));
    for sequence in 1..=200 {
        say(&mut net, 0, ann, &[], sequence);
    }
    heard(&mut net, 1);
    let who = sid(&net, 1, "ann");
    let replay = |net: &mut Net| {
        let after = vec![(who.clone(), 0)];
        net.command(1, SessionCommand::ReplayData { session: ben, after });
        heard(net, 1)
    };
    let again = replay(&mut net);
    assert!((40..65).contains(&again.len()), "{}", again.len());
    assert_eq!(again.last(), Some(&(1, 200)));
    leave(&mut net, 0, ann);
    net.run(ms(500));
    assert_eq!(replay(&mut net), []);
}
