//! Clients with two connections.

use super::*;
use crate::protocol::Answer;

fn dual(identity: &str) -> Newcomer {
    let mut newcomer = newcomer(identity);
    newcomer.join.dual = true;
    newcomer
}

#[test]
fn it_is_told_so_and_offered_to_and_its_answers_go_down() {
    let mut bench = Bench::new();
    let (_, effects) = bench.join(1, dual("ada"));
    let session = id(1);
    assert_eq!(commands(&effects), [&SessionCommand::OfferToClient { session }]);
    let Some(Reply::Join(join)) = replies(&effects, 1).first().copied() else {
        panic!("{effects:?}")
    };
    assert!(join.dual);
    let effects = bench.fact(SessionFact::OfferMade {
        session,
        offer_id: 3,
        sdp: "v=0".to_owned(),
        sections: vec![("1".to_owned(), TrackSid::from("TR_a"))],
    });
    let told = Reply::Offer(Answer {
        offer_id: 3,
        sdp: "v=0".to_owned(),
        sections: vec![("1".to_owned(), TrackSid::from("TR_a"))],
    });
    assert_eq!(replies(&effects, 1), [&told]);
    let effects = bench.ask(1, Request::Answer(offer(3)));
    let down = SessionCommand::ApplyAnswer {
        session,
        offer_id: 3,
        sdp: "v=0".to_owned(),
    };
    assert_eq!(commands(&effects), [&down]);
}

#[test]
fn somebody_with_one_connection_has_nothing_to_answer() {
    let mut bench = Bench::new();
    bench.join(1, newcomer("ada"));
    let effects = bench.ask(1, Request::Answer(offer(1)));
    assert_eq!(effects, []);
    assert_eq!(bench.counters.refused_requests.value(), 1);
}

#[test]
fn it_joins_anew_instead_of_going_on() {
    let mut bench = Bench::new();
    let (participant, _) = bench.join(1, dual("ada"));
    let mut back = dual("ada");
    back.join.reconnect = true;
    back.join.participant = Some(participant.sid);
    let effects = bench.connect(2, back);
    let Some(Reply::Leave(leave)) = replies(&effects, 2).first().copied() else {
        panic!("{effects:?}")
    };
    assert_eq!(leave.action, LeaveAction::Reconnect);
    let effects = bench.disconnect(1);
    assert!(matches!(
        commands(&effects).as_slice(),
        [SessionCommand::CloseSession { .. }]
    ));
}
