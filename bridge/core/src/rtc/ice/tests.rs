use super::*;
use crate::rtc::stun::binding_request;

struct Bench {
    ice: IceLite,
    random: SeededRandom,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let mut random = SeededRandom::new(&[1; 32]);
        let ice = IceLite::new(ShardId(3), 4, &mut random);
        Self {
            ice,
            random,
            now: crate::rtc::testing::instant(),
        }
    }

    fn check_with(&mut self, pair: &Credentials, from: &str, nominate: bool) -> Option<Answered> {
        let message = binding_request(
            [5; 12],
            &format!("{}:peer", pair.ufrag),
            &pair.password,
            nominate,
            &[],
        );
        let request = BindingRequest::parse(&message)?;
        self.ice.answer(self.now, from.parse().ok()?, &request)
    }

    fn check(&mut self, from: &str, nominate: bool) -> bool {
        let pair = self.ice.credentials().clone();
        self.check_with(&pair, from, nominate).unwrap().moved
    }

    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    fn current(&self) -> String {
        self.ice
            .current()
            .map(|addr| addr.to_string())
            .unwrap_or_default()
    }
}

const A: &str = "192.0.2.1:1000";
const B: &str = "192.0.2.1:2000";

#[test]
fn the_first_authenticated_address_is_used_without_nomination() {
    let mut bench = Bench::new();
    assert!(bench.check(A, false));
    assert_eq!(bench.current(), A);
}

#[test]
fn a_plain_check_moves_only_after_a_silent_second_and_a_nomination_at_once() {
    let mut bench = Bench::new();
    bench.check(A, false);
    bench.pass(500);
    assert!(!bench.check(B, false));
    assert!(bench.check(B, true));
    bench.pass(999);
    assert!(!bench.check(A, false));
    bench.pass(1);
    assert!(bench.check(A, false));
}

#[test]
fn media_moves_the_destination_from_validated_addresses_only_and_does_not_flap_back() {
    let mut bench = Bench::new();
    bench.check(A, true);
    assert!(!bench.ice.hear_media(bench.now, B.parse().unwrap()));
    bench.check(B, false);
    assert!(bench.ice.hear_media(bench.now, B.parse().unwrap()));
    bench.pass(10);
    assert!(!bench.ice.hear_media(bench.now, A.parse().unwrap()));
    assert_eq!(bench.current(), B);
    bench.pass(1000);
    assert!(bench.ice.hear_media(bench.now, A.parse().unwrap()));
}

#[test]
fn old_credentials_are_answered_but_only_the_newest_move_the_destination() {
    let mut bench = Bench::new();
    let old = bench.ice.credentials().clone();
    bench.check(A, true);
    bench.ice.restart(&mut bench.random);
    assert_ne!(bench.ice.credentials().ufrag, old.ufrag);
    let answered = bench.check_with(&old, B, true).unwrap();
    assert!(!answered.moved && !answered.response.is_empty());
    assert_eq!(bench.current(), A);
    assert!(bench.check(B, true));
    bench.ice.restart(&mut bench.random);
    assert!(bench.check_with(&old, A, true).is_none());
}

#[test]
fn a_wrong_password_or_name_changes_nothing() {
    let mut bench = Bench::new();
    let mut wrong = bench.ice.credentials().clone();
    wrong.password.push('x');
    assert!(bench.check_with(&wrong, A, true).is_none());
    let mut unknown = bench.ice.credentials().clone();
    unknown.ufrag.push('x');
    assert!(bench.check_with(&unknown, A, true).is_none());
    assert!(bench.ice.addresses.is_empty() && bench.ice.current().is_none());
}

#[test]
fn addresses_are_bounded_and_the_current_one_stays() {
    let mut bench = Bench::new();
    bench.check(A, true);
    for port in 3000..3100 {
        bench.pass(1);
        bench.check(&format!("198.51.100.7:{port}"), false);
    }
    assert_eq!(bench.ice.addresses.len(), 4);
    assert!(bench.ice.is_validated(A.parse().unwrap()));
    assert_eq!(bench.current(), A);
}

#[test]
fn the_ufrag_names_its_shard() {
    let bench = Bench::new();
    assert_eq!(shard_of_ufrag(&bench.ice.credentials().ufrag), Some(ShardId(3)));
    assert_eq!(shard_of_ufrag("x"), None);
    assert_eq!(shard_of_ufrag("é"), None);
    assert!(bench.ice.credentials().password.len() >= 22);
}

#[test]
fn a_connection_that_is_gone_leaves_its_place_to_whatever_is_checked_next() {
    let mut bench = Bench::new();
    let peer = A.parse().unwrap();
    let [first, second] = [1, 2].map(|number| crate::rtc::TcpId::new(number).address(peer));
    let check = |bench: &mut Bench, from: SocketAddr, nominate| {
        let pair = bench.ice.credentials().clone();
        let user = format!("{}:peer", pair.ufrag);
        let message = binding_request([5; 12], &user, &pair.password, nominate, &[]);
        let request = BindingRequest::parse(&message).unwrap();
        bench.ice.answer(bench.now, from, &request).unwrap().moved
    };
    assert!(check(&mut bench, first, true));
    // A second connection of the same port is another address: nominated, it takes over at once.
    assert!(!check(&mut bench, second, false));
    assert!(check(&mut bench, second, true));
    bench.ice.forget(first);
    assert_eq!(bench.ice.current(), Some(second), "it was in use no more");
    bench.ice.forget(second);
    assert_eq!(bench.ice.current(), None);
    assert_eq!(
        bench.ice.last_heard(),
        Some(bench.now),
        "its silence still ends the session"
    );
    assert!(check(&mut bench, first, false), "without a silent second");
}
