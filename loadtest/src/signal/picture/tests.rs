//! What is drawn is read, also after what codecs and networks do to pictures.

use proptest::prelude::*;

use super::*;

fn mark(sender: u8, frame: u8) -> Mark {
    Mark {
        sender: SenderId::new(sender).unwrap(),
        frame,
    }
}

fn plane(samples: &[u8], width: usize, height: usize) -> LumaPlane<'_> {
    LumaPlane {
        samples,
        width,
        height,
        stride: width,
    }
}

/// Nearest-neighbour scaling to any size.
fn scaled(samples: &[u8], from: (usize, usize), to: (usize, usize)) -> Vec<u8> {
    let pixel = |index: usize| {
        let (x, y) = (index % to.0, index / to.0);
        samples[y * from.1 / to.1 * from.0 + x * from.0 / to.0]
    };
    (0..to.0 * to.1).map(pixel).collect()
}

#[test]
fn every_sender_and_frame_is_read_back() {
    let size = PictureSize::default();
    for sender in SenderId::all() {
        for frame in 0..=255 {
            let drawn = Mark { sender, frame };
            assert_eq!(read(plane(&draw(drawn, size), 320, 180)), Ok(drawn));
        }
    }
}

#[test]
fn the_grid_is_the_agreed_one() {
    let luma = draw(mark(5, 0b1000_0001), PictureSize::default());
    let bit = |column: usize, row: usize| luma[(row * 45 + 22) * 320 + column * 40 + 20];
    let row = |row| {
        (0..8)
            .map(|column| u8::from(bit(column, row) >= 180))
            .collect::<Vec<_>>()
    };
    assert_eq!(row(0), [1, 0, 1, 1, 0, 0, 1, 0]);
    assert_eq!(row(1), [0, 0, 0, 0, 0, 1, 0, 1]);
    assert_eq!(row(2), [1, 1, 1, 1, 1, 0, 1, 0]);
    assert_eq!(row(3), [1, 0, 0, 0, 0, 0, 0, 1]);
    assert!(
        luma.iter()
            .all(|sample| (16..=60).contains(sample) || (180..=235).contains(sample))
    );
}

#[test]
fn larger_and_smaller_pictures_are_read() {
    let drawn = mark(11, 200);
    for (width, height) in [(640, 360), (1280, 720), (32, 16)] {
        let size = PictureSize::new(width, height).unwrap();
        assert_eq!(
            read(plane(&draw(drawn, size), size.width(), size.height())),
            Ok(drawn)
        );
    }
    let luma = draw(drawn, PictureSize::new(640, 360).unwrap());
    for to in [(320, 180), (160, 90), (213, 119), (71, 41), (1000, 777), (16, 8)] {
        assert_eq!(
            read(plane(&scaled(&luma, (640, 360), to), to.0, to.1)),
            Ok(drawn),
            "{to:?}"
        );
    }
}

#[test]
fn a_padded_buffer_is_read_by_its_stride() {
    let drawn = mark(3, 77);
    let luma = draw(drawn, PictureSize::default());
    let padded: Vec<u8> = luma
        .chunks(320)
        .flat_map(|row| row.iter().copied().chain([255; 64]))
        .collect();
    assert_eq!(
        read(LumaPlane {
            samples: &padded,
            width: 320,
            height: 180,
            stride: 384
        }),
        Ok(drawn)
    );
}

#[test]
fn other_pictures_are_refused_by_the_check_that_fails() {
    let grey = vec![128; 320 * 180];
    assert_eq!(read(plane(&grey, 320, 180)), Err(Unreadable::Sync));
    assert_eq!(read(plane(&grey, 320, 181)), Err(Unreadable::Size));
    assert_eq!(read(plane(&grey, 15, 8)), Err(Unreadable::Size));
    assert_eq!(
        read(LumaPlane {
            samples: &grey,
            width: 320,
            height: 10,
            stride: usize::MAX
        }),
        Err(Unreadable::Size)
    );

    let mut damaged = draw(mark(9, 1), PictureSize::default());
    damaged[2 * 45 * 320..3 * 45 * 320].fill(220);
    assert_eq!(read(plane(&damaged, 320, 180)), Err(Unreadable::Complement));

    // Rows 1 and 2 of sender 0 swapped say 255.
    let mut swapped = draw(mark(0, 1), PictureSize::default());
    swapped[45 * 320..2 * 45 * 320].fill(220);
    swapped[2 * 45 * 320..3 * 45 * 320].fill(32);
    assert_eq!(
        read(plane(&swapped, 320, 180)),
        Err(Unreadable::Sender(NotASender(255)))
    );
}

#[test]
fn sizes_are_checked() {
    assert_eq!("640x360".parse(), PictureSize::new(640, 360));
    for bad in [
        "",
        "640",
        "641x360",
        "640x361",
        "0x0",
        "8x4",
        "7680x4320",
        "640X360",
        "-8x4",
    ] {
        assert_eq!(bad.parse::<PictureSize>(), Err(NotASize(bad.to_owned())));
    }
}

proptest! {
    #[test]
    fn noise_contrast_and_scaling_together_do_not_hide_the_mark(
        sender in 0_u8..16,
        frame: u8,
        width in 80_usize..700,
        height in 45_usize..400,
        contrast in 0.4..1.1_f64,
        brightness in -20.0..20.0_f64,
        noise_seed: u64,
    ) {
        let drawn = mark(sender, frame);
        let mut noise = noise_seed;
        let mut luma = scaled(&draw(drawn, PictureSize::default()), (320, 180), (width, height));
        for sample in &mut luma {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let shake = (noise >> 33) as f64 / f64::from(1_u32 << 31) * 80.0 - 40.0;
            *sample = (f64::from(*sample) * contrast + brightness + shake).clamp(0.0, 255.0) as u8;
        }
        prop_assert_eq!(read(plane(&luma, width, height)), Ok(drawn));
    }

    #[test]
    fn random_pixels_do_not_panic(
        width in 0_usize..100,
        height in 0_usize..100,
        stride in 0_usize..120,
        samples: Vec<u8>,
    ) {
        let _ = read(LumaPlane { samples: &samples, width, height, stride });
    }
}
