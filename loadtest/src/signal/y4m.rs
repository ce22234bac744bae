//! The picture as YUV4MPEG2, the raw format that browsers take as a fake camera.

use std::io::{self, Write};

use super::SenderId;
use super::picture::{FRAMES_PER_CYCLE, FRAMES_PER_SECOND, Mark, PictureSize, draw};

/// Chroma of grey.
const NO_COLOUR: u8 = 128;

/// Writes at least `seconds` of picture and returns the number of frames, always whole cycles of 256 (17.07
/// s), so that a player that starts again at the end continues the frame numbers. One frame takes 1.5 bytes
/// per pixel: a cycle of 320 x 180 has 22 MB.
///
/// # Errors
/// Those of `output`.
pub fn write_y4m(
    output: &mut impl Write,
    sender: SenderId,
    size: PictureSize,
    seconds: u32,
) -> io::Result<u32> {
    let cycles = (u64::from(seconds) * u64::from(FRAMES_PER_SECOND))
        .div_ceil(u64::from(FRAMES_PER_CYCLE))
        .max(1);
    let frames =
        u32::try_from(cycles * u64::from(FRAMES_PER_CYCLE)).map_err(|_| io::ErrorKind::InvalidInput)?;
    let (width, height) = (size.width(), size.height());
    writeln!(
        output,
        "YUV4MPEG2 W{width} H{height} F{FRAMES_PER_SECOND}:1 Ip A1:1 C420jpeg"
    )?;
    let chroma = vec![NO_COLOUR; width * height / 2];
    for frame in 0..frames {
        let frame = (frame % FRAMES_PER_CYCLE) as u8;
        output.write_all(b"FRAME\n")?;
        output.write_all(&draw(Mark { sender, frame }, size))?;
        output.write_all(&chroma)?;
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::picture::{LumaPlane, read};

    #[test]
    fn the_file_holds_whole_cycles_of_readable_frames() {
        let sender = SenderId::new(6).unwrap();
        let size = PictureSize::new(64, 32).unwrap();
        let mut file = Vec::new();
        assert_eq!(write_y4m(&mut file, sender, size, 18).unwrap(), 512);

        let header = b"YUV4MPEG2 W64 H32 F15:1 Ip A1:1 C420jpeg\n";
        assert!(file.starts_with(header));
        let frame_bytes = 6 + 64 * 32 * 3 / 2;
        let frames: Vec<&[u8]> = file[header.len()..].chunks(frame_bytes).collect();
        assert_eq!(frames.len(), 512);
        for (index, frame) in frames.iter().enumerate() {
            assert_eq!(&frame[..6], b"FRAME\n");
            let plane = LumaPlane {
                samples: &frame[6..6 + 64 * 32],
                width: 64,
                height: 32,
                stride: 64,
            };
            assert_eq!(
                read(plane),
                Ok(Mark {
                    sender,
                    frame: (index % 256) as u8
                })
            );
            assert_eq!(frame.len(), frame_bytes);
        }
    }
}
