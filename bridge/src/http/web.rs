//! The web client, as `build.rs` has embedded it.

use axum::Router;
use axum::extract::Path;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// One embedded file.
struct Asset {
    path: &'static str,
    bytes: &'static [u8],
    gzip: Option<&'static [u8]>,
}

/// Only the node's own code runs in the page; it may connect anywhere, because the best node for a client may have any
/// name.
const POLICY: &str = "default-src 'self'; connect-src *; media-src 'self' blob:; img-src 'self' data: blob:; \
                      style-src 'self' 'unsafe-inline'; worker-src 'self' blob:";
/// Files below this carry a hash of their content in their name.
const HASHED: &str = "assets/";
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const REVALIDATED: HeaderValue = HeaderValue::from_static("no-cache");

/// `/`, `/m/<room>` and every file of the client.
pub fn router() -> Router {
    Router::new()
        .route("/", get(page))
        .route("/m/{room}", get(page))
        .route("/{*path}", get(file))
}

/// The client finds out from the address which page it is.
async fn page(headers: HeaderMap) -> Response {
    answer("index.html", &headers)
}

async fn file(Path(path): Path<String>, headers: HeaderMap) -> Response {
    answer(&path, &headers)
}

fn answer(path: &str, request: &HeaderMap) -> Response {
    let Ok(found) = ASSETS.binary_search_by(|asset| asset.path.cmp(path)) else {
        return (
            StatusCode::NOT_FOUND,
            "There is nothing here. A meeting link looks like /m/<name>.\n",
        )
            .into_response();
    };
    let asset = &ASSETS[found];
    let wants_gzip = request
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| coding.trim() == "gzip" || coding.trim().starts_with("gzip;"));
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
    headers.insert(
        CACHE_CONTROL,
        if path.starts_with(HASHED) {
            FOREVER
        } else {
            REVALIDATED
        },
    );
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    match asset.gzip.filter(|_| wants_gzip) {
        Some(gzip) => {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            (headers, gzip).into_response()
        }
        None => (headers, asset.bytes).into_response(),
    }
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "woff" => "font/woff",
        "wasm" => "application/wasm",
        "wav" => "audio/wav",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_holds_the_page() {
        assert!(ASSETS.is_sorted_by_key(|asset| asset.path));
        assert!(ASSETS.iter().any(|asset| asset.path == "index.html"));
        assert!(ASSETS.iter().all(|asset| !asset.bytes.is_empty()));
    }

    #[test]
    fn files_with_a_hash_are_kept_for_ever_and_the_page_is_not() {
        let hashed = ASSETS
            .iter()
            .find(|asset| asset.path.starts_with(HASHED) && asset.path.ends_with(".js"))
            .unwrap();
        let none = HeaderMap::new();
        let script = answer(hashed.path, &none);
        assert_eq!(script.headers()[CACHE_CONTROL], FOREVER);
        assert_eq!(script.headers()[CONTENT_TYPE], "text/javascript; charset=utf-8");
        let page = answer("index.html", &none);
        assert_eq!(page.headers()[CACHE_CONTROL], REVALIDATED);
        assert_eq!(page.headers()[CONTENT_SECURITY_POLICY], POLICY);
    }

    #[test]
    fn who_takes_gzip_gets_it() {
        let packed = ASSETS.iter().find(|asset| asset.gzip.is_some()).unwrap();
        let mut headers = HeaderMap::new();
        assert!(
            !answer(packed.path, &headers)
                .headers()
                .contains_key(CONTENT_ENCODING)
        );
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("br, gzip"));
        assert_eq!(answer(packed.path, &headers).headers()[CONTENT_ENCODING], "gzip");
    }

    #[test]
    fn an_unknown_file_is_not_found() {
        assert_eq!(
            answer("etc/passwd", &HeaderMap::new()).status(),
            StatusCode::NOT_FOUND
        );
    }
}
