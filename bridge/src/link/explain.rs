//! What went wrong with a connection, in words an operator can act on.

use super::event::{CloseReason, cause_of};
use quinn::{ConnectionError, TransportErrorCode};

/// TLS alerts that mean "your certificate does not convince me" (RFC 8446, 6.2).
const CERTIFICATE_ALERTS: [u8; 8] = [42, 43, 44, 45, 46, 48, 51, 116];

const SECRET_HINT: &str = "is mesh.secret (or the authority in mesh.tls) the same on both nodes?";

/// Why a connection was lost or never came about.
pub(super) fn close_reason(error: &ConnectionError) -> CloseReason {
    match error {
        ConnectionError::ApplicationClosed(close) => match cause_of(close.error_code) {
            Some(cause) => CloseReason::Peers(cause),
            None => CloseReason::Lost(format!("closed by the peer with code {}", close.error_code)),
        },
        error => CloseReason::Lost(explain(error)),
    }
}

/// One sentence. Certificate trouble names the side that refused and what to compare.
pub(super) fn explain(error: &ConnectionError) -> String {
    match error {
        ConnectionError::TransportError(error) => match certificate_alert(error.code) {
            Some(_) => {
                let reason = error.reason.as_str();
                format!("refused: the peer's certificate is not of this mesh ({reason}); {SECRET_HINT}")
            }
            None => format!("handshake or transport failed: {error}"),
        },
        ConnectionError::ConnectionClosed(close) => match certificate_alert(close.error_code) {
            Some(alert) => {
                format!("the peer refused our certificate (TLS alert {alert}); {SECRET_HINT}")
            }
            None => format!("aborted by the peer: {close}"),
        },
        ConnectionError::TimedOut => "no answer in time".to_owned(),
        ConnectionError::VersionMismatch => "the peer speaks no common version of QUIC".to_owned(),
        other => other.to_string(),
    }
}

fn certificate_alert(code: TransportErrorCode) -> Option<u8> {
    let code = u64::from(code);
    let alert = u8::try_from(code.checked_sub(0x100)?).ok()?;
    CERTIFICATE_ALERTS.contains(&alert).then_some(alert)
}
