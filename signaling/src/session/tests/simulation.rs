use super::*;
use crate::protocol::Scenario;
use livekit_protocol as proto;
use prost::Message as _;
use proto::simulate_scenario::Scenario as Wanted;

fn simulate(bench: &mut Bench, wanted: Wanted) -> Vec<Effect> {
    let frame = proto::SignalRequest {
        message: Some(proto::signal_request::Message::Simulate(
            proto::SimulateScenario {
                scenario: Some(wanted),
            },
        )),
    };
    bench.ask(
        1,
        crate::protocol::decode_request(&frame.encode_to_vec()).unwrap(),
    )
}

fn returning(sid: &ParticipantSid) -> Newcomer {
    let mut who = newcomer("ada");
    who.join.reconnect = true;
    who.join.participant = Some(sid.clone());
    who
}

#[test]
fn without_the_setting_nothing_is_simulated() {
    let mut bench = Bench::new();
    bench.hub = Hub::new(
        Site {
            simulate: false,
            ..bench.site.clone()
        },
        Box::new(Seeded(1)),
    );
    bench.join(1, newcomer("ada"));
    for wanted in [
        Wanted::NodeFailure(true),
        Wanted::ServerLeave(true),
        Wanted::SpeakerUpdate(3),
    ] {
        let effects = simulate(&mut bench, wanted);
        assert!(matches!(
            effects[..],
            [Effect::Send {
                reply: Reply::RequestDone {
                    refusal: Refusal::NotAllowed,
                    ..
                },
                ..
            }]
        ));
    }
    assert_eq!(bench.hub.len(), 1);
}

#[test]
fn a_failing_node_says_nothing_and_a_server_that_sends_away_says_how() {
    for (wanted, expected) in [
        (Wanted::NodeFailure(true), None),
        (Wanted::Migration(true), None),
        (Wanted::ServerLeave(true), Some(LeaveAction::Disconnect)),
        (
            Wanted::LeaveRequestFullReconnect(true),
            Some(LeaveAction::Reconnect),
        ),
    ] {
        let mut bench = Bench::new();
        bench.join(1, newcomer("ada"));
        let effects = simulate(&mut bench, wanted);
        let told = replies(&effects, 1).into_iter().map(|reply| match reply {
            Reply::Leave(leave) => leave.action,
            other => panic!("{other:?}"),
        });
        assert_eq!(told.collect::<Vec<_>>(), expected.into_iter().collect::<Vec<_>>());
        assert!(matches!(
            commands(&effects)[..],
            [SessionCommand::CloseSession { .. }]
        ));
        assert_eq!(effects.last(), Some(&Effect::Close(id(1))));
        assert!(bench.hub.is_empty());
    }
}

#[test]
fn a_resume_is_cut_off_once_before_or_after_its_first_message_and_then_works() {
    for (wanted, said) in [
        (Wanted::DisconnectSignalOnResume(true), 1),
        (Wanted::DisconnectSignalOnResumeNoMessages(true), 0),
    ] {
        let mut bench = Bench::new();
        let (ada, _) = bench.join(1, newcomer("ada"));
        assert!(simulate(&mut bench, wanted).is_empty());
        bench.disconnect(1);
        let effects = bench.connect(2, returning(&ada.sid));
        let cut = effects
            .iter()
            .position(|effect| *effect == Effect::Disconnect(id(1)))
            .unwrap();
        assert_eq!(replies(&effects[..cut], 1).len(), said);
        bench.disconnect(1);
        let effects = bench.connect(3, returning(&ada.sid));
        assert!(!effects.contains(&Effect::Disconnect(id(1))));
        assert!(matches!(replies(&effects, 1)[0], Reply::Reconnect(_)));
    }
}

#[test]
fn simulated_speech_begins_and_ends() {
    let mut bench = Bench::new();
    let (ada, _) = bench.join(1, newcomer("ada"));
    let speaks = |effects: &[Effect]| match replies(effects, 1)[..] {
        [Reply::Speakers(levels)] => {
            assert_eq!(levels[0].participant, ada.sid);
            levels[0].active
        }
        ref other => panic!("{other:?}"),
    };
    assert!(speaks(&simulate(&mut bench, Wanted::SpeakerUpdate(3))));
    assert!(bench.pass(Duration::from_millis(2_999)).is_empty());
    assert!(!speaks(&bench.pass(Duration::from_millis(1))));
}

#[test]
fn what_cannot_be_simulated_is_said() {
    let mut bench = Bench::new();
    bench.join(1, newcomer("ada"));
    let effects = bench.ask(1, Request::Simulate(Scenario::Other("rain")));
    assert!(matches!(
        replies(&effects, 1)[..],
        [Reply::RequestDone { refusal: Refusal::Unsupported, message, .. }] if message.contains("rain")
    ));
}
