//! How one element lies in a file: its size, and which of its bytes to reverse to get native order.
//!
//! This is all that the readers need to know of a dtype. It does not say what the bytes mean.

/// The bytes of one element in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ElementLayout {
    /// Bytes an element.
    pub itemsize: usize,
    /// Bytes of each number inside the element: 8 for float64, 8 for complex128 (two numbers), 4 for fixed Unicode
    /// strings (code points), 1 where byte order has no meaning.
    pub swap_unit: usize,
    /// Whether the numbers are stored with their most significant byte first.
    pub big_endian: bool,
}

impl ElementLayout {
    /// The layout of a plain number of `itemsize` bytes.
    pub fn number(itemsize: usize, big_endian: bool) -> Self {
        Self { itemsize, swap_unit: itemsize, big_endian }
    }

    /// The layout of a complex number of `itemsize` bytes, which is two numbers of half that.
    pub fn complex(itemsize: usize, big_endian: bool) -> Self {
        Self { itemsize, swap_unit: itemsize / 2, big_endian }
    }

    /// Bytes without an order, such as fixed byte strings.
    pub fn opaque(itemsize: usize) -> Self {
        Self { itemsize, swap_unit: 1, big_endian: false }
    }

    /// Whether elements differ from this machine's order.
    pub fn needs_swap(&self) -> bool {
        self.swap_unit > 1 && self.big_endian != cfg!(target_endian = "big")
    }

    /// Whether sizes are usable: nonzero, and numbers fill the element exactly.
    pub fn is_valid(&self) -> bool {
        self.itemsize > 0 && self.swap_unit > 0 && self.itemsize.is_multiple_of(self.swap_unit)
    }

    /// Reads NumPy's array-protocol string (`"<f8"`, `"|b1"`, `">c16"`, `"<M8[ns]"`); `None` for what has no flat bytes
    /// (objects, records) and for what is not such a string.
    pub fn from_descr(descr: &str) -> Option<Self> {
        let mut rest = descr.chars();
        let big_endian = match rest.next()? {
            '<' | '|' => false,
            '>' => true,
            '=' => cfg!(target_endian = "big"),
            _ => return None,
        };
        let kind = rest.next()?;
        let rest = rest.as_str();
        let digits_len = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, unit) = rest.split_at(digits_len);
        let size: usize = digits.parse().ok()?;
        let sizes: &[usize] = match kind {
            'b' => &[1],
            'i' | 'u' => &[1, 2, 4, 8],
            'f' => &[2, 4, 8, 12, 16],
            'c' => &[8, 16, 24, 32],
            'm' | 'M' => &[8],
            'S' | 'U' | 'V' => &[],
            _ => return None,
        };
        let unit_is_fine = match kind {
            'm' | 'M' => unit.is_empty() || (unit.starts_with('[') && unit.ends_with(']')),
            _ => unit.is_empty(),
        };
        if !unit_is_fine || !(sizes.is_empty() || sizes.contains(&size)) {
            return None;
        }
        Some(match kind {
            'c' => Self::complex(size, big_endian),
            'S' | 'V' => Self::opaque(size),
            'U' => Self { itemsize: size.checked_mul(4)?, swap_unit: 4, big_endian },
            _ => Self::number(size, big_endian),
        })
    }

    /// Reverses every number in `bytes`, whose length is a multiple of the element's size.
    pub fn swap(&self, bytes: &mut [u8]) {
        match self.swap_unit {
            0 | 1 => {}
            2 => swap_fixed::<2>(bytes),
            4 => swap_fixed::<4>(bytes),
            8 => swap_fixed::<8>(bytes),
            16 => swap_fixed::<16>(bytes),
            unit => bytes.chunks_exact_mut(unit).for_each(<[u8]>::reverse),
        }
    }
}

/// A constant size lets the compiler turn the loop into byte shuffles of whole vectors.
fn swap_fixed<const N: usize>(bytes: &mut [u8]) {
    let (numbers, _) = bytes.as_chunks_mut::<N>();
    for number in numbers {
        number.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descr_strings_give_sizes_and_orders() {
        assert_eq!(ElementLayout::from_descr("<f8"), Some(ElementLayout::number(8, false)));
        assert_eq!(ElementLayout::from_descr(">c16"), Some(ElementLayout::complex(16, true)));
        assert_eq!(ElementLayout::from_descr("|b1"), Some(ElementLayout::number(1, false)));
        assert_eq!(ElementLayout::from_descr(">M8[25ns]"), Some(ElementLayout::number(8, true)));
        assert_eq!(ElementLayout::from_descr("|S10"), Some(ElementLayout::opaque(10)));
        assert_eq!(
            ElementLayout::from_descr(">U3"),
            Some(ElementLayout { itemsize: 12, swap_unit: 4, big_endian: true })
        );
        for wrong in ["", "<", "f8", "|O", "<f3", "<f8x", "<i99999999999999999999999", "<é8", "<M8[ns"] {
            assert_eq!(ElementLayout::from_descr(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn swapping_reverses_each_number_inside_an_element() {
        let mut bytes: Vec<u8> = (0..16).collect();
        ElementLayout::complex(16, true).swap(&mut bytes);
        assert_eq!(bytes, [7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8]);
        ElementLayout::opaque(16).swap(&mut bytes);
        assert_eq!(bytes[0], 7);
    }
}
