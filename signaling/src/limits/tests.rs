use super::*;

#[test]
fn a_bucket_lets_the_burst_through_and_then_the_rate() {
    let start = Instant::now();
    let mut bucket = TokenBucket::new(10, 3, start);
    assert!((0..3).all(|_| bucket.take(start)));
    assert!(!bucket.take(start));
    assert!(!bucket.take(start + Duration::from_millis(99)));
    assert!(bucket.take(start + Duration::from_millis(101)));
    assert!(!bucket.take(start + Duration::from_millis(102)));
}

#[test]
fn sessions_are_limited_per_address_and_an_ipv6_network_is_one_address() {
    let limits = Limits {
        sessions_per_address: 2,
        ..Limits::default()
    };
    let mut admission = Admission::default();
    let one: IpAddr = "2001:db8:1:2::1".parse().unwrap();
    let neighbour: IpAddr = "2001:db8:1:2:ffff::9".parse().unwrap();
    let other: IpAddr = "2001:db8:1:3::1".parse().unwrap();
    assert_eq!(admission.enter(one, &limits), Ok(()));
    assert_eq!(admission.enter(neighbour, &limits), Ok(()));
    assert_eq!(admission.enter(one, &limits), Err(Crowded::Address));
    assert_eq!(admission.enter(other, &limits), Ok(()));
    admission.left(neighbour, true);
    assert_eq!(admission.enter(one, &limits), Ok(()));
    assert_eq!(admission.sessions(), 3);
}

#[test]
fn an_address_without_sessions_is_forgotten() {
    let limits = Limits::default();
    let mut admission = Admission::default();
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    admission.enter(address, &limits).unwrap();
    admission.left(address, true);
    assert!(admission.by_address.is_empty());
    assert_eq!((admission.sessions, admission.pending), (0, 0));
}

#[test]
fn pending_sessions_and_the_whole_node_are_limited() {
    let limits = Limits {
        pending_sessions: 1,
        sessions: 2,
        ..Limits::default()
    };
    let mut admission = Admission::default();
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    admission.enter(address, &limits).unwrap();
    assert_eq!(admission.enter(address, &limits), Err(Crowded::Pending));
    admission.opened();
    admission.enter(address, &limits).unwrap();
    admission.opened();
    assert_eq!(admission.enter(address, &limits), Err(Crowded::Node));
}
