//! Which pictures a participant looks at, and how large: what a client asks its server for.

use crate::client::{LegKey, Source};
use crate::signalling::Picture;
use crate::trace::{Codec, Trace, TraceKind};

/// How somebody arranges a meeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// The first `page` cameras in the order of their senders, equally large; screens as large as can be.
    Grid {
        /// Pictures of a page.
        page: usize,
        /// Size of each.
        tile: Picture,
    },
    /// One camera large, `strip` more small.
    Speaker {
        /// Small ones.
        strip: usize,
    },
    /// No pictures.
    AudioOnly,
}

const LARGE: Picture = Picture {
    width: 1_280,
    height: 720,
};
const SMALL: Picture = Picture {
    width: 320,
    height: 180,
};

impl Layout {
    /// The size in which a picture is wanted; `None` for not at all. `all` are the tracks there are.
    #[must_use]
    pub fn picture(&self, of: LegKey, all: &[LegKey]) -> Option<Picture> {
        let screen = of.source == Source::Screen.number();
        let place = all
            .iter()
            .filter(|key| key.source == of.source && key.sender < of.sender)
            .count();
        match self {
            Self::AudioOnly => None,
            _ if screen => Some(LARGE),
            Self::Grid { page, tile } => (place < *page).then_some(*tile),
            Self::Speaker { strip } => match place {
                0 => Some(LARGE),
                place if place <= *strip => Some(SMALL),
                _ => None,
            },
        }
    }
}

/// The smallest layer that is not smaller than the picture; the largest there is for a larger one.
#[must_use]
pub fn wanted_layer(picture: Picture) -> u8 {
    let tall = |layer: u8| {
        let camera = TraceKind::Camera {
            codec: Codec::Vp8,
            layer,
        };
        u32::from(Trace::of(camera).size().1)
    };
    (0..2).find(|layer| tall(*layer) >= picture.height).unwrap_or(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera(sender: u32) -> LegKey {
        LegKey { sender, source: 1 }
    }

    #[test]
    fn a_page_ends_and_a_screen_is_always_seen() {
        let all: Vec<LegKey> = (1..6).map(camera).collect();
        let grid = Layout::Grid { page: 3, tile: SMALL };
        let seen = all
            .iter()
            .filter(|key| grid.picture(**key, &all).is_some())
            .count();
        assert_eq!(seen, 3);
        let screen = LegKey { sender: 9, source: 2 };
        assert_eq!(grid.picture(screen, &all), Some(LARGE));
        assert_eq!(Layout::AudioOnly.picture(screen, &all), None);
        let speaker = Layout::Speaker { strip: 2 };
        let sizes: Vec<_> = all.iter().map(|key| speaker.picture(*key, &all)).collect();
        assert_eq!(sizes, [Some(LARGE), Some(SMALL), Some(SMALL), None, None]);
    }

    #[test]
    fn the_layer_fits_the_picture() {
        let of = |height| {
            wanted_layer(Picture {
                width: height * 2,
                height,
            })
        };
        assert_eq!(
            [of(90), of(180), of(181), of(360), of(720), of(2_000)],
            [0, 0, 1, 1, 2, 2]
        );
    }
}
