//! The tone as a WAV file, the format that browsers take as a fake microphone.

use std::io::{self, Write};

use super::SenderId;
use super::sound::{SAMPLES_PER_PERIOD, SAMPLES_PER_SECOND, period};

const BYTES_PER_SAMPLE: u32 = 2;

/// Writes at least `seconds` of tone (48 kHz, mono, 16 bits) and returns the number of samples, always whole
/// periods of 600 ms, so that it can be played in a loop.
///
/// # Errors
/// Those of `output`; [`io::ErrorKind::InvalidInput`] beyond the 4 GiB a WAV file can hold.
pub fn write_wav(output: &mut impl Write, sender: SenderId, seconds: u32) -> io::Result<u32> {
    let wanted = u64::from(seconds) * u64::from(SAMPLES_PER_SECOND);
    let periods = wanted.div_ceil(SAMPLES_PER_PERIOD as u64).max(1);
    let samples =
        u32::try_from(periods * SAMPLES_PER_PERIOD as u64).map_err(|_| io::ErrorKind::InvalidInput)?;
    let data_bytes = samples
        .checked_mul(BYTES_PER_SAMPLE)
        .ok_or(io::ErrorKind::InvalidInput)?;
    output.write_all(&header(data_bytes)?)?;
    let one_period: Vec<u8> = period(sender).into_iter().flat_map(i16::to_le_bytes).collect();
    for _ in 0..periods {
        output.write_all(&one_period)?;
    }
    Ok(samples)
}

/// RIFF header of uncompressed (PCM) mono samples.
fn header(data_bytes: u32) -> io::Result<Vec<u8>> {
    const HEADER_AFTER_RIFF_BYTES: u32 = 36;
    const FORMAT_CHUNK_BYTES: u32 = 16;
    const PCM: u16 = 1;
    const CHANNELS: u16 = 1;
    let riff_bytes = data_bytes
        .checked_add(HEADER_AFTER_RIFF_BYTES)
        .ok_or(io::ErrorKind::InvalidInput)?;
    let mut header = Vec::with_capacity(44);
    header.extend_from_slice(b"RIFF");
    header.extend_from_slice(&riff_bytes.to_le_bytes());
    header.extend_from_slice(b"WAVEfmt ");
    header.extend_from_slice(&FORMAT_CHUNK_BYTES.to_le_bytes());
    header.extend_from_slice(&PCM.to_le_bytes());
    header.extend_from_slice(&CHANNELS.to_le_bytes());
    header.extend_from_slice(&SAMPLES_PER_SECOND.to_le_bytes());
    header.extend_from_slice(&(SAMPLES_PER_SECOND * BYTES_PER_SAMPLE).to_le_bytes());
    header.extend_from_slice(&(BYTES_PER_SAMPLE as u16).to_le_bytes());
    header.extend_from_slice(&(BYTES_PER_SAMPLE as u16 * 8).to_le_bytes());
    header.extend_from_slice(b"data");
    header.extend_from_slice(&data_bytes.to_le_bytes());
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::sound::heard;

    #[test]
    fn the_file_holds_whole_periods_of_the_tone() {
        let sender = SenderId::new(13).unwrap();
        let mut file = Vec::new();
        assert_eq!(
            write_wav(&mut file, sender, 1).unwrap(),
            2 * SAMPLES_PER_PERIOD as u32
        );
        let (header, data) = file.split_at(44);
        assert_eq!(&header[..4], b"RIFF");
        assert_eq!(header[4..8], (file.len() as u32 - 8).to_le_bytes());
        assert_eq!(&header[8..16], b"WAVEfmt ");
        assert_eq!(header[24..28], 48_000_u32.to_le_bytes());
        assert_eq!(header[40..44], (data.len() as u32).to_le_bytes());
        let samples: Vec<i16> = data
            .chunks(2)
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        assert_eq!(heard(&samples, 48_000), [sender]);
    }

    #[test]
    fn a_length_beyond_the_format_is_refused() {
        let sender = SenderId::new(0).unwrap();
        assert_eq!(
            write_wav(&mut io::sink(), sender, u32::MAX).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }
}
