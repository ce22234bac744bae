"""The test signal of `loadtest signal`, written and read a third time, in the language of the SDK under test.

Pure: frames and samples go in and out as bytes and arrays; no clock, no network.
"""

import numpy

COLUMNS = 8
ROWS = 4
SYNC = 0b10110010
BLACK = 32
WHITE = 220
LEAST_CONTRAST = 60

SAMPLE_RATE = 48_000
SENDERS = 16
ON_SAMPLES = SAMPLE_RATE * 400 // 1000
OFF_SAMPLES = SAMPLE_RATE * 200 // 1000
RAMP_SAMPLES = SAMPLE_RATE * 10 // 1000
AMPLITUDE = 0.3
LEAST_AMPLITUDE = 0.02
LEAST_LEAD_DB = 12.0


def tone_hz(sender: int) -> int:
    """Frequency of a sender's tone."""
    return 500 + 150 * sender


def draw_i420(sender: int, frame: int, width: int, height: int) -> bytes:
    """One frame in I420: the grid in luma, no colour. Width and height are multiples of 8 and 4."""
    rows = [SYNC, sender, sender ^ 0xFF, frame % 256]
    bits = numpy.array([[row >> (7 - column) & 1 for column in range(COLUMNS)] for row in rows])
    blocks = numpy.where(bits == 1, WHITE, BLACK).astype(numpy.uint8)
    luma = blocks.repeat(height // ROWS, axis=0).repeat(width // COLUMNS, axis=1)
    chroma = numpy.full(2 * ((width + 1) // 2) * ((height + 1) // 2), 128, dtype=numpy.uint8)
    return luma.tobytes() + chroma.tobytes()


def read_luma(plane: bytes, width: int, height: int) -> tuple[int, int] | None:
    """Sender and frame number of a luma plane without padding; None when it shows no whole test picture."""
    luma = numpy.frombuffer(plane, dtype=numpy.uint8, count=width * height).reshape(height, width)
    grid = numpy.array([[_middle(luma, column, row) for column in range(COLUMNS)] for row in range(ROWS)])
    dark, light = grid[0].min(), grid[0].max()
    if light - dark < LEAST_CONTRAST:
        return None
    numbers = [int("".join("1" if value > (dark + light) / 2 else "0" for value in row), 2) for row in grid]
    sync, sender, complement, frame = numbers
    if sync != SYNC or sender ^ complement != 0xFF:
        return None
    return sender, frame


def _middle(luma: numpy.ndarray, column: int, row: int) -> float:
    height, width = luma.shape
    top, bottom = (4 * row + 1) * height // (4 * ROWS), (4 * row + 3) * height // (4 * ROWS)
    left, right = (4 * column + 1) * width // (4 * COLUMNS), (4 * column + 3) * width // (4 * COLUMNS)
    return float(luma[top:bottom, left:right].mean())


def tone(sender: int) -> numpy.ndarray:
    """One period (600 ms) of a sender's tone as 16-bit samples; it repeats without a seam."""
    n = numpy.arange(ON_SAMPLES + OFF_SAMPLES)
    ramp = numpy.clip(numpy.minimum(n, ON_SAMPLES - n) / RAMP_SAMPLES, 0.0, 1.0)
    wave = AMPLITUDE * ramp * numpy.sin(2 * numpy.pi * tone_hz(sender) * n / SAMPLE_RATE)
    return numpy.round(wave * 32767).astype(numpy.int16)


def heard(samples: numpy.ndarray) -> int | None:
    """Whose tone stands out of these 16-bit samples; None for silence and for a mixture."""
    window = numpy.hanning(len(samples))
    wave = samples.astype(numpy.float64) / 32768 * window
    n = numpy.arange(len(samples))
    level = [
        abs(numpy.sum(wave * numpy.exp(-2j * numpy.pi * tone_hz(sender) * n / SAMPLE_RATE))) / (window.sum() / 2)
        for sender in range(SENDERS)
    ]
    ranked = sorted(range(SENDERS), key=lambda sender: -level[sender])
    first, second = level[ranked[0]], max(level[ranked[1]], 1e-6)
    if first < LEAST_AMPLITUDE or 20 * numpy.log10(first / second) < LEAST_LEAD_DB:
        return None
    return ranked[0]
