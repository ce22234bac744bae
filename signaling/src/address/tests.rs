use super::*;

fn found(peer: &str, headers: &[&str], trusted: &[&str]) -> String {
    let trusted: Vec<Cidr> = trusted.iter().map(|net| net.parse().unwrap()).collect();
    client_address(peer.parse().unwrap(), headers.iter().copied(), &trusted).to_string()
}

#[test]
fn an_untrusted_peer_cannot_forward() {
    assert_eq!(found("198.51.100.7", &["203.0.113.9"], &[]), "198.51.100.7");
    assert_eq!(
        found("198.51.100.7", &["203.0.113.9"], &["127.0.0.1/32"]),
        "198.51.100.7"
    );
}

#[test]
fn the_right_most_untrusted_entry_is_the_client() {
    let trusted = ["127.0.0.1/32", "10.0.0.0/8"];
    assert_eq!(found("127.0.0.1", &["203.0.113.9"], &trusted), "203.0.113.9");
    assert_eq!(
        found("127.0.0.1", &["6.6.6.6, 203.0.113.9, 10.1.1.1"], &trusted),
        "203.0.113.9"
    );
    assert_eq!(
        found("127.0.0.1", &["6.6.6.6", "203.0.113.9"], &trusted),
        "203.0.113.9"
    );
    assert_eq!(
        found("::ffff:127.0.0.1", &["[2001:db8::5]:443"], &trusted),
        "2001:db8::5"
    );
    assert_eq!(found("127.0.0.1", &["203.0.113.9:5555"], &trusted), "203.0.113.9");
}

#[test]
fn garbage_ends_the_search_at_the_last_trusted_hop() {
    let trusted = ["127.0.0.1/32", "10.0.0.0/8"];
    assert_eq!(
        found("127.0.0.1", &["203.0.113.9, garbage, 10.1.1.1"], &trusted),
        "10.1.1.1"
    );
    assert_eq!(found("127.0.0.1", &["unknown"], &trusted), "127.0.0.1");
    assert_eq!(found("127.0.0.1", &[], &trusted), "127.0.0.1");
}
