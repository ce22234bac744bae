//! Answers to offers of a node, as a client that only receives gives them.

use std::fmt::Write;

/// The client's side of a transport.
#[derive(Clone, Debug)]
pub struct AnswererSide {
    /// ICE user name.
    pub ufrag: String,
    /// ICE password.
    pub password: String,
    /// SHA-256 of its certificate, as pairs of hexadecimal digits with colons.
    pub fingerprint: String,
}

impl Default for AnswererSide {
    /// Made up.
    fn default() -> Self {
        Self {
            ufrag: "peer".to_owned(),
            password: "peerpasswordpeerpassword".to_owned(),
            fingerprint: vec!["5A"; 32].join(":"),
        }
    }
}

/// Takes all that is offered: every section in its place, receiving where the offer sends, in the active role.
///
/// # Panics
/// Never: writing to a string does not fail.
#[must_use]
pub fn answer(offer: &str, side: &AnswererSide) -> String {
    const OF_THE_OTHER_SIDE: [&str; 8] = [
        "a=ice-lite",
        "a=candidate:",
        "a=end-of-candidates",
        "a=msid:",
        "a=ssrc:",
        "a=ssrc-group:",
        "a=ice-pwd:",
        "a=fingerprint:",
    ];
    let mut out = String::new();
    for line in offer.lines() {
        let written = match line {
            "a=setup:actpass" => write!(out, "a=setup:active\r\n"),
            "a=sendonly" => write!(out, "a=recvonly\r\n"),
            _ if line.starts_with("a=ice-ufrag:") => write!(
                out,
                "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=fingerprint:sha-256 {}\r\n",
                side.ufrag, side.password, side.fingerprint
            ),
            _ if OF_THE_OTHER_SIDE.iter().any(|head| line.starts_with(head)) => Ok(()),
            _ => write!(out, "{line}\r\n"),
        };
        written.expect("invariant: writing to a string does not fail");
    }
    out
}
