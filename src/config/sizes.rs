//! Sizes as people write them.

/// `512m`, `2g`, `1048576`: a number and a power of 1024 (`k`, `m`, `g`, `t`), as docker reads them.
///
/// # Errors
/// Says how a size is written.
pub fn parse_size_bytes(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let digits_end = lower.find(|c: char| !c.is_ascii_digit()).unwrap_or(lower.len());
    let (digits, unit) = lower.split_at(digits_end);
    let factor = match unit {
        "" | "b" => Some(1),
        "k" | "kb" => Some(1 << 10),
        "m" | "mb" => Some(1 << 20),
        "g" | "gb" => Some(1 << 30),
        "t" | "tb" => Some(1 << 40),
        _ => None,
    };
    let size = digits.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    size.filter(|&size| size > 0).ok_or_else(|| format!("\"{text}\" is not a size"))
}

/// A size as `parse_size_bytes` reads it, in the largest unit that divides it.
pub fn size_text(bytes: u64) -> String {
    let units = [("t", 40), ("g", 30), ("m", 20), ("k", 10)];
    let fitting = units.iter().find(|(_, bits)| bytes > 0 && bytes.is_multiple_of(1 << bits));
    fitting.map_or_else(|| bytes.to_string(), |(unit, bits)| format!("{}{unit}", bytes >> bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [("1", 1), ("64k", 65536), ("512m", 512 << 20), ("2G", 2 << 30), ("1tb", 1 << 40)] {
            assert_eq!(parse_size_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["1", "64k", "512m", "3g", "1025"] {
            assert_eq!(parse_size_bytes(text).map(size_text), Ok(text.to_owned()));
        }
        for wrong in ["", "m", "0", "-1", "1.5g", "1x", "99999999999t", "1 g"] {
            assert!(parse_size_bytes(wrong).is_err(), "{wrong}");
        }
    }
}
