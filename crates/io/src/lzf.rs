//! The LZF decompressor, which h5py's `compression="lzf"` needs.
//!
//! A stream is a series of literal runs and back references. Decoding stops with an error at the first reference that points
//! before the output or the first run that does not fit; it never grows the output. There is no compressor.

/// Decodes `input` into `output` and returns how many bytes it wrote, or why the stream is damaged.
pub(crate) fn decompress(input: &[u8], output: &mut [u8]) -> Result<usize, &'static str> {
    const TRUNCATED: &str = "it ends inside a run";
    const OVERFLOW: &str = "it holds more data than a chunk";
    let (mut read, mut written) = (0, 0);
    while read < input.len() {
        let control = usize::from(input[read]);
        read += 1;
        if control < 32 {
            let length = control + 1;
            let literals = input.get(read..read + length).ok_or(TRUNCATED)?;
            output.get_mut(written..written + length).ok_or(OVERFLOW)?.copy_from_slice(literals);
            read += length;
            written += length;
            continue;
        }
        let mut length = (control >> 5) + 2;
        if control >> 5 == 7 {
            length += usize::from(*input.get(read).ok_or(TRUNCATED)?);
            read += 1;
        }
        let low = usize::from(*input.get(read).ok_or(TRUNCATED)?);
        read += 1;
        let distance = ((control & 31) << 8) + low + 1;
        if distance > written {
            return Err("a reference points before the start of the data");
        }
        if output.len() - written < length {
            return Err(OVERFLOW);
        }
        if distance >= length {
            output.copy_within(written - distance..written - distance + length, written);
        } else {
            // The source overlaps what is being written: the run repeats itself, so bytes must be copied in order.
            for position in written..written + length {
                output[position] = output[position - distance];
            }
        }
        written += length;
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::decompress;

    #[test]
    fn literals_references_and_overlapping_runs() {
        let mut output = [0; 12];
        // "abc", then three bytes from three back, then six bytes from one back.
        let stream = [2, b'a', b'b', b'c', 1 << 5, 2, 4 << 5, 0];
        assert_eq!(decompress(&stream, &mut output), Ok(12));
        assert_eq!(&output, b"abcabccccccc");
    }

    #[test]
    fn damaged_streams_are_refused() {
        let mut output = [0; 4];
        assert!(decompress(&[5, 1, 2], &mut output).is_err(), "literals cut short");
        assert!(decompress(&[1 << 5, 0], &mut output).is_err(), "reference before the start");
        assert!(decompress(&[7 << 5], &mut output).is_err(), "length byte missing");
        assert!(decompress(&[0, 9, 6 << 5, 0], &mut output).is_err(), "more than the output holds");
    }
}
