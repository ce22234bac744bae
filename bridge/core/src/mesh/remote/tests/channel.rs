use super::super::channel::{Channel, Heard, Pushed, Standing, Taken};
use relay_proto::id::{NodeId, SessionId};
use relay_proto::session::SessionCommand;
use relay_proto::steering::{SteeringMessage, SteeringStep};

const LIMIT: usize = 128 << 10;

fn session(serial: u32) -> SessionId {
    SessionId {
        entry: NodeId(1),
        serial,
    }
}

/// A step that can be told from others.
fn step(serial: u32) -> SteeringStep {
    let session = session(serial);
    SteeringStep::Command(Box::new(SessionCommand::OfferToClient { session }))
}

fn serial(step: &SteeringStep) -> u32 {
    match step {
        SteeringStep::Command(command) => command.session().serial,
        SteeringStep::Fact(_) => 0,
    }
}

/// One end, what it wants to send, and which steps have come.
struct End {
    channel: Channel,
    next_own: u64,
    outgoing: Vec<SteeringMessage>,
    steps: Vec<u32>,
    ended: usize,
}

impl End {
    fn new(own: u64) -> Self {
        Self {
            channel: Channel::new(own),
            next_own: own + 1,
            outgoing: Vec::new(),
            steps: Vec::new(),
            ended: 0,
        }
    }

    fn fresh(&mut self) -> u64 {
        self.next_own += 1;
        self.next_own
    }

    fn link(&mut self) {
        self.outgoing.clear();
        let standing = self.channel.linked();
        self.outgoing.push(standing);
    }

    fn forget(&mut self) {
        let own = self.fresh();
        self.ended += 1;
        self.outgoing.extend(self.channel.begin_anew(own));
    }

    fn push(&mut self, serial: u32) -> bool {
        match self.channel.push(step(serial), LIMIT) {
            Pushed::Send(message) => self.outgoing.push(message),
            Pushed::Waits => {}
            Pushed::Dropped | Pushed::Overflow => return false,
        }
        true
    }

    fn hear(&mut self, message: SteeringMessage) {
        match message {
            SteeringMessage::Standing {
                own,
                hears,
                received,
                asks,
            } => {
                let fresh = self.fresh();
                let standing = Standing {
                    own,
                    hears,
                    received,
                    asks,
                };
                let Heard { anew, replies } = self.channel.on_standing(standing, fresh);
                self.ended += usize::from(anew);
                self.outgoing.extend(replies);
            }
            SteeringMessage::Step { to, number, step } => match self.channel.on_step(to, number, step) {
                Taken::Next(step) => self.steps.push(serial(&step)),
                Taken::Old => {}
                Taken::Gap => self.forget(),
            },
        }
    }
}

/// Lets both ends speak until nothing is left to be said; how many messages that took.
fn talk(a: &mut End, b: &mut End) -> usize {
    let mut said = 0;
    while !a.outgoing.is_empty() || !b.outgoing.is_empty() {
        for message in std::mem::take(&mut a.outgoing) {
            b.hear(message);
            said += 1;
        }
        for message in std::mem::take(&mut b.outgoing) {
            a.hear(message);
            said += 1;
        }
        assert!(said < 200, "the two never come to an end");
    }
    said
}

fn linked() -> (End, End) {
    let (mut a, mut b) = (End::new(1_000), End::new(2_000));
    a.link();
    b.link();
    talk(&mut a, &mut b);
    assert!(a.channel.is_open() && b.channel.is_open());
    assert_eq!((a.ended, b.ended), (0, 0));
    (a, b)
}

#[test]
fn nothing_is_taken_before_both_know_each_other() {
    let mut a = End::new(1_000);
    assert!(!a.push(1));
    a.link();
    assert!(!a.push(2));
    assert!(!a.channel.is_open());
}

#[test]
fn steps_come_in_order_and_once_over_a_link_that_comes_and_goes() {
    let (mut a, mut b) = linked();
    for round in 0..10 {
        for serial in 1..=5 {
            assert!(a.push(round * 10 + serial));
        }
        match round % 3 {
            // All lost with the link.
            0 => a.outgoing.clear(),
            // Some arrive, the confirmation does not.
            1 => {
                for message in a.outgoing.drain(..).take(3) {
                    b.hear(message);
                }
                b.outgoing.clear();
            }
            _ => {
                talk(&mut a, &mut b);
                continue;
            }
        }
        a.channel.cut();
        b.channel.cut();
        assert!(a.push(round * 10 + 6) && a.outgoing.is_empty());
        a.link();
        b.link();
        talk(&mut a, &mut b);
    }
    let cut = |round: &u32| round % 3 != 2;
    let expected = (0..10).flat_map(|round| (1..=5 + u32::from(cut(&round))).map(move |n| round * 10 + n));
    assert_eq!(b.steps, expected.collect::<Vec<_>>());
    assert_eq!((a.ended, b.ended), (0, 0));
}

#[test]
fn a_link_that_only_one_end_replaces_loses_nothing_either() {
    let (mut a, mut b) = linked();
    a.push(1);
    a.outgoing.clear();
    a.link();
    a.push(2);
    talk(&mut a, &mut b);
    assert_eq!(b.steps, [1, 2]);
}

#[test]
fn whoever_forgets_the_other_is_understood_and_both_begin_anew() {
    let (mut a, mut b) = linked();
    a.push(1);
    talk(&mut a, &mut b);
    // While there is no link, only one of them gives up.
    a.channel.cut();
    b.channel.cut();
    b.push(8);
    a.forget();
    a.link();
    b.link();
    talk(&mut a, &mut b);
    assert_eq!((a.ended, b.ended), (1, 1));
    assert!(a.channel.is_open() && b.channel.is_open());
    assert!(a.push(2) && b.push(9));
    talk(&mut a, &mut b);
    // What was meant for the former self is never heard of.
    assert_eq!((a.steps, b.steps), (vec![9], vec![1, 2]));
}

#[test]
fn both_may_forget_each_other_at_once_also_while_they_are_linked() {
    let (mut a, mut b) = linked();
    a.push(1);
    b.push(1);
    a.forget();
    b.forget();
    talk(&mut a, &mut b);
    assert!(a.channel.is_open() && b.channel.is_open());
    assert!(a.push(2) && b.push(3));
    talk(&mut a, &mut b);
    assert_eq!((a.steps, b.steps), (vec![3], vec![2]));
    assert!(a.ended <= 2 && b.ended <= 2);
}

#[test]
fn a_missing_step_ends_everything_and_a_repeated_one_nothing() {
    let (mut a, mut b) = linked();
    a.push(1);
    let message = a.outgoing[0].clone();
    talk(&mut a, &mut b);
    b.hear(message);
    assert_eq!((b.steps.len(), b.ended), (1, 0));
    a.push(2);
    a.outgoing.clear();
    a.push(3);
    talk(&mut a, &mut b);
    assert_eq!((a.ended, b.ended), (1, 1));
    assert_eq!(b.steps, [1]);
    assert!(a.channel.is_open() && b.channel.is_open());
}

#[test]
fn what_waits_is_bounded_and_freed_by_confirmations() {
    let (mut a, mut b) = linked();
    let mut pushed = 0;
    while a.push(pushed) {
        pushed += 1;
        assert!(pushed < 1_000);
    }
    talk(&mut a, &mut b);
    assert!(matches!(a.channel.push(step(0), LIMIT), Pushed::Overflow));
    b.outgoing.extend(b.channel.confirmation(true));
    talk(&mut a, &mut b);
    assert_eq!(b.channel.confirmation(true), None);
    assert!(a.push(1));
}

#[test]
fn an_end_that_lies_about_where_it_stands_is_answered_at_most_once_each_time() {
    let (mut a, _) = linked();
    for lie in 0..100_u64 {
        let standing = Standing {
            own: lie,
            hears: lie * 7,
            received: u64::MAX,
            asks: true,
        };
        let fresh = a.fresh();
        let heard = a.channel.on_standing(standing, fresh);
        assert!(heard.replies.len() <= 1);
        assert!(!a.push(1) || heard.replies.is_empty() || !a.channel.is_open());
    }
}
